# SPDX-License-Identifier: Apache-2.0
"""FETCH steps of cases: asked on behalf of an agency, answered with one fact, kept sealed until collected."""

from dataclasses import dataclass, replace
from datetime import timedelta

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import KeptAnswer, Query, StepAnswered, StepOutcome, check_words
from services.exchange.domain.refusals import retry_helps
from services.exchange.service.broker import Broker
from services.exchange.service.corrections.disputes import Disputes
from services.exchange.service.ports import Steps, Store
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subjects import Subjects
from services.kit.clock import Clock
from services.kit.errors import Refusal, RequestInvalid
from services.kit.ids import new_id
from services.kit.ledger.access import ANSWERED, Access, canonical

NOT_FOUND = "NOT_FOUND"
_DROPPED_MAX = 1_000
_COUNTS_KEPT = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class AnswerStep:
    """Answer one attempt of one step; `delivery_id` makes a repeat change nothing."""

    case_id: str
    step_id: str
    attempt: int
    delivery_id: str


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of asking, before it is written."""

    fact: StepAnswered
    access: Access | None = None
    values: dict[str, Scalar] | None = None
    grant_id: str = ""


class StepService:
    """Acts on steps as the exchange itself, on behalf of the agency that the matter names."""

    def __init__(
        self,
        store: Store,
        rulebook: Rulebook,
        subjects: Subjects,
        broker: Broker,
        steps: Steps,
        *,
        disputes: Disputes,
        clock: Clock,
        answer_days: int,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._subjects = subjects
        self._broker = broker
        self._steps = steps
        self._disputes = disputes
        self._clock = clock
        self._answer_days = answer_days

    async def answer(self, command: AnswerStep) -> None:
        """Ask, then write answer, fact and leaf in one transaction. A step that is no longer open is left alone.

        Raises Unavailable where the gateway or identity does not answer; a provider's silence is an answer of the step.
        """
        try:
            query = await self._steps.question(command.case_id, command.step_id, command.attempt)
        except RequestInvalid as refusal:
            await self._write(command, _Result(_ended(command, StepOutcome.REFUSED, refusal.reason)))
            return
        if query is not None:
            await self._write(command, await self._result(command, query))

    async def collect(self, answer_id: str) -> tuple[KeptAnswer, tuple[str, ...]]:
        """Give a kept answer to the gateway while its agency may still have it, and which of its values are in dispute now.

        With a leaf of its own, refused too. Raises AnswerNotFound, and what refuses a query under the same grant by now,
        e.g. NoGrant, GrantExpired, ConsentMissing.
        """
        kept = await self._store.read_answer(answer_id, now=self._clock())
        access = Access(
            operation="answer_collected",
            subject_id=kept.subject_id,
            purpose=kept.purpose,
            basis=kept.basis,
            fields=tuple(kept.values),
            resource=kept.resource,
            on_behalf_of=kept.agency,
            case_id=kept.case_id,
        )
        async with self._store.ledger.account(access) as entry:
            await self._must_still_hold(kept)
            await entry.answered(fields=tuple(kept.values), digest=self._store.digest(canonical(kept.values)))
        return kept, self._disputes.among(kept.resource, kept.subject_id, kept.values)

    async def drop_expired(self) -> int:
        """Delete answers whose time is over (PIPL, art. 19), and old counts of calls; give how many answers."""
        dropped = 0
        while True:
            async with self._store.transaction() as tx:
                batch = await tx.drop_answers(before=self._clock(), limit=_DROPPED_MAX)
                await tx.drop_counts(before=(self._clock() - _COUNTS_KEPT).date())
            dropped += batch
            if batch < _DROPPED_MAX:
                return dropped

    async def _must_still_hold(self, kept: KeptAnswer) -> None:
        """Look at grant and consent again; it was counted when it was asked."""
        permit = await self._rulebook.permit_query(
            kept.agency, kept.resource, purpose=kept.purpose, fields=tuple(kept.values), under=kept.grant_id
        )
        await self._broker.must_consent(permit, subject_id=kept.subject_id, grantee=kept.agency, purpose=kept.purpose)

    async def _result(self, command: AnswerStep, query: Query) -> _Result:
        """Ask; a question that can't even be put, e.g. about a malformed number, uses nobody's data and has no leaf."""
        try:
            check_words(
                resource=query.resource, purpose=query.purpose, fields=query.fields, on_behalf_of=query.on_behalf_of
            )
            subject_id = await self._subjects.subject_id(query.subject, purpose=query.purpose, case_id=query.case_id)
        except Refusal as refusal:
            return _Result(_ended(command, StepOutcome.REFUSED, refusal.reason))
        return await self._ask(command, query, subject_id)

    async def _ask(self, command: AnswerStep, query: Query, subject_id: str) -> _Result:
        access = Access(
            operation="query",
            subject_id=subject_id,
            purpose=query.purpose,
            basis="",
            resource=query.resource,
            on_behalf_of=query.on_behalf_of,
            case_id=query.case_id,
        )
        try:
            permit = await self._rulebook.permit_query(
                query.on_behalf_of, query.resource, purpose=query.purpose, fields=query.fields
            )
            access = access._replace(basis=permit.basis, fields=permit.fields)
            values = await self._broker.ask(
                permit,
                query.subject,
                subject_id=subject_id,
                purpose=query.purpose,
                grantee=query.on_behalf_of,
                case_id=query.case_id,
            )
        except Refusal as refusal:
            outcome = StepOutcome.UNAVAILABLE if retry_helps(refusal) else StepOutcome.REFUSED
            return _Result(_ended(command, outcome, refusal.reason), access._replace(outcome=refusal.reason))
        if values is None:
            fact = replace(_ended(command, StepOutcome.DONE), output={"found": "false"})
            return _Result(fact, access._replace(outcome=NOT_FOUND))
        fact = replace(_ended(command, StepOutcome.DONE), output={"found": "true"}, answer_id=new_id())
        digest = self._store.digest(canonical(values))
        return _Result(fact, access._replace(outcome=ANSWERED, digest=digest), values, permit.grant_id)

    async def _write(self, command: AnswerStep, result: _Result) -> None:
        fact, access = result.fact, result.access
        async with self._store.transaction() as tx:
            if not await tx.first_sight(command.delivery_id):
                return
            if access is not None and result.values is not None:
                kept = KeptAnswer(
                    answer_id=fact.answer_id,
                    case_id=fact.case_id,
                    subject_id=access.subject_id,
                    agency=access.on_behalf_of,
                    resource=access.resource,
                    purpose=access.purpose,
                    basis=access.basis,
                    values=result.values,
                    grant_id=result.grant_id,
                )
                await tx.keep_answer(kept, expire_time=self._clock() + timedelta(days=self._answer_days))
            await tx.record(fact)
            if access is not None:
                await tx.leaf(access)  # last: the tree is locked from here to the commit


def _ended(command: AnswerStep, outcome: StepOutcome, reason: str = "") -> StepAnswered:
    return StepAnswered(
        case_id=command.case_id, step_id=command.step_id, attempt=command.attempt, outcome=outcome, reason=reason
    )
