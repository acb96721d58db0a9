# SPDX-License-Identifier: Apache-2.0
"""The use cases of licenses: one method, one transaction."""

from services.licenses.service.changing import Changing
from services.licenses.service.commands import (
    ChangeLicense,
    EndLicenses,
    Issued,
    IssueLicense,
    Shown,
    StepLicense,
    UndoLicense,
)
from services.licenses.service.ending import Ending
from services.licenses.service.issuing import Issuing
from services.licenses.service.port import Content, LicensesStore, LicensesTx, Note, Request
from services.licenses.service.reading import Reading
from services.licenses.service.steps import Steps
from services.licenses.service.verifying import Verifying

__all__ = [
    "ChangeLicense",
    "Changing",
    "Content",
    "EndLicenses",
    "Ending",
    "IssueLicense",
    "Issued",
    "Issuing",
    "LicensesStore",
    "LicensesTx",
    "Note",
    "Reading",
    "Request",
    "Shown",
    "StepLicense",
    "Steps",
    "UndoLicense",
    "Verifying",
]
