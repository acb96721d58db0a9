# SPDX-License-Identifier: Apache-2.0
"""Uses of personal data, in the words of the ledger."""

from contextlib import AbstractAsyncContextManager
from dataclasses import asdict

from services.identity.domain.use import Use
from services.identity.service.ports import Entry
from services.kit.ledger.access import Access
from services.kit.ledger.ledger import Ledger


class UseLedger:
    """The kit's ledger, asked in identity's words."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def account(self, use: Use) -> AbstractAsyncContextManager[Entry]:
        """Around a use: ends in exactly one leaf, whatever happens inside."""
        return self._ledger.account(access_of(use))


def access_of(use: Use) -> Access:
    """The same use, as the kit names it."""
    return Access(**asdict(use))
