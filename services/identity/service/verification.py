# SPDX-License-Identifier: Apache-2.0
"""Comparing what is said about a person with the record, for callers and for steps of cases."""

from dataclasses import dataclass, replace

from services.identity.domain.comparison import CheckedClaims, Claims, Comparison, MatchResult, check, compare
from services.identity.domain.person import Person
from services.identity.domain.step import StepAnswered, VerifyStep, step_claims, step_done, step_refused
from services.identity.domain.use import Use, canonical
from services.identity.service.ports import Ledger, Receipt, Store, Tx
from services.kit.caller import Caller
from services.kit.clock import Clock
from services.kit.errors import Refusal
from services.kit.ledger.access import content_digest


@dataclass(frozen=True, slots=True)
class VerifyPerson:
    """Asks for a comparison."""

    claims: Claims
    purpose: str
    basis: str
    case_id: str


class VerificationService:
    """Yes or no per field, never a value; a leaf for each, also for what was refused."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def verify(self, query: VerifyPerson, caller: Caller) -> tuple[Comparison, Receipt]:
        """Compares, for a department or a service."""
        use = Use(
            "identity.VerifyPerson",
            purpose=query.purpose,
            basis=query.basis,
            subject_id=query.claims.subject_id,
            fields=query.claims.fields,
            on_behalf_of=caller.agency,
            case_id=query.case_id,
        )
        async with self._ledger.account(use) as entry:
            caller.must("identity.verify")
            claims = check(query.claims, now=self._clock())
            person = await self._sought(claims)
            comparison = compare(claims, person, existence=caller.may("identity.existence"))
            told = self._told(use, person, comparison)
            receipt = await entry.answered(
                fields=told.fields, digest=told.digest, outcome=told.outcome, subject_id=told.subject_id
            )
        return comparison, receipt

    async def answer_step(self, step: VerifyStep, *, delivery_id: str) -> None:
        """Answers a step once, however often it is delivered: answer and leaf in one transaction."""
        async with self._store.transaction() as tx:
            if not await tx.first_sight(delivery_id):
                return
            answer, use = await self._acted(tx, step)
            await tx.record(answer)
            await tx.account_for([use])

    async def _acted(self, tx: Tx, step: VerifyStep) -> tuple[StepAnswered, Use]:
        use = Use(
            "identity.VerifyStep",
            purpose=step.purpose,
            basis=step.basis,
            on_behalf_of=step.agency,
            case_id=step.case_id,
        )
        try:
            said = step_claims(step)
            use = replace(use, subject_id=said.subject_id, fields=said.fields)
            claims = check(said, now=self._clock())
            person = await _sought_in(tx, claims)
            comparison = compare(claims, person, existence=True)
        except Refusal as refusal:
            return step_refused(step, refusal), replace(use, outcome=refusal.reason)
        return step_done(step, comparison), self._told(use, person, comparison)

    async def _sought(self, claims: CheckedClaims) -> Person | None:
        if claims.number:
            return await self._store.person_by_number(claims.number)
        return await self._store.person(claims.subject_id)

    def _told(self, use: Use, person: Person | None, comparison: Comparison) -> Use:
        """The use with what was told: about whom it turned out to be, how it came out, and the digest of the answer."""
        answer = canonical(
            {
                "fields": {name: result.value for name, result in comparison.fields.items()},
                "result": comparison.result.value,
                "subject_id": comparison.subject_id,
            }
        )
        return replace(
            use,
            subject_id=person.subject_id if person else "",
            outcome="answered" if comparison.result is MatchResult.MATCH else comparison.result.value,
            digest=content_digest(answer),
        )


async def _sought_in(tx: Tx, claims: CheckedClaims) -> Person | None:
    if claims.number:
        found = await tx.persons_by_number([claims.number])
        return found.get((claims.number.kind, claims.number.value))
    return (await tx.persons([claims.subject_id])).get(claims.subject_id)
