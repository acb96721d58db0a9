# SPDX-License-Identifier: Apache-2.0
"""Fills the gateway's database with cases: copies of a few that were lived through the public door, row by row and by COPY.

Each copy has ids, receipt number, applicant and moments of its own in every row and within every sealed body, and each body is
sealed anew for its place, so that the gateway reads and folds it like any other. Whatever table has a column `case_id` is
copied, so a new one comes along by itself; a new sealed column must be named in `SEALED`, or the fill refuses.
Not copied: sums of statistics, and idempotency keys that are older than the gateway keeps them.
As a process: `python -m bench.stored`, one plan (JSON) on standard input, one JSON line when it is done.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from sqlalchemy import Table

from bench.processes import say, worker
from services.gateway.domain.values import china_date
from services.gateway.store import SqlGatewayStore
from services.gateway.store.rows import NEVER
from services.kit.crypto import Keyring
from services.kit.ids import derived_id

SEALED: dict[tuple[str, str], str] = {
    ("case_event", "body"): "case:{case_id}:{seq}",
    ("case_snapshot", "body"): "snapshot:{case_id}:{version}",
    ("task", "input"): "task:{task_id}",
    ("task", "proposal"): "proposal:{task_id}",
    ("task_log", "words"): "task_log:{task_id}:{seq}",
}
"""What each sealed column is bound to, in the words of its row."""
WORKERS = 2
DAYS = 365
"""The stored cases are spread over so many days until yesterday."""
KEY_DAYS = 30
_AT_A_TIME = 500
_SCATTER = 0x9E3779B97F4A7C15F39CC1  # odd: as many different tails as numbers
_TASK_LOG = "task_log"
_SERIAL_DIGITS, _DAY_DIGITS = 6, 8
_SETTINGS = {"max_wal_size": "'16GB'", "checkpoint_timeout": "'30min'", "autovacuum": "off"}

Row = dict[str, Any]
Names = Mapping[str, str]
Write = Callable[[Names, timedelta], Any]


@dataclass(frozen=True)
class Stored:
    """One case that was stored."""

    case_id: str
    receipt: str
    owner: int
    """Whose it is: the place among the residents that were given."""


class Original:
    """A case that was lived, ready to be written again under other names."""

    def __init__(self, keyring: Keyring, rows: Mapping[str, Sequence[Row]]) -> None:
        self._keyring = keyring
        file = rows["case_file"][0]
        self._implementation = file["receipt"][: -_SERIAL_DIGITS - _DAY_DIGITS]
        self._steps = [(f"task{at}", each["step_id"], each["attempt"]) for at, each in enumerate(rows.get("task", ()))]
        self._notices = [(f"notice{at}", each["step_id"]) for at, each in enumerate(rows.get("notice", ()))]
        self.created: datetime = file["created"]
        self._known = {file["case_id"]: "case", file["receipt"]: "receipt", file["applicant_id"]: "applicant"}
        self._known |= {each["task_id"]: f"task{at}" for at, each in enumerate(rows.get("task", ()))}
        self._known |= {each["notice_id"]: f"notice{at}" for at, each in enumerate(rows.get("notice", ()))}
        self._ids = re.compile("|".join(map(re.escape, self._known)))
        self.columns = {table: list(each[0]) for table, each in rows.items() if each}
        self._writes = {
            table: [[self._write(table, name, row) for name in row] for row in each] for table, each in rows.items()
        }

    def names(self, case_id: str, applicant: str, serial: int, shift: timedelta) -> Names:
        """What a copy's ids are."""
        day = china_date(self.created + shift).replace("-", "")
        receipt = f"{self._implementation}{day}{serial:0{_SERIAL_DIGITS}d}"
        tasks = {name: derived_id("task", case_id, step, str(attempt)) for name, step, attempt in self._steps}
        notices = {name: derived_id("notice", case_id, step) for name, step in self._notices}
        return {"case": case_id, "receipt": receipt, "applicant": applicant, **tasks, **notices}

    def rows(self, table: str, names: Names, shift: timedelta) -> Iterator[tuple[Any, ...]]:
        """A copy's rows of a table."""
        for writes in self._writes.get(table, ()):
            yield tuple(write(names, shift) for write in writes)

    def _write(self, table: str, column: str, row: Row) -> Write:
        value = row[column]
        if (table, column) == ("idempotency", "key"):
            return lambda names, _: derived_id(names["case"], value)
        if isinstance(value, bytes) and value:
            place = SEALED[table, column].format(**row)
            plain, context = self._pattern(self._keyring.open_sealed(value, place).decode()), self._pattern(place)
            return lambda names, _: self._keyring.seal((plain % names).encode(), context % names)
        if isinstance(value, datetime) and value != NEVER:
            return lambda _, shift: value + shift
        if isinstance(value, str) and self._ids.search(value):
            pattern = self._pattern(value)
            return lambda names, _: pattern % names
        return lambda _names, _shift: value

    def _pattern(self, text: str) -> str:
        return self._ids.sub(lambda found: f"%({self._known[found[0]]})s", text.replace("%", "%%"))


async def original(connection: Any, keyring: Keyring, case_id: str) -> Original:
    """Read a case with everything that stands beside it."""
    rows: dict[str, list[Row]] = {}
    for table in _tables():
        asked = f'SELECT * FROM "{table.name}" WHERE case_id = $1'  # noqa: S608 - names of our own tables
        rows[table.name] = [dict(each) for each in await connection.fetch(asked, case_id)]
    logged = "SELECT * FROM task_log WHERE task_id = ANY($1) ORDER BY task_id, seq"
    rows[_TASK_LOG] = [dict(each) for each in await connection.fetch(logged, [one["task_id"] for one in rows["task"]])]
    return Original(keyring, {name: each for name, each in rows.items() if each})


def _tables() -> list[Table]:
    return [table for table in SqlGatewayStore.metadata.sorted_tables if "case_id" in table.c]


@dataclass(frozen=True)
class Part:
    """What one worker stores: `count` of `whole` cases, from number `first` on."""

    database: str
    keys: str
    closed: str
    open: str
    owners: Sequence[str]
    whole: int
    first: int
    count: int
    open_every: int
    own_every: int

    def case_of(self, number: int) -> Stored:
        """The number-th case: ids in order of numbers, so that the index grows at its end."""
        head, tail = number * (1 << 32) // self.whole, f"{number * _SCATTER % (1 << 88):022x}"
        case_id = f"{head:08x}-{tail[:4]}-4{tail[4:7]}-a{tail[7:10]}-{tail[10:]}"
        return Stored(case_id, "", number // self.own_every % len(self.owners) if number % self.own_every == 0 else -1)

    def applicant(self, one: Stored) -> str:
        """Mostly somebody who has no other case."""
        return self.owners[one.owner] if one.owner >= 0 else derived_id("resident", one.case_id)

    def shift(self, number: int, created: datetime) -> timedelta:
        """How long before the original it was: the first cases are the oldest."""
        if self.is_open(number):
            return timedelta(hours=-1) * (1 + number % 20)
        return timedelta(days=-1) - timedelta(days=DAYS) * (1 - number / self.whole) + (_noon() - created)

    def is_open(self, number: int) -> bool:
        """Whether it waits in a queue of clerks."""
        return number % self.open_every == self.open_every - 1


def _noon() -> datetime:
    return datetime.now(UTC).replace(hour=4, minute=0, second=0, microsecond=0)  # noon in China


async def copy(part: Part) -> list[Stored]:
    """Store a part; the cases that belong to the residents given."""
    keyring = Keyring.open(Path(part.keys))
    connection = await asyncpg.connect(part.database)
    own: list[Stored] = []
    try:
        await connection.execute("SET synchronous_commit = off")
        closed, waiting = [await original(connection, keyring, each) for each in (part.closed, part.open)]
        forgotten = datetime.now(UTC) - timedelta(days=KEY_DAYS)
        for begin in range(part.first, part.first + part.count, _AT_A_TIME):
            rows: dict[str, list[tuple[Any, ...]]] = {}
            columns: dict[str, list[str]] = {}
            for number in range(begin, min(begin + _AT_A_TIME, part.first + part.count)):
                source = waiting if part.is_open(number) else closed
                one, shift = part.case_of(number), part.shift(number, source.created)
                names = source.names(one.case_id, part.applicant(one), _serial(part, number), shift)
                if one.owner >= 0:
                    own.append(Stored(one.case_id, names["receipt"], one.owner))
                for table, its in source.columns.items():
                    if table == "idempotency" and source.created + shift < forgotten:
                        continue
                    columns.setdefault(table, its)
                    rows.setdefault(table, []).extend(source.rows(table, names, shift))
            for table, some in rows.items():
                await connection.copy_records_to_table(table, records=some, columns=columns[table])
    finally:
        await connection.close()
    return own


def _serial(part: Part, number: int) -> int:
    """Of the receipt: open ones, which are all of yesterday and today, count from the end."""
    top = int(10**_SERIAL_DIGITS) - 1
    return top - number // part.open_every if part.is_open(number) else number % (top // 2)


async def fill(
    database: str,
    keys: Path,
    originals: tuple[str, str],
    owners: Sequence[str],
    count: int,
    *,
    open_share: float = 0.02,
    owned: int = 100,
) -> list[Stored]:
    """Store `count` cases like the closed and the open one given, by two processes; those that belong to `owners`.

    Args:
        database: URL of the gateway's database, of a superuser.
        keys: folder of the gateway's keys.
        originals: ids of the closed and of the open case.
        owners: subject ids of residents who get some of the cases.
        count: how many cases.
        open_share: share of them that wait in a queue.
        owned: how many of them go to the owners.
    """
    connection = await asyncpg.connect(database)
    try:
        for name, value in _SETTINGS.items():
            await connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        await connection.execute("SELECT pg_reload_conf()")
        shares = [count * at // WORKERS for at in range(WORKERS + 1)]
        parts = [
            Part(
                database=database,
                keys=str(keys),
                closed=originals[0],
                open=originals[1],
                owners=owners,
                whole=count,
                first=first,
                count=after - first,
                open_every=max(2, round(1 / open_share)),
                own_every=max(1, count // owned),
            )
            for first, after in pairwise(shares)
        ]
        own = [each for some in await asyncio.gather(*map(_copied, parts)) for each in some]
        for table in _tables():
            await connection.execute(f'VACUUM (ANALYZE) "{table.name}"')
        await connection.execute(f"VACUUM (ANALYZE) {_TASK_LOG}")
        for name in _SETTINGS:
            await connection.execute(f"ALTER SYSTEM RESET {name}")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    return own


async def _copied(part: Part) -> list[Stored]:
    async with worker("bench.stored", core=None) as process:
        told = await process.ask(json.dumps(vars(part)), 1800)
    return [Stored(*each) for each in told["own"]]


async def main() -> None:
    """Store the part that standard input tells."""
    part = Part(**json.loads(await asyncio.to_thread(sys.stdin.readline)))
    began = time.perf_counter()
    own = await copy(part)
    say(own=[(each.case_id, each.receipt, each.owner) for each in own], seconds=time.perf_counter() - began)


if __name__ == "__main__":
    uvloop.run(main())
