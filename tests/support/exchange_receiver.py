# SPDX-License-Identifier: Apache-2.0
"""A receiver of a batch, over the use cases."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.exchange.domain.batches import EMPTY_DIGEST, Batch, Part, Report, Row, chained
from services.exchange.domain.inquiry import Subject
from services.exchange.service.batch_stream import BatchStream
from services.exchange.service.batches import OpenBatch
from services.kit.ids import new_id
from tests.support.exchange_calls import CallsWorld
from tests.support.exchange_world import HOSPITAL_CALLER, HOUSEHOLD


@dataclass
class Receiver:
    """Holds what it was sent, as a receiver does: whole parts, and their digest computed anew."""

    world: CallsWorld
    batch_id: str = field(default_factory=new_id)
    rows: list[Row] = field(default_factory=list)
    digest: bytes = EMPTY_DIGEST
    stream: BatchStream = field(init=False)

    async def open(self, *, kept_too: bool = True, **changes: Any) -> Batch:
        command = OpenBatch(self.batch_id, HOUSEHOLD, "birth", "990100/x/1", (), len(self.rows))
        self.stream = await self.world.batches.open(replace(command, **changes), HOSPITAL_CALLER)
        opened = self.stream.batch
        if kept_too:
            async for part in self.stream.kept():
                self.hold(part)
        return opened

    async def ask(self, subjects: Sequence[Subject]) -> None:
        async for part in self.stream.answer(subjects, received=len(self.rows)):
            self.hold(part)

    async def close(self) -> Batch:
        return await self.stream.close(received=len(self.rows))

    def hold(self, part: Part) -> None:
        assert part.position == len(self.rows)
        self.digest = chained(self.digest, part.rows)
        assert self.digest == part.digest
        self.rows += part.rows

    @property
    def report(self) -> Report:
        return Report(len(self.rows), sum(bool(row.values) for row in self.rows), self.digest)
