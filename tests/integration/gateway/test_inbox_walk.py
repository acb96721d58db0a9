# SPDX-License-Identifier: Apache-2.0
"""Two clerks and their head act at once on one task, in any order: one wins, whoever loses is told why, nothing is lost or doubled."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from services.cli.postgres import Postgres
from services.gateway.service import CaseStatus
from services.gateway.store.tables import task_logs
from tests.support.gateway_inbox import ALICE, BOB, HEAD, Desk, bearer, desk
from tests.support.postgres import fresh_database

SUPERVISE = "gateway.supervise"
CLERKS = (ALICE, BOB)
ACTS = ("claim", "release", "answer", "refuse", "assign", "notes")
REFUSED = {"TASK_HELD", "TASK_NOT_HELD", "TASK_NOT_OPEN"}
"""The only ways to lose; each says who has it or did it."""
WORDS = {"zh": "不予", "en": "No"}

Wave = list[tuple[str, str]]
waves = st.lists(
    st.lists(st.tuples(st.sampled_from(CLERKS), st.sampled_from(ACTS)), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


async def acted(office: Desk, task: str, who: str, what: str) -> tuple[str, str, int, str]:
    """Do it, and say how it ended: the reason is empty where it was done."""
    bodies: dict[str, dict[str, object]] = {
        "answer": {"output": {"number": "T1"}},
        "refuse": {"refused": {"reason": "NO", "message": WORDS}},
        "assign": {"clerk": who},
        "release": {},
        "notes": {"words": "x"},
    }
    body = bodies.get(what)
    by = bearer(HEAD, SUPERVISE) if what == "assign" else bearer(who)
    answer = await office.act(task, "answer" if what == "refuse" else what, body, by=by)
    reason = "" if answer.status_code == 200 else str(answer.json()["reason"])
    return who, what, answer.status_code, reason


async def walk(office: Desk, script: list[Wave]) -> None:
    """Every wave acts at once; after each, what is kept agrees with what was answered."""
    case = await office.case()
    [task] = [one["id"] for one in await office.tasks(HEAD, SUPERVISE, page_size=200) if one["case_id"] == case.id]
    won: list[tuple[str, str]] = []
    for wave in script:
        ended = await asyncio.gather(*(acted(office, task, who, what) for who, what in wave))
        assert {reason for *_, reason in ended} <= {"", *REFUSED}, ended
        assert all(status in {200, 409} for *_, status, _ in ended)
        won += [(who, what) for who, what, _, reason in ended if not reason]
    answers = [(who, what) for who, what in won if what in {"answer", "refuse"}]
    assert len(answers) <= 1
    kept = await office.store.task_of(task)
    assert kept is not None
    status = (await office.seen(case)).status
    if answers:
        [(who, what)] = answers
        assert (kept.state.value, kept.clerk) == ("done" if what == "answer" else "refused", who)
        assert status is (CaseStatus.COMPLETED if what == "answer" else CaseStatus.REFUSED)
    else:
        assert (kept.state.value == "leased") is bool(kept.clerk)
        assert status is CaseStatus.SUBMITTED
    async with office.store.reading() as connection:
        asked = select(task_logs).where(task_logs.c.task_id == task).order_by(task_logs.c.seq)
        log = [(row.kind, row.clerk_id, row.other) for row in (await connection.execute(asked)).all()]
    holder = ""
    for kind, who, other in log:
        match kind:
            case "claimed":
                assert holder == ""
                holder = who
            case "released":
                assert holder == who
                holder = ""
            case "assigned" | "handed_over":
                assert (holder == "") is (kind == "assigned")
                holder = other
            case _:
                assert holder == who, log
    assert holder == kept.clerk


def hold(run: Callable[[list[Wave]], Awaitable[None]], examples: int) -> None:
    """Search for a walk that breaks a rule; the loop is the test's own."""
    loop = asyncio.new_event_loop()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(waves)
    def search(script: list[Wave]) -> None:
        loop.run_until_complete(run(script))

    try:
        search()
    finally:
        loop.close()


def test_any_walk_has_one_winner_on_sqlite() -> None:
    async def run(script: list[Wave]) -> None:
        with TemporaryDirectory() as folder:
            async with desk(f"sqlite:///{folder}/probe.sqlite", Path(folder)) as office:
                await walk(office, script)

    hold(run, examples=25)


def test_any_walk_has_one_winner_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    async def run(script: list[Wave]) -> None:
        async with fresh_database(postgres) as url, desk(url, tmp_path) as office:
            await walk(office, script)

    hold(run, examples=10)


@pytest.mark.parametrize("number", range(5))
async def test_of_two_who_claim_at_once_one_wins_and_the_other_is_told_who(
    database: str, tmp_path: Path, number: int
) -> None:
    async with desk(database, tmp_path) as office:
        task = await office.task()
        ended = await asyncio.gather(*(office.act(task, "claim", by=bearer(name)) for name in CLERKS))
        assert sorted(one.status_code for one in ended) == [200, 409], number
        winner = next(one.json()["clerk"] for one in ended if one.status_code == 200)
        loser = next(one.json() for one in ended if one.status_code == 409)
        assert (loser["reason"], winner in loser["detail"]) == ("TASK_HELD", True)
