# SPDX-License-Identifier: Apache-2.0
"""Cases that a benchmark stores by COPY are cases like any other."""

from pathlib import Path

from sqlalchemy import func, select

from bench.stored import fill
from services.cli.postgres import Postgres
from services.gateway.domain.history import kind_of
from services.gateway.service import CaseStatus
from services.gateway.store.tables import cases, tasks, timers
from services.kit.caller import acting_as
from services.kit.ids import derived_id
from tests.support.gateway_inbox import ALICE, Desk, bearer, desk
from tests.support.gateway_world import NEIGHBOR
from tests.support.postgres import fresh_database

MANY = 200
OUTPUT = {"output": {"number": "CTID01"}}


async def answered(office: Desk, task: str) -> None:
    for action, body in (("claim", None), ("answer", OUTPUT)):
        told = await office.act(task, action, body, by=bearer(ALICE))
        assert told.status_code == 200, told.text


async def kinds(office: Desk, case_id: str) -> list[str]:
    return [kind_of(event) for _, event in await office.store.events_after(case_id, 0)]


async def test_stored_cases_are_folded_found_and_worked_on_like_those_that_were_lived(
    postgres: Postgres, tmp_path: Path
) -> None:
    async with fresh_database(postgres) as url, desk(url, tmp_path) as office:
        closed = await office.case(place="990101")
        [task] = await office.tasks()
        await answered(office, task["id"])
        waiting = await office.case(place="990101")
        own = await fill(url, tmp_path, (closed.id, waiting.id), [NEIGHBOR.id], MANY, open_share=0.1, owned=4)

        assert len(own) == 4
        async with office.store.reading() as connection:
            asked = select(cases.c.status, func.count()).group_by(cases.c.status)
            counted = {row[0]: row[1] for row in (await connection.execute(asked)).all()}
            open_id = (
                await connection.execute(
                    select(cases.c.case_id).where(cases.c.ended.is_(None), cases.c.case_id != waiting.id).limit(1)
                )
            ).scalar_one()
            alarms = (await connection.execute(select(func.count()).where(timers.c.case_id == open_id))).scalar_one()
            live = (await connection.execute(select(func.count()).where(tasks.c.state == "open"))).scalar_one()
        assert counted == {"completed": MANY * 9 // 10 + 1, "submitted": MANY // 10 + 1}
        assert (alarms, live) == (1, MANY // 10 + 1)

        for one in own:
            with acting_as(NEIGHBOR):
                case = await office.world.service.case(one.case_id)
                assert (case.status, case.receipt) == (CaseStatus.COMPLETED, one.receipt)
                assert case.id == (await office.world.service.trace_of(one.receipt)).case_id
            assert case.created < closed.created
            assert await kinds(office, one.case_id) == await kinds(office, closed.id)

        await answered(office, derived_id("task", open_id, "answer", "1"))
        file = await office.store.case_file(open_id)
        assert file is not None
        assert file.state.status is CaseStatus.COMPLETED
        assert await kinds(office, open_id) == await kinds(office, closed.id)
