# SPDX-License-Identifier: Apache-2.0
"""Registering persons, and giving a person's attributes to those who may have them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from services.identity.domain.person import (
    PERSONAL_FIELDS,
    NewPerson,
    Person,
    PersonNotFound,
    PersonRegistered,
    attributes,
    register,
)
from services.identity.domain.use import Use, canonical
from services.identity.service.ports import Digest, Ledger, NumberKey, Receipt, Request, Store, Tx
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import Refusal, Violation
from services.kit.ledger.access import content_digest

VIOLATIONS_MAX = 20
"""Bad records named in one refusal; whoever sends 500 bad ones learns enough from these."""


@dataclass(frozen=True, slots=True)
class RegisterPersons:
    """Persons to register, all or none."""

    request_id: str
    persons: tuple[NewPerson, ...]
    case_id: str


@dataclass(frozen=True, slots=True)
class ResolvePerson:
    """Asks for some of a person's attributes on a legal basis."""

    subject_id: str
    purpose: str
    basis: str
    on_behalf_of: str
    case_id: str
    fields: tuple[str, ...]


class PersonsService:
    """Persons in and out."""

    def __init__(
        self, store: Store, ledger: Ledger, *, clock: Clock, new_id: Callable[[], str], digest: Digest
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._new_id = new_id
        self._digest = digest

    async def register(self, command: RegisterPersons, caller: Caller) -> tuple[Person, ...]:
        """Those on record afterwards, in the order of the request; a number already on record keeps its person.

        Raises:
            Refusal: the first bad record's; violations name the others. Nothing is registered then.
            RequestIdReused: the same request id came with other persons.
        """
        caller.must("identity.register")
        drafts = self._checked(command.persons)
        request = Request(
            caller.label,
            "identity.RegisterPersons",
            command.request_id,
            self._digest(canonical({"case": command.case_id, "persons": [asdict(new) for new in command.persons]})),
        )
        async with self._store.transaction() as tx:
            earlier = await tx.earlier_answer(request)
            if earlier is not None:
                known = await tx.persons(earlier)
                return tuple(known[subject_id] for subject_id in earlier)
            persons, new = await self._add(tx, drafts)
            await tx.keep_answer(request, [person.subject_id for person in persons])
            for _, fact in new:
                await tx.record(fact)
            await tx.account_for([_registration(person, command.case_id, caller) for person, _ in new])
        return persons

    async def own(self, caller: Caller) -> tuple[Person, Receipt]:
        """The calling resident's own record."""
        use = Use("identity.GetOwnPerson", purpose="own", basis="PIPL art. 45", subject_id=caller.id)
        return await self._read(use)

    async def resolve(self, query: ResolvePerson) -> tuple[Person, Receipt]:
        """What a service that the contract names needs of a person's record."""
        use = Use(
            "identity.ResolvePerson",
            purpose=query.purpose,
            basis=query.basis,
            subject_id=query.subject_id,
            on_behalf_of=query.on_behalf_of,
            case_id=query.case_id,
        )
        return await self._read(use, query.fields)

    async def _read(self, use: Use, fields: Sequence[str] = PERSONAL_FIELDS) -> tuple[Person, Receipt]:
        async with self._ledger.account(use) as entry:
            person = await self._store.person(use.subject_id)
            if person is None:
                raise PersonNotFound("No person has this subject id.")
            shown = {name: str(value or "") for name, value in attributes(person).items() if name in fields}
            receipt = await entry.answered(
                fields=[name for name in PERSONAL_FIELDS if shown.get(name)], digest=content_digest(canonical(shown))
            )
        return person, receipt

    def _checked(self, persons: Sequence[NewPerson]) -> list[tuple[Person, PersonRegistered]]:
        """All of them, checked before the first row is written."""
        now = self._clock()
        drafts: list[tuple[Person, PersonRegistered]] = []
        refused: list[tuple[int, Refusal]] = []
        for position, new in enumerate(persons):
            try:
                drafts.append(register(new, subject_id=self._new_id(), now=now))
            except Refusal as refusal:
                refused.append((position, refusal))
        if refused:
            raise _batch_refusal(refused)
        return drafts

    async def _add(
        self, tx: Tx, drafts: Sequence[tuple[Person, PersonRegistered]]
    ) -> tuple[tuple[Person, ...], list[tuple[Person, PersonRegistered]]]:
        """Those on record afterwards, and which are new; somebody else may register the same numbers meanwhile."""
        known = dict(await tx.persons_by_number([person.number for person, _ in drafts]))
        wanted = {_key(person): (person, fact) for person, fact in drafts if _key(person) not in known}
        added = await tx.add_persons([person for person, _ in wanted.values()])
        new = [(person, fact) for person, fact in wanted.values() if person.subject_id in added]
        lost = [person.number for person, _ in wanted.values() if person.subject_id not in added]
        if lost:
            known |= await tx.persons_by_number(lost)
        known |= {_key(person): person for person, _ in new}
        return tuple(known[_key(person)] for person, _ in drafts), new


def _key(person: Person) -> NumberKey:
    return person.number.kind, person.number.value


def _registration(person: Person, case_id: str, caller: Caller) -> Use:
    shown = {name: str(value or "") for name, value in attributes(person).items()}
    return Use(
        "identity.RegisterPersons",
        purpose="registration",
        basis="PIPL art. 13(1)(3)",
        subject_id=person.subject_id,
        fields=tuple(name for name in PERSONAL_FIELDS if shown[name]),
        on_behalf_of=caller.agency,
        case_id=case_id,
    )


def _batch_refusal(refused: Sequence[tuple[int, Refusal]]) -> Refusal:
    """The first one's refusal, with a violation for each bad record: where and why, never the value."""
    _, first = refused[0]
    violations = [
        Violation(f"persons[{position}]", f"{refusal.reason}: {refusal.message}")
        for position, refusal in refused[:VIOLATIONS_MAX]
    ]
    more = f" {len(refused) - 1} more records are bad." if len(refused) > 1 else ""
    return type(first)(first.message + more, remedy=first.remedy, violations=violations)
