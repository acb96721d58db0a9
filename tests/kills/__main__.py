# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.kills --kills 1000 --profile full`: two gateways on one store, one kill -9 after the other at every commit they make.

A birth, a case that is undone and one that is withdrawn run without pause. After each round everything is left to end, and is looked at from
outside. The report counts on: a run that was cut off goes on from its last round. Ends with 1 where anything was lost or doubled.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from services.gateway.events import to_wire
from services.gateway.store import SqlGatewayStore
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.ids import new_id
from tests.kills.check import findings
from tests.kills.gateway import Life, live
from tests.kills.places import Places, Servers
from tests.kills.town import ENDS, owners
from tests.support.probe import resources

ROUND = 50
UNDER_WAY = 6
COMMITS = 40
"""Kills go through the first so many commits of a gateway's life, each on both sides, and begin again."""
END_SECONDS = 180.0
_KILLED = -9


@dataclass
class Tally:
    """What was seen in one profile."""

    kills: int = 0
    before: int = 0
    after: int = 0
    cases: int = 0
    rounds: int = 0
    settled_seconds_max: float = 0.0
    by_commit: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


class Round:
    """Two gateways, killed so many times."""

    def __init__(self, places: Places, tally: Tally, kills: int) -> None:
        self._places = places
        self._tally = tally
        self._left = kills
        self._fate = tally.kills
        self._wishes: list[str] = []
        self._processes = multiprocessing.get_context("forkserver")
        self._seats: dict[int, tuple[BaseProcess, Life]] = {}

    async def run(self) -> None:
        """Kill, let everything end, look at it."""
        (self._places.folder / "wishes").touch()
        (self._places.folder / "acknowledged").touch()
        async with AsyncExitStack() as stack:
            stack.enter_context(acting_as(Caller(CallerKind.SERVICE, "gateway")))
            given = resources(self._places.gateway, self._places.folder / "gateway")
            store = await stack.enter_async_context(SqlGatewayStore.open(given, encode=to_wire))
            stores = await stack.enter_async_context(
                owners(self._places.owners, self._places.events, self._places.folder)
            )
            stack.callback(self._end)
            while self._left:
                await self._wish(store)
                self._replace()
                await asyncio.sleep(0.05)
            await self._settle(store)
            self._end()
            self._tally.findings += await findings(self._places.gateway, self._places.folder, stores, self._wishes)
        self._tally.cases += len(self._wishes)
        self._tally.rounds += 1

    async def _wish(self, store: SqlGatewayStore) -> None:
        """Some cases of each matter are always under way."""
        if len(self._wishes) - await _ended(store) >= UNDER_WAY:
            return
        with (self._places.folder / "wishes").open("a", encoding="utf-8") as wishes:
            for matter in ENDS:
                self._wishes.append(f"{matter} {new_id()}")
                wishes.write(f"{self._wishes[-1]}\n")

    def _replace(self) -> None:
        """Somebody else takes the seat of who died."""
        for seat in (1, 2):
            process, life = self._seats.get(seat, (None, None))
            if process is not None and process.is_alive():
                continue
            if process is not None and life is not None and life.dies_at:
                assert process.exitcode == _KILLED, f"A gateway ended by itself ({process.exitcode})."
                self._count(life)
            if self._left:
                self._seat(seat, dies_at=self._fate // 2 % COMMITS + 1, before=self._fate % 2 == 0)
                self._fate += 1

    def _count(self, life: Life) -> None:
        self._left = max(0, self._left - 1)
        self._tally.kills += 1
        self._tally.before += life.before
        self._tally.after += not life.before
        at = str(life.dies_at)
        self._tally.by_commit[at] = self._tally.by_commit.get(at, 0) + 1

    def _seat(self, seat: int, *, dies_at: int, before: bool) -> None:
        places = self._places
        life = Life(places.gateway, places.events, places.folder, seat, dies_at, before)
        process = self._processes.Process(target=live, args=(life,))
        process.start()
        self._seats[seat] = (process, life)

    async def _settle(self, store: SqlGatewayStore) -> None:
        """Gateways that live bring everything to its end."""
        self._end()
        for seat in (1, 2):
            self._seat(seat, dies_at=0, before=False)
        began = time.monotonic()
        while await _ended(store) < len(self._wishes) and time.monotonic() < began + END_SECONDS:
            await asyncio.sleep(0.1)
        seconds = round(time.monotonic() - began, 1)
        self._tally.settled_seconds_max = max(self._tally.settled_seconds_max, seconds)

    def _end(self) -> None:
        for process, _ in self._seats.values():
            process.kill()
            process.join()
        self._seats = {}


async def _ended(store: SqlGatewayStore) -> int:
    cases = store.metadata.tables["case_file"]
    asked = select(func.count()).where(cases.c.ended.is_not(None))
    async with store.reading() as connection:
        return int((await connection.execute(asked)).scalar_one())


async def _profile(profile: str, kills: int, report: Path) -> Tally:
    tally = Tally(**_known(report).get(profile, {}))
    with Servers(profile) as servers:
        while tally.kills < kills and not tally.findings:
            async with servers.places() as places:
                await Round(places, tally, min(ROUND, kills - tally.kills)).run()
            _write(report, profile, tally)
            print(_said(profile, tally), flush=True)
    return tally


def _known(report: Path) -> dict[str, Any]:
    return dict(json.loads(report.read_text(encoding="utf-8"))) if report.exists() else {}


def _write(report: Path, profile: str, tally: Tally) -> None:
    report.parent.mkdir(parents=True, exist_ok=True)
    whole = _known(report) | {profile: asdict(tally)}
    report.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def _said(profile: str, tally: Tally) -> str:
    broken = "; ".join(tally.findings[:5]) or "nothing lost, nothing doubled"
    return (
        f"| {profile} | {tally.kills} ({tally.before} before, {tally.after} after a commit; the first "
        f"{max(map(int, tally.by_commit), default=0)} of a life) | {tally.cases} | {tally.settled_seconds_max} s | {broken} |"
    )


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--profile", choices=["embedded", "full", "all"], default="all")
    parser.add_argument("--kills", type=int, default=1000, help="in all, counting those of earlier runs in the report")
    parser.add_argument("--report", type=Path, default=Path("var/kills.json"))
    options = parser.parse_args()
    multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.kills.gateway"])
    profiles = ["embedded", "full"] if options.profile == "all" else [options.profile]
    tallies = [asyncio.run(_profile(profile, options.kills, options.report)) for profile in profiles]
    return 1 if any(tally.findings for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
