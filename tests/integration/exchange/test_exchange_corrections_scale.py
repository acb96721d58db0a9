# SPDX-License-Identifier: Apache-2.0
"""Very many corrections, recalls and deadlines: a bell, a page and an inbox must not grow with them."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from services.exchange.domain.corrections import CorrectionState
from services.exchange.service.corrections.ports import ACKNOWLEDGE, ANSWER, CorrectionFilter, acknowledge_owner
from services.exchange.store.corrections import correction, recall, recall_row
from services.kit.calendar.rows import deadline_table
from services.kit.ids import new_id
from tests.support.best_of_three import seconds
from tests.support.exchange_disputes import START, Disputed, disputed
from tests.support.exchange_world import HOSPITAL, OPERATOR, POLICE

MANY = 15_000
CHUNK = 5_000


async def fill(world: Disputed) -> str:
    """One real correction with its recall, and very many of others that look like it, not due yet."""
    await world.gave(HOSPITAL)
    correction_id = await world.opened()
    await world.confirmed(correction_id)
    deadline = deadline_table(world.store.metadata)
    async with world.store.transaction() as tx:
        one = dict((await tx.connection.execute(select(correction))).mappings().one())
        own = await tx.find_recall(correction_id, HOSPITAL)
        assert own is not None
        clock = dict(
            (await tx.connection.execute(select(deadline).where(deadline.c.kind == ACKNOWLEDGE))).mappings().one()
        )
        later = START + timedelta(days=400)
        for _ in range(0, MANY, CHUNK):
            ids = [new_id() for _ in range(CHUNK)]
            rows = [
                {**one, "correction_id": id, "claimant": f"citizen:{id}", "provider": "P", "subject": id} for id in ids
            ]
            recalls = [{**recall_row(own), "correction_id": id, "agency": "A"} for id in ids]
            clocks = [{**clock, "owner": acknowledge_owner(id, "A"), "next_time": later, "due": later} for id in ids]
            clocks += [{**clock, "kind": ANSWER, "owner": id, "next_time": None} for id in ids]
            await tx.connection.execute(correction.insert(), rows)
            await tx.connection.execute(recall.insert(), recalls)
            await tx.connection.execute(deadline.insert(), clocks)
        if world.store.dialect == "postgresql":
            await tx.connection.exec_driver_sql("ANALYZE")
    return correction_id


async def test_bells_pages_and_inboxes_do_not_read_everything(database: str, tmp_path: Path) -> None:
    async with disputed(database, tmp_path) as world:
        correction_id = await fill(world)
        store = world.store

        async def everything() -> int:
            async with store.reading() as connection:
                return len((await connection.execute(select(correction.c.correction_id, correction.c.claim))).all())

        whole = await seconds(everything)
        for wanted in (
            CorrectionFilter(provider=POLICE),
            CorrectionFilter(claimant="citizen:nobody"),
            CorrectionFilter(),
            CorrectionFilter(state=CorrectionState.OPEN),
            CorrectionFilter(provider=POLICE, state=CorrectionState.REJECTED),
            CorrectionFilter(late=True),
        ):
            assert await seconds(lambda w=wanted: store.list_corrections(w, page_size=50, page_token="")) < whole / 4  # type: ignore[misc]
        inbox = lambda: store.list_recalls(  # noqa: E731
            agency=HOSPITAL, late=False, acknowledged=False, page_size=50, page_token=""
        )
        assert await seconds(inbox) < whole / 4
        late = lambda: world.recalls.inbox(OPERATOR, acknowledged=False, page_size=50, page_token="")  # noqa: E731
        assert await seconds(late) < whole / 4
        assert await seconds(lambda: store.read_correction(correction_id)) < whole / 4
        assert await seconds(world.deadlines.ring) < whole / 4
        assert await seconds(lambda: store.disputes_since(START + timedelta(days=1))) < whole / 4
        world.later(days=30)
        await world.rung()
        assert [each[0] for each in await world.clocks()] == [HOSPITAL] * 3
