# SPDX-License-Identifier: Apache-2.0
"""Whom a question is about: the leaf needs the subject id, the provider needs the number."""

from collections import OrderedDict
from collections.abc import Callable

from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.service.ports import Persons, Store

LINKS_MAX = 50_000
LINK_SECONDS = 600.0


class Subjects:
    """Finds the subject id behind a number, and the number behind a subject id.

    What is remembered for some minutes is which keyed mark of a number belongs to which random subject id; neither a
    number nor an attribute outlives the call. Numbers that nobody has are not remembered: their owner may register.
    """

    def __init__(self, persons: Persons, store: Store, *, monotonic: Callable[[], float]) -> None:
        self._persons = persons
        self._store = store
        self._monotonic = monotonic
        self._links: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def subject_id(self, subject: Subject, *, purpose: str, case_id: str) -> str:
        """Give the id under which the ledger accounts for the subject. Raises Unavailable.

        A number that identity does not know is accounted for under its keyed mark.
        """
        if subject.kind is SubjectKind.SUBJECT_ID:
            return subject.value
        mark = self._store.subject_mark(subject.kind.value, subject.value.upper())
        if subject.kind is SubjectKind.USCC:
            return mark
        known = self._links.get(mark)
        if known is not None and known[1] > self._monotonic():
            return known[0]
        found = await self._persons.by_number(subject.value.upper(), purpose=purpose, case_id=case_id)
        if not found:
            return mark
        self._links[mark] = (found, self._monotonic() + LINK_SECONDS)
        self._links.move_to_end(mark)
        if len(self._links) > LINKS_MAX:
            self._links.popitem(last=False)
        return found

    async def key(self, subject: Subject, *, purpose: str, basis: str, on_behalf_of: str, case_id: str) -> str:
        """Give the number or code that a provider is asked by. Raises RemoteRefusal, Unavailable."""
        if subject.kind is SubjectKind.SUBJECT_ID:
            return await self._persons.by_subject_id(
                subject.value, purpose=purpose, basis=basis, on_behalf_of=on_behalf_of, case_id=case_id
            )
        return subject.value.upper()
