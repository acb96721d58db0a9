# SPDX-License-Identifier: Apache-2.0
"""Rows of identity in and out: personal data sealed, found by blind index."""

from services.identity.store.ledger import UseLedger
from services.identity.store.store import IdentityStore

__all__ = ["IdentityStore", "UseLedger"]
