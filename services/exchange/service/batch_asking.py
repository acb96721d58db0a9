# SPDX-License-Identifier: Apache-2.0
"""Asks about some subjects of a batch, a few at once: rows in their order, and a leaf for each question."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.exchange.domain.batches import PART_BYTES_MAX, ROW_BYTES_MAX, Batch, Part, Row
from services.exchange.domain.inquiry import Subject
from services.exchange.domain.permit import Permit
from services.exchange.domain.refusals import ProviderAnswerInvalid, ends_stream
from services.exchange.domain.terms import Method
from services.exchange.service.broker import Broker
from services.exchange.service.corrections.disputes import Disputes
from services.exchange.service.pace import ask_paced
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subjects import Subjects
from services.kit.errors import NotFound, Refusal, Unavailable
from services.kit.ledger.access import ANSWERED, Access, canonical
from services.kit.logs import get_logger

ASKED_AT_ONCE = 8
"""Questions of one stream that are open at the provider: bounds what a stream holds in memory to some large rows."""
CLOSE_SECONDS = 2.0
CANCELLED = "CANCELLED"


@dataclass(slots=True)
class Asked:
    """What came of asking. Rows and leaves by place; `stopped` is what ended it, at a place that has no row."""

    rows: dict[int, Row] = field(default_factory=dict)
    leaves: dict[int, Access] = field(default_factory=dict)
    size: int = 0
    stopped: Exception | None = None
    ending: bool = False

    @property
    def ended(self) -> bool:
        """Whether no further subject is asked about."""
        return self.ending or self.stopped is not None or self.size >= PART_BYTES_MAX

    def in_order(self) -> list[Row]:
        """Give the rows up to the first place without one: only these can be sent."""
        rows: list[Row] = []
        while (row := self.rows.get(len(rows))) is not None:
            rows.append(row)
        return rows

    def accesses(self, sent: int) -> list[Access]:
        """Give the leaves: of the rows that are sent, in order, then of what was asked and can't be."""
        places = sorted(self.leaves)
        unsent = (self.leaves[at] for at in places if at >= sent)
        lost = [each._replace(outcome=CANCELLED, digest="") if each.outcome == ANSWERED else each for each in unsent]
        return [self.leaves[at] for at in range(sent)] + lost


class Asker:
    """Asks for a batch; shared by all streams of the process."""

    def __init__(
        self,
        rulebook: Rulebook,
        subjects: Subjects,
        broker: Broker,
        *,
        disputes: Disputes,
        digest: Callable[[bytes], str],
    ) -> None:
        self._rulebook = rulebook
        self._subjects = subjects
        self._broker = broker
        self._disputes = disputes
        self._digest = digest
        self._late: set[asyncio.Task[Any]] = set()

    def afterwards(self, making: "asyncio.Task[Any]") -> None:
        """Let a part be made to its end that nobody waits for any more; `close` waits for it."""
        self._late.add(making)
        making.add_done_callback(self._ended)

    async def close(self) -> None:
        """Return when nobody is asked any more; providers may then be closed."""
        if self._late:
            _, hung = await asyncio.wait(self._late, timeout=CLOSE_SECONDS)
            for making in hung:
                making.cancel()
                await asyncio.wait([making])

    def _ended(self, making: "asyncio.Task[Any]") -> None:
        self._late.discard(making)
        if not making.cancelled() and isinstance(error := making.exception(), Exception):
            get_logger().warning("batch_part_lost", error=type(error).__name__)

    async def permit(self, batch: Batch, *, under: str = "") -> Permit:
        """Permit the batch as the rules are now, or refuse: the provider must have approved batches.

        `under`: only this grant counts.
        """
        return await self._rulebook.permit_query(
            batch.agency, batch.resource, purpose=batch.purpose, fields=batch.fields, method=Method.BATCH, under=under
        )

    async def withdrawn(self, batch: Batch, part: Part) -> Access | None:
        """Look at what a kept part rests on; give the leaf of the first that no longer holds, None where everything does."""
        access = leaf_of(batch)
        try:
            permit = await self.permit(batch, under=part.grant_id)
            for row in part.rows:
                if row.values:
                    access = leaf_of(batch, permit)._replace(subject_id=row.subject_id)
                    await self._broker.must_consent(
                        permit, subject_id=row.subject_id, grantee=batch.agency, purpose=batch.purpose
                    )
        except Refusal as refusal:
            return access._replace(outcome=refusal.reason)
        return None

    def marked(self, batch: Batch, part: Part) -> Part:
        """Mark what is in dispute now."""
        rows = [
            replace(row, disputed=found)
            if row.values and (found := self._disputes.among(batch.resource, row.subject_id, batch.fields))
            else row
            for row in part.rows
        ]
        return replace(part, rows=rows)

    async def ask(self, batch: Batch, permit: Permit, subjects: Sequence[Subject], asked: Asked) -> None:
        """Fill `asked`, until every subject was asked about or it is ended; questions under way are waited for."""
        places = iter(enumerate(subjects))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(ASKED_AT_ONCE, len(subjects))):
                group.create_task(self._some(batch, permit, places, asked))

    async def _some(self, batch: Batch, permit: Permit, places: Iterator[tuple[int, Subject]], asked: Asked) -> None:
        while not asked.ended and (taken := next(places, None)) is not None:
            place, subject = taken
            try:
                await self._one(batch, permit, place, subject, asked)
            except Exception as error:  # noqa: BLE001 - whatever ends one question ends the part, and is raised after it
                asked.stopped = asked.stopped or error

    async def _one(self, batch: Batch, permit: Permit, place: int, subject: Subject, asked: Asked) -> None:
        access = leaf_of(batch, permit)
        try:
            subject_id = await self._subjects.subject_id(subject, purpose=batch.purpose, case_id=batch.case_id)
            access = access._replace(subject_id=subject_id)
            values = await self._values(batch, permit, subject, subject_id)
        except Refusal as refusal:
            asked.leaves[place] = access._replace(outcome=refusal.reason)
            if ends_stream(refusal):
                raise
            asked.rows[place] = Row(refusal.reason)
        except Exception as error:
            if access.subject_id:  # Else nobody was asked about yet.
                outcome = "UNAVAILABLE" if isinstance(error, Unavailable) else "INTERNAL"
                asked.leaves[place] = access._replace(outcome=outcome)
            raise
        else:
            asked.leaves[place] = access._replace(digest=self._digest(values))
            asked.rows[place] = Row(ANSWERED, values, subject_id)
            asked.size += len(values)

    async def _values(self, batch: Batch, permit: Permit, subject: Subject, subject_id: str) -> bytes:
        values = await ask_paced(
            self._broker,
            permit,
            subject,
            subject_id=subject_id,
            purpose=batch.purpose,
            grantee=batch.agency,
            case_id=batch.case_id,
        )
        if values is None:
            raise NotFound("The provider has no record of the subject.")
        text = canonical(values)
        if len(text) > ROW_BYTES_MAX:
            raise ProviderAnswerInvalid(f"The provider's answer is larger than {ROW_BYTES_MAX} bytes.")
        return text


def leaf_of(batch: Batch, permit: Permit | None = None) -> Access:
    """Begin a leaf of the batch: what is known before a subject is."""
    return Access(
        operation="query_batch",
        subject_id="",
        purpose=batch.purpose,
        basis="" if permit is None else permit.basis,
        fields=batch.fields,
        resource=batch.resource,
        case_id=batch.case_id,
    )
