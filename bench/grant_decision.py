# SPDX-License-Identifier: Apache-2.0
"""Decisions over 100,000 resources and 1,000,000 grants, in process, on SQLite and PostgreSQL; and how long a service takes to start on them.

A decision is what a call asks of the rulebook before anything else. Three ways of asking: pairs at hand; pairs as callers ask for them (a few often, most
seldom: Zipf, s = 1, over all pairs, so that a share is read from the database); pairs that nobody asked for before. `BENCH_GRANTS` and `BENCH_RESOURCES` set
other numbers.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from bench.processes import worker
from bench.result import Result, percentile, spread
from services.cli.papers import prepare
from services.cli.ports import free_ports
from services.cli.postgres import Postgres
from services.cli.wiring import environment
from services.exchange.config import Settings
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.settings import AdapterKind, ConnectorSettings
from services.exchange.events import encode
from services.exchange.service.rulebook import Rulebook
from services.exchange.store import ExchangeStore
from services.exchange.store import rows as resource_rows
from services.exchange.store.tables import resource as resource_table
from services.kit.clock import Clock, utc_now
from services.kit.crypto import Keyring, SigningKey

RESOURCES = int(os.environ.get("BENCH_RESOURCES", "100000"))
GRANTS = int(os.environ.get("BENCH_GRANTS", "1000000"))
CACHED = 50_000
HELD, HOT, MIXED, COLD, ROUNDS = 10_000, 50_000, 10_000, 2_000, 3
"""Pairs at hand, and decisions of each way of asking; the rulebook would hold `CACHED`."""
PROVIDER = "11990100000001046G"


@dataclass(frozen=True)
class _Database:
    database: str


@dataclass(frozen=True)
class _Resources:
    """As much of a runtime as a store wants."""

    settings: _Database
    keyring: Keyring
    signing_key: SigningKey
    clock: Clock


@dataclass(frozen=True)
class Measured:
    """One database's figures; times in milliseconds."""

    hot_per_second: float
    hot: Sequence[float]
    mixed: Sequence[float]
    mixed_read_share: float
    cold: Sequence[float]
    cold_cpu_ms: float
    unheld: Sequence[float]
    held_mib: float
    start_seconds: float


def pair(number: int) -> tuple[str, str]:
    """Grantee and resource of a grant: ten agencies for each resource."""
    return f"{number // RESOURCES:018d}", f"307002/{number % RESOURCES + 1}"


async def fill(store: ExchangeStore, now: datetime) -> None:
    """Store everything, an hour ago; the words that find a resource are left out, nobody searches here."""
    before = now - timedelta(hours=1)
    for start in range(0, RESOURCES, 5_000):
        batch = [_resource(f"307002/{number + 1}") for number in range(start, min(start + 5_000, RESOURCES))]
        async with store.transaction() as tx:
            made = [resource_rows.resource_row(each, store.keyring, before) for each in batch]
            await tx.connection.execute(insert(resource_table), made)
    sqlite = store.dialect == "sqlite"
    moments = {"before": store.stored(before), "ends": store.stored(now + timedelta(days=365))}
    for start in range(0, GRANTS, 50_000):
        numbers = {"first": start, "last": min(start + 50_000, GRANTS) - 1, "r": RESOURCES}
        async with store.transaction() as tx:
            await tx.connection.execute(text(_SQLITE if sqlite else _POSTGRESQL), numbers | moments)
    if not sqlite:
        async with store.transaction() as tx:
            await tx.connection.exec_driver_sql("ANALYZE sharing_grant")


_COLUMNS = (
    "grant_id, request_id, resource, grantee, purposes, fields, verify_fields, basis, expire_time, daily_quota, create_time, grounds, update_time, terms, "
    "application_id"
)
_SQLITE = f"""
WITH RECURSIVE series(k) AS (SELECT :first UNION ALL SELECT k + 1 FROM series WHERE k < :last)
INSERT INTO sharing_grant ({_COLUMNS})
SELECT printf('%08x-0000-4000-8000-000000000000', k), '', '307002/' || (k % CAST(:r AS integer) + 1), printf('%018d', k / CAST(:r AS integer)),
       '["birth"]', '["household_number","address"]', '["head_name"]', 'PIPL art. 13(1)(3)', :ends, 0, :before, '', :before, '{{}}', ''
FROM series"""  # noqa: S608 - column names
_POSTGRESQL = f"""
INSERT INTO sharing_grant ({_COLUMNS})
SELECT lpad(to_hex(k), 8, '0') || '-0000-4000-8000-000000000000', '', '307002/' || (k % CAST(:r AS integer) + 1),
       lpad((k / CAST(:r AS integer))\\:\\:text, 18, '0'),
       '["birth"]'\\:\\:jsonb, '["household_number","address"]'\\:\\:jsonb, '["head_name"]'\\:\\:jsonb, 'PIPL art. 13(1)(3)', :ends, 0, :before, '', :before,
       '{{}}'\\:\\:jsonb, ''
FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS series(k)"""  # noqa: S608 - column names


def _resource(code: str) -> Resource:
    names = ("household_number", "address", "head_name", "relation")
    return Resource(
        code=code,
        name_zh="居民户口簿",
        name_en="Household register",
        provider=PROVIDER,
        sharing_class=SharingClass.CONDITIONAL,
        sharing_reason="For services to residents.",
        fields=tuple(ResourceField(name, "字段", name, Sensitivity.PERSONAL) for name in names),
        adapter=AdapterKind.CONNECTOR,
        settings=ConnectorSettings(),
        timeout_ms=1000,
        region="990100",
        revision=1,
    )


def _rulebook(store: ExchangeStore) -> Rulebook:
    return Rulebook(
        store,
        clock=utc_now,
        monotonic=time.monotonic,
        age_seconds_max=300,
        pairs_max=CACHED,
        is_working_day=lambda _: True,
    )


async def decided(rulebook: Rulebook, numbers: Sequence[int]) -> list[float]:
    """Decide for each; milliseconds each, in order."""
    times = []
    for number in numbers:
        grantee, code = pair(number)
        began = time.perf_counter()
        await rulebook.permit_query(grantee, code, purpose="birth", fields=("address",))
        times.append((time.perf_counter() - began) * 1000)
    return times


async def unheld(store: ExchangeStore, numbers: Sequence[int]) -> list[float]:
    """What a decision would cost without a rulebook: two reads each."""
    times = []
    for number in numbers:
        grantee, code = pair(number)
        began = time.perf_counter()
        await store.read_resource(code)
        await store.grants_of(grantee, code)
        times.append((time.perf_counter() - began) * 1000)
    return times


async def measured(store: ExchangeStore, *, start_seconds: float) -> Measured:
    """One database's figures."""
    chance = random.Random(1)  # noqa: S311 - which pairs are asked for is no secret
    rulebook = _rulebook(store)
    await rulebook.refresh()
    before = _resident_mib()
    hot = chance.sample(range(GRANTS), min(HELD, GRANTS))
    await decided(rulebook, hot)
    held_mib = _resident_mib() - before
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        times = await decided(rulebook, chance.choices(hot, k=HOT))
        rounds.append((HOT / (time.perf_counter() - began), times))
    ranks = list(accumulate(1 / rank for rank in range(1, GRANTS + 1)))
    order = chance.sample(range(GRANTS), GRANTS)
    asked = [order[at] for at in chance.choices(range(GRANTS), cum_weights=ranks, k=MIXED * 2)]
    fresh = _rulebook(store)
    await fresh.refresh()
    await decided(fresh, asked[:MIXED])
    mixed = await decided(fresh, asked[MIXED:])
    nobody = _rulebook(store)
    await nobody.refresh()
    burned = time.process_time()
    cold = await decided(nobody, chance.sample(range(GRANTS), min(COLD, GRANTS)))
    cold_cpu_ms = (time.process_time() - burned) * 1000 / len(cold)
    without = await unheld(store, chance.sample(range(GRANTS), min(COLD, GRANTS)))
    return Measured(
        hot_per_second=statistics.median(rate for rate, _ in rounds),
        hot=[each for _, times in rounds for each in times],
        mixed=mixed,
        mixed_read_share=sum(each > percentile(cold, 0.01) for each in mixed) / len(mixed),
        cold=cold,
        cold_cpu_ms=cold_cpu_ms,
        unheld=without,
        held_mib=held_mib,
        start_seconds=start_seconds,
    )


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def started(database: str, folder: Path) -> float:
    """Seconds from the start of a service's process on this database until it serves."""
    ports = free_ports()
    prepare(folder / "pki", [PROVIDER])
    settings = Settings(
        database=database,
        events=f"sqlite:///{folder}/events.sqlite",
        grpc_port=ports.grpc_of("exchange"),
        peers={name: ports.address(name) for name in ("identity", "licenses", "exchange", "gateway")},
        pki=folder / "pki",
        keys=folder / "keys",
        log_file=str(folder / "exchange.log"),
    )
    told = environment("exchange", settings) | {"BENCH_SUBJECT_ID": "", "BENCH_NUMBER": ""}
    began = time.perf_counter()
    async with worker("bench.exchange_server", core=None, environment=told) as service:
        await service.line()
        return time.perf_counter() - began


@asynccontextmanager
async def _opened(database: str, folder: Path) -> AsyncIterator[ExchangeStore]:
    keys = folder / "keys"
    keyring, signing_key = Keyring.open(keys), SigningKey.open(keys, "ledger")
    resources = _Resources(_Database(database), keyring, signing_key, utc_now)
    async with ExchangeStore.open(resources, encode=encode) as store:
        yield store


async def _on(database: str, folder: Path) -> Measured:
    async with _opened(database, folder) as store:
        await fill(store, utc_now())
    seconds = await started(database, folder)
    async with _opened(database, folder) as store:
        return await measured(store, start_seconds=seconds)


def _folder(name: str) -> Path:
    for part in ("sqlite", "full"):
        (Path(name) / part).mkdir()
    return Path(name)


def _details(found: Measured) -> dict[str, Any]:
    def p(times: Sequence[float]) -> dict[str, float]:
        return {f"p{round(share * 100)}_ms": round(percentile(times, share), 4) for share in (0.5, 0.95, 0.99)}

    return {
        "service_start_seconds": round(found.start_seconds, 2),
        "at_hand": p(found.hot) | {"per_second": round(found.hot_per_second)},
        "as_asked_for": p(found.mixed) | {"read_from_database": round(found.mixed_read_share, 3)},
        "never_asked_for": p(found.cold) | {"cpu_ms": round(found.cold_cpu_ms, 3)},
        "without_rulebook": p(found.unheld),
        f"memory_of_{HELD}_pairs_mib": round(found.held_mib, 1),
    }


async def run() -> Result:
    """Measures and gives the figures; the row is PostgreSQL's as asked for, the rest stands in the details."""
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as name:
        folder = _folder(name)
        async with AsyncExitStack() as stack:
            sqlite = await _on(f"sqlite:///{folder}/exchange.sqlite", folder / "sqlite")
            server = await asyncio.to_thread(Postgres.start, folder / "postgres")
            stack.callback(server.stop)
            postgres = await _on(await server.create_database("bench_grants"), folder / "full")
    rates = [1000 / statistics.mean(times) for times in (postgres.mixed, sqlite.mixed)]
    return Result(
        name="grant_decision",
        value=rates[0],
        unit="decisions/s",
        p50_ms=percentile(postgres.mixed, 0.5),
        p95_ms=percentile(postgres.mixed, 0.95),
        p99_ms=percentile(postgres.mixed, 0.99),
        ratio=rates[0] / (1000 / statistics.mean(postgres.unheld)),
        baseline="two reads of the database for each decision",
        repeats=ROUNDS,
        spread=spread(rates),
        details={
            "resources": RESOURCES,
            "grants": GRANTS,
            "sqlite": _details(sqlite),
            "postgresql": _details(postgres),
        },
    )
