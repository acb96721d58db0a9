# SPDX-License-Identifier: Apache-2.0
"""Query, Verify and Ask: nothing is answered or refused about somebody without a durable leaf."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.exchange.domain.answer import Scalar
from services.exchange.domain.comparison import compare
from services.exchange.domain.inquiry import Ask, Query, Subject, SubjectKind, Verification, check_words
from services.exchange.domain.permit import Permit
from services.exchange.domain.refusals import NotOwnRecord
from services.exchange.domain.view import Answers
from services.exchange.service.broker import Broker
from services.exchange.service.corrections.disputes import Disputes
from services.exchange.service.ports import Store
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subjects import Subjects
from services.kit.caller import Caller, CallerKind
from services.kit.clock import Clock
from services.kit.errors import NotFound, Refusal, RequestInvalid, Violation
from services.kit.ledger.access import Access, Receipt, canonical

RIGHT = "exchange.query"


@dataclass(frozen=True, slots=True)
class Answered:
    """The permitted fields of one record."""

    values: dict[str, Scalar] = field(repr=False)
    grant_id: str
    provider: str
    answer_time: datetime
    receipt: Receipt
    disputed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verified:
    """Yes or no, in all and per field."""

    matched: bool
    fields: dict[str, bool]
    grant_id: str
    receipt: Receipt
    disputed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """True, false, or None where it can't be told, per question."""

    answers: dict[str, bool | None]
    grant_id: str
    receipt: Receipt
    disputed: tuple[str, ...] = ()


class QueryService:
    """Brokers questions between agencies, and residents' questions about themselves."""

    def __init__(
        self,
        store: Store,
        rulebook: Rulebook,
        subjects: Subjects,
        broker: Broker,
        *,
        disputes: Disputes,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._subjects = subjects
        self._broker = broker
        self._disputes = disputes
        self._clock = clock

    async def query(self, query: Query, caller: Caller) -> Answered:
        """Give the granted fields that were asked for. A resident asks under the grant of `on_behalf_of`."""
        check_words(
            resource=query.resource, purpose=query.purpose, fields=query.fields, on_behalf_of=query.on_behalf_of
        )
        grantee = _grantee(caller, query.on_behalf_of)
        on_behalf_of = query.on_behalf_of if caller.kind is CallerKind.CITIZEN else ""
        asked = _asked("query", query, on_behalf_of)
        try:
            _must_be_own(caller, query.subject)
            permit = await self._rulebook.permit_query(
                grantee, query.resource, purpose=query.purpose, fields=query.fields
            )
        except Refusal as refusal:
            await self._refused(asked, query.subject, query.fields, refusal)
            raise
        leaf = await self._leaf(asked, query.subject, permit)
        async with self._store.ledger.account(leaf) as entry:
            values = await self._broker.ask(
                permit,
                query.subject,
                subject_id=leaf.subject_id,
                purpose=query.purpose,
                grantee=grantee,
                case_id=query.case_id,
                own=caller.kind is CallerKind.CITIZEN,
            )
            if values is None:
                raise NotFound("The provider has no record of the subject.")
            receipt = await entry.answered(fields=permit.fields, digest=self._store.digest(canonical(values)))
        disputed = self._disputes.among(query.resource, leaf.subject_id, permit.fields)
        return Answered(values, permit.grant_id, permit.resource.provider, self._clock(), receipt, disputed)

    async def verify(self, question: Verification, caller: Caller) -> Verified:
        """Compare values with the record. No record matches nothing: whether there is one is not told."""
        caller.must(RIGHT)
        names = tuple(sorted(question.values))
        check_words(resource=question.resource, purpose=question.purpose, fields=names)
        grantee = caller.agency or caller.id
        asked = _asked("verify", question)
        try:
            permit = await self._rulebook.permit_verify(
                grantee, question.resource, purpose=question.purpose, fields=names
            )
        except Refusal as refusal:
            await self._refused(asked, question.subject, names, refusal)
            raise
        leaf = await self._leaf(asked, question.subject, permit)
        async with self._store.ledger.account(leaf) as entry:
            found = await self._broker.ask(
                permit,
                question.subject,
                subject_id=leaf.subject_id,
                purpose=question.purpose,
                grantee=grantee,
                case_id=question.case_id,
            )
            fields = compare(question.values, found or {})
            receipt = await entry.answered(fields=names, digest=self._store.digest(canonical(fields)))
        # A record that the grant does not cover reads as none: that somebody disputes it is not told either.
        told = names if found is not None else ()
        disputed = self._disputes.among(question.resource, leaf.subject_id, told)
        return Verified(all(fields.values()), fields, permit.grant_id, receipt, disputed)

    async def ask(self, ask: Ask, caller: Caller) -> Asked:
        """Answer the questions of a grant. No record, and one that the grant does not cover, answer unknown alike."""
        caller.must(RIGHT)
        names = tuple(dict.fromkeys(ask.questions))
        check_words(resource=ask.resource, purpose=ask.purpose, fields=names)
        grantee = caller.agency or caller.id
        asked = _asked("ask", ask)
        try:
            permit = await self._rulebook.permit_ask(grantee, ask.resource, purpose=ask.purpose, questions=names)
        except Refusal as refusal:
            await self._refused(asked, ask.subject, (), refusal)
            raise
        # The fields that the questions read stand beside their names: a correction of one reaches whoever asked.
        asked_and_read = tuple(dict.fromkeys((*names, *permit.needed)))
        leaf = (await self._leaf(asked, ask.subject, permit))._replace(fields=asked_and_read)
        async with self._store.ledger.account(leaf) as entry:
            found = await self._broker.ask(
                permit,
                ask.subject,
                subject_id=leaf.subject_id,
                purpose=ask.purpose,
                grantee=grantee,
                case_id=ask.case_id,
            )
            answers = {name: _truth((found or {}).get(name)) for name in names}
            receipt = await entry.answered(fields=leaf.fields, digest=self._store.digest(canonical(answers)))
        return Asked(answers, permit.grant_id, receipt, self._resting_on_disputed(permit, leaf.subject_id, answers))

    def _resting_on_disputed(
        self, permit: Permit, subject_id: str, answers: Mapping[str, bool | None]
    ) -> tuple[str, ...]:
        """Give the questions that read a disputed value; of an unknown answer nothing is told: there may be no record."""
        read = permit.view.read if isinstance(permit.view, Answers) else {}
        disputed = self._disputes.among(permit.resource.code, subject_id, permit.needed)
        return tuple(
            name
            for name, answer in answers.items()
            if answer is not None and not set(disputed).isdisjoint(read.get(name, ()))
        )

    async def _leaf(self, asked: Access, subject: Subject, permit: Permit) -> Access:
        subject_id = await self._subjects.subject_id(subject, purpose=asked.purpose, case_id=asked.case_id)
        return asked._replace(subject_id=subject_id, basis=permit.basis, fields=permit.fields)

    async def _refused(self, asked: Access, subject: Subject, fields: Sequence[str], refusal: Refusal) -> None:
        """Account for a refusal before anybody was asked: the subject may see who tried."""
        resource = await self._rulebook.resource(asked.resource)
        known = resource.field_names if resource is not None else frozenset[str]()
        subject_id = await self._subjects.subject_id(subject, purpose=asked.purpose, case_id=asked.case_id)
        shown = tuple(name for name in dict.fromkeys(fields) if name in known)
        await self._store.ledger.append(asked._replace(subject_id=subject_id, fields=shown, outcome=refusal.reason))


def _asked(operation: str, question: Query | Verification | Ask, on_behalf_of: str = "") -> Access:
    """Begin the leaf of a question: what is known before anybody was asked who it is about."""
    return Access(
        operation=operation,
        subject_id="",
        purpose=question.purpose,
        basis="",
        resource=question.resource,
        on_behalf_of=on_behalf_of,
        case_id=question.case_id,
    )


def _truth(answer: Scalar) -> bool | None:
    return answer if isinstance(answer, bool) else None


def _grantee(caller: Caller, on_behalf_of: str) -> str:
    """Give the USCC whose grant counts; an agency asks for itself alone."""
    if caller.kind is CallerKind.CITIZEN:
        if not on_behalf_of:
            raise RequestInvalid(
                "A resident asks on behalf of an agency.",
                violations=[Violation("on_behalf_of", "The USCC of the agency that the matter asks for.")],
            )
        return on_behalf_of
    caller.must(RIGHT)
    own = caller.agency or caller.id
    if on_behalf_of not in {"", own}:
        raise RequestInvalid(
            "An agency asks for itself.", violations=[Violation("on_behalf_of", "Empty for agencies.")]
        )
    return own


def _must_be_own(caller: Caller, subject: Subject) -> None:
    if caller.kind is not CallerKind.CITIZEN:
        return
    if subject.kind is not SubjectKind.SUBJECT_ID or subject.value != caller.id:
        raise NotOwnRecord("A resident may ask about nobody but themselves.")
