# SPDX-License-Identifier: Apache-2.0
"""Unified social credit codes: GB 32100-2015 with amendment 1, and the organization code of GB 11714 inside them."""

import re

from services.identity.domain.digits import credit_check, folded, organization_check
from services.kit.errors import Code, Refusal

_SHAPE = re.compile(r"[0-9ABCDEFGHJKLMNPQRTUWXY]{2}[0-9]{6}[0-9ABCDEFGHJKLMNPQRTUWXY]{10}")

# Registering department -> categories that it registers (GB 32100-2015, table 2, with amendment 1).
_CATEGORIES = {
    "1": "1239",
    "2": "19",
    "3": "123459",
    "4": "19",
    "5": "1239",
    "6": "129",
    "7": "129",
    "8": "19",
    "9": "123",
    "A": "19",
    "N": "1239",
    "Y": "1",
}


class CreditCodeRefused(Refusal):
    """The code can't be a unified social credit code."""

    code = Code.INVALID_ARGUMENT


class CreditCodeMalformed(CreditCodeRefused):
    """Wrong length or characters; I, O, S, V and Z are never used."""


class CreditCodeCategoryUnknown(CreditCodeRefused):
    """The department registers no such category."""


class CreditCodeCheckFailed(CreditCodeRefused):
    """The check character, the 18th, is wrong."""


class OrganizationCodeCheckFailed(CreditCodeRefused):
    """The 18th character is right and the 17th wrong: rarely a slip, so it has a reason of its own."""


def credit_code(text: str) -> str:
    """The code in capitals, checked."""
    value = folded(text)
    if not _SHAPE.fullmatch(value):
        raise CreditCodeMalformed(
            "A unified social credit code has 18 characters: digits and capitals without I, O, S, V and Z."
        )
    if value[1] not in _CATEGORIES.get(value[0], ""):
        raise CreditCodeCategoryUnknown("The first two characters name no known department and category.")
    if credit_check(value[:17]) != value[17]:
        raise CreditCodeCheckFailed(
            "The code's check character is wrong.", remedy="Compare the code with the certificate."
        )
    if organization_check(value[8:16]) != value[16]:
        raise OrganizationCodeCheckFailed("The check character of the organization code inside, the 17th, is wrong.")
    return value
