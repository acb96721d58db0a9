# SPDX-License-Identifier: Apache-2.0
"""Licenses at rest: rows in and out, sealed where they tell about a person; types of license from their files."""

from services.licenses.store.sql import SqlLicensesStore, SqlLicensesTx
from services.licenses.store.types import read_catalogue

__all__ = ["SqlLicensesStore", "SqlLicensesTx", "read_catalogue"]
