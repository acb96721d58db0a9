# SPDX-License-Identifier: Apache-2.0
"""Who asks: a service, an agency, a resident, a clerk or an operator, and what they may do."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum

from services.kit.errors import RightMissing, Unauthenticated

EVERY_RIGHT = "*"
"""Held by an operator's certificate alone; never taken from a token or an agency's record."""


class CallerKind(StrEnum):
    """What a caller is."""

    SERVICE = "service"
    AGENCY = "agency"
    CITIZEN = "citizen"
    CLERK = "clerk"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    """The one who asks, as proven by certificate or token.

    `id` is a service's name, an agency's USCC, a subject id, or an operator's name. `actor` is the SPIFFE id
    on the wire: for a resident that is the gateway. `agency` is the USCC that an agency or a clerk acts for.
    """

    kind: CallerKind
    id: str
    rights: frozenset[str] = frozenset()
    actor: str = ""
    agency: str = ""
    token: str = field(default="", repr=False)

    def must(self, right: str) -> None:
        """Refuse a caller who lacks the right.

        Services pass: the contract names them method by method. Citizens hold no rights beyond their own
        affairs, so they pass only where no right is asked for ("").
        """
        if not self.may(right):
            raise RightMissing(
                f"This needs the right {right}.",
                remedy="Ask an operator of the platform for the right.",
                metadata={"right": right},
            )

    def may(self, right: str) -> bool:
        """Tell whether the caller holds the right."""
        if self.kind is CallerKind.SERVICE or not right:
            return True
        if self.kind is CallerKind.CITIZEN:
            return False
        return right in self.rights or (self.kind is CallerKind.OPERATOR and EVERY_RIGHT in self.rights)

    @property
    def label(self) -> str:
        """Name the caller in one word, e.g. `agency:11990100000001011X`. For the ledger, not for logs."""
        return f"{self.kind.value}:{self.id}"


CURRENT: ContextVar[Caller | None] = ContextVar("tongban_caller", default=None)


def current_caller() -> Caller:
    """Answer who asks in this unit of work. Raises Unauthenticated where nobody was established."""
    caller = CURRENT.get()
    if caller is None:
        raise Unauthenticated("Nobody is established as the caller.")
    return caller


@contextmanager
def acting_as(caller: Caller) -> Iterator[Caller]:
    """Do the work inside for this caller."""
    before = CURRENT.set(caller)
    try:
        yield caller
    finally:
        CURRENT.reset(before)
