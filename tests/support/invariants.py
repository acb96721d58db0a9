# SPDX-License-Identifier: Apache-2.0
"""The invariants of a running system, checked from outside: its databases, its bus, its doors and everything it wrote.

    findings = await inspect(system, submitted=[...])   # empty where all hold

1 no acknowledged change lost · 2 no effect doubled · 3 every use of personal data has its leaf · 4 every proof verifies offline · 5 cases end, wait with
something to wait for, or are parked · 6 order per key holds on the bus · 7 no personal data in logs, spans, events or parked messages.
(8, nobody got what their right does not give, is shown by the refusal tests: a system at rest can't tell.)
"""

import asyncio
import json
import sqlite3
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import ahocorasick
from sqlalchemy import text

from services.cli.names import KEEPERS, SERVICES
from services.cli.postgres import Postgres
from services.cli.wiring import embedded_stores
from services.kit.envelope import Envelope, service_topic, unpack
from services.kit.eventlog import Place, Record, Subscription, open_eventlog
from services.kit.ids import new_id
from services.kit.ledger.export import export
from services.kit.ledger.verify import verify_export
from services.kit.store.engine import open_engines
from tests.support.system import System

LAST_KINDS = {"CaseEnded"}
_QUIET_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant that does not hold."""

    invariant: int
    what: str


@dataclass(slots=True)
class Evidence:
    """Rows of every database, read once."""

    tables: dict[str, dict[str, list[dict[str, object]]]] = field(default_factory=dict)

    def rows(self, service: str, table: str) -> list[dict[str, object]]:
        return self.tables[service][table]


WANTED: Mapping[str, Mapping[str, str]] = {
    "identity": {
        "leaves": "SELECT * FROM ledger_leaf",
        "persons": "SELECT subject_id FROM person",
        "parked": "SELECT * FROM parked",
    },
    "licenses": {
        "leaves": "SELECT * FROM ledger_leaf",
        "licenses": "SELECT license_id, case_id, step_id, version, state FROM license",
        "parked": "SELECT * FROM parked",
    },
    "exchange": {"leaves": "SELECT * FROM ledger_leaf", "parked": "SELECT * FROM parked"},
    "gateway": {
        "leaves": "SELECT * FROM ledger_leaf",
        "cases": "SELECT case_id, status, version FROM case_file",
        "events": "SELECT case_id, seq, kind, step_id FROM case_event ORDER BY case_id, seq",
        "tasks": "SELECT case_id, step_id, attempt, state, operation FROM task",
        "timers": "SELECT case_id, step_id FROM timer",
        "parked": "SELECT * FROM parked",
    },
}


async def settled(system: System, *, seconds: float) -> list[Finding]:
    """Wait until no case is open any more, at most so long; names those that are still open then."""
    query = text("SELECT case_id FROM case_file WHERE status IN ('submitted', 'in_progress', 'undoing')")
    ends = time.monotonic() + seconds
    async with databases(system) as urls:
        engines = open_engines(urls["gateway"], application="inspection")
        try:
            while True:
                async with engines.reading.connect() as connection:
                    still_open = (await connection.execute(query)).scalars().all()
                if not still_open or time.monotonic() > ends:
                    return [Finding(5, f"Case {case} is open after {seconds:.0f} s.") for case in still_open]
                await asyncio.sleep(0.2)
        finally:
            await engines.close()


async def inspect(system: System, *, submitted: Iterable[str]) -> list[Finding]:
    """Everything that does not hold. The system must be up; it is not changed."""
    acknowledged = list(submitted)
    async with databases(system) as urls:
        evidence = Evidence({service: await _read(url, WANTED[service]) for service, url in urls.items()})
    findings = [
        *_nothing_lost(evidence, acknowledged),
        *_nothing_doubled(evidence, system),
        *_every_use_has_its_leaf(evidence),
        *await _proofs_hold(system),
        *_none_stuck(evidence),
    ]
    records = await bus(system)
    if acknowledged and not records:
        findings.append(Finding(6, "The bus could not be read."))
    findings += _in_order(records)
    findings += _nobody_named(system, records, evidence)
    return findings


@asynccontextmanager
async def databases(system: System) -> AsyncIterator[dict[str, str]]:
    """The URL of each service's database."""
    if system.profile == "embedded":
        yield dict(embedded_stores(system.folder).databases)
        return
    postgres = await asyncio.to_thread(Postgres.start, system.folder.root / "postgres")  # joins the running one
    yield {service: postgres.url(f"tongban_{service}") for service in SERVICES}


async def _read(url: str, queries: Mapping[str, str]) -> dict[str, list[dict[str, object]]]:
    engines = open_engines(url, application="inspection")
    try:
        async with engines.reading.connect() as connection:
            snapshot = " ISOLATION LEVEL REPEATABLE READ" if engines.dialect == "postgresql" else ""
            await connection.exec_driver_sql(f"BEGIN{snapshot}")  # what still moves must be seen at one moment
            found = {
                name: [dict(row._mapping) for row in await connection.execute(text(query))]
                for name, query in queries.items()
            }
            await connection.exec_driver_sql("ROLLBACK")
            return found
    finally:
        await engines.close()


# ---- 1, 2, 3, 5: rows ------------------------------------------------------------------------------------------------


def _nothing_lost(evidence: Evidence, acknowledged: Sequence[str]) -> list[Finding]:
    known = {row["case_id"]: row for row in evidence.rows("gateway", "cases")}
    findings = [Finding(1, f"Case {case} was acknowledged and is gone.") for case in acknowledged if case not in known]
    findings += [
        Finding(1, f"Case {case} was submitted and is a draft again.")
        for case in acknowledged
        if case in known and known[case]["status"] == "draft"
    ]
    heights: dict[object, list[int]] = defaultdict(list)
    for event in evidence.rows("gateway", "events"):
        heights[event["case_id"]].append(int(str(event["seq"])))
    findings += [
        Finding(1, f"The history of case {case} has a gap.")
        for case, seqs in heights.items()
        if seqs != list(range(seqs[0], seqs[0] + len(seqs)))
    ]
    return findings


def _nothing_doubled(evidence: Evidence, system: System) -> list[Finding]:
    findings = [
        Finding(2, f"Step {step} of case {case} issued {count} licenses.")
        for (case, step), count in Counter(
            (row["case_id"], row["step_id"]) for row in evidence.rows("licenses", "licenses") if row["case_id"]
        ).items()
        if count > 1
    ]
    findings += [
        Finding(2, f"Step {step} of case {case} was completed {count} times as a task.")
        for (case, step, _), count in Counter(
            (row["case_id"], row["step_id"], row["attempt"]) for row in evidence.rows("gateway", "tasks")
        ).items()
        if count > 1
    ]
    findings += [
        Finding(2, f"Case {case} ended {count} times.")
        for case, count in Counter(
            row["case_id"] for row in evidence.rows("gateway", "events") if row["kind"] in LAST_KINDS
        ).items()
        if count > 1
    ]
    with closing(
        sqlite3.connect(f"file:{system.folder.city / 'public_security.sqlite'}?mode=ro", uri=True)
    ) as register:
        born = register.execute("SELECT case_id FROM persons WHERE case_id IS NOT NULL").fetchall()
        everybody = register.execute("SELECT count(*) FROM persons").fetchone()[0]
    registered = sum(
        1
        for row in evidence.rows("gateway", "tasks")
        if row["operation"] == "household_registration" and row["state"] == "done"
    )
    persons = len(evidence.rows("identity", "persons"))
    if persons > everybody:
        findings.append(
            Finding(2, f"Identity knows {persons} persons, the police {everybody}: a newborn was registered twice.")
        )
    if registered > len(born):
        findings.append(
            Finding(1, f"{registered} registrations were told, {len(born)} stand in the police's register.")
        )
    return findings


def _every_use_has_its_leaf(evidence: Evidence) -> list[Finding]:
    findings: list[Finding] = []
    leaves: dict[tuple[str, object], list[dict[str, object]]] = defaultdict(list)
    for service in KEEPERS:
        for row in evidence.rows(service, "leaves"):
            body = row["body"]
            assert isinstance(body, bytes)
            leaves[service, row["case_id"]].append(json.loads(body))
    for row in evidence.rows("licenses", "licenses"):
        if not row["case_id"]:
            continue
        issued = [
            leaf for leaf in leaves["licenses", row["case_id"]] if leaf["outcome"] in {"answered", "issued", "done"}
        ]
        if not issued:
            findings.append(Finding(3, f"License {row['license_id']} has no leaf."))
    completed = {row["case_id"] for row in evidence.rows("gateway", "cases") if row["status"] == "completed"}
    needed = {"identity": 2, "exchange": 2, "licenses": 3}
    findings += [
        Finding(3, f"Case {case} completed with {len(leaves[service, case])} leaves at {service}.")
        for case in completed
        for service, least in needed.items()
        if len(leaves[service, case]) < least
    ]
    issued_by_case = Counter(row["case_id"] for row in evidence.rows("licenses", "licenses"))
    findings += [
        Finding(3, f"Case {case}: {count} licenses, but {told} leaves of issuing.")
        for case, count in issued_by_case.items()
        if case
        and (told := sum(1 for leaf in leaves["licenses", case] if "issue" in str(leaf["operation"]).lower())) < count
    ]
    return findings


def _none_stuck(evidence: Evidence) -> list[Finding]:
    waiting = {row["case_id"] for row in evidence.rows("gateway", "timers")}
    waiting |= {row["case_id"] for row in evidence.rows("gateway", "tasks") if row["state"] != "done"}
    findings = [
        Finding(5, f"Case {row['case_id']} is {row['status']} and waits for nothing.")
        for row in evidence.rows("gateway", "cases")
        if row["status"] in {"submitted", "in_progress", "undoing"} and row["case_id"] not in waiting
    ]
    findings += [
        Finding(5, f"{service} parked a message: {row['reason']} {row['type']} ({row['detail']}).")
        for service in SERVICES
        for row in evidence.rows(service, "parked")
    ]
    return findings


# ---- 4: proofs -------------------------------------------------------------------------------------------------------


async def _proofs_hold(system: System) -> list[Finding]:
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        for service in KEEPERS:
            archive = Path(folder) / f"{service}.jsonl"
            async with system.peer(service, "spiffe://tongban/operator/platform") as peer:
                await export(peer, archive)
            report = await asyncio.to_thread(verify_export, archive)
            findings += [Finding(4, f"{service}: {each}") for each in report.findings]
    return findings


# ---- 6: the bus ------------------------------------------------------------------------------------------------------


class _Reader:
    """Joins a group of its own and remembers the partitions that it is given."""

    def __init__(self) -> None:
        self.places: set[Place] = set()

    async def given(self, _subscription: Subscription, places: frozenset[Place]) -> None:
        self.places |= places

    async def taken(self, _subscription: Subscription, places: frozenset[Place]) -> None:
        self.places -= places


async def bus(system: System) -> list[Record]:
    """Every record that the log still has."""
    topics = [service_topic(service) for service in SERVICES]
    records: list[Record] = []
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_eventlog(events_url(system)))
        reader = _Reader()
        subscription = await stack.enter_async_context(
            log.consumer(f"inspection-{new_id()}", topics, "inspection", reader)
        )
        async with asyncio.timeout(30):
            while not reader.places:
                await asyncio.sleep(0.05)
        for found in await asyncio.gather(*(_until_quiet(subscription, place) for place in sorted(reader.places))):
            records += found
    return records


async def _until_quiet(subscription: Subscription, place: Place) -> list[Record]:
    records: list[Record] = []
    while batch := await subscription.take(place, limit=500, seconds=_QUIET_SECONDS):
        records += batch
    return records


def events_url(system: System) -> str:
    if system.profile == "embedded":
        return embedded_stores(system.folder).events
    from services.cli.kafka import Kafka

    broker = Kafka.running(system.folder.root / "kafka")
    assert broker is not None, "The broker is not running."
    return broker.url


def _in_order(records: Sequence[Record]) -> list[Finding]:
    findings: list[Finding] = []
    first: dict[tuple[str, str], list[Envelope]] = defaultdict(list)
    seen: set[str] = set()
    for record in sorted(records, key=lambda each: (each.topic, each.partition, each.offset)):
        envelope = unpack(record)
        if envelope.event_id not in seen:
            seen.add(envelope.event_id)
            first[record.topic, record.key].append(envelope)
    for (topic, key), envelopes in first.items():
        times = [envelope.occur_time for envelope in envelopes]
        if times != sorted(times):
            findings.append(Finding(6, f"Facts about {key} on {topic} are not in the order of their changes."))
        kinds = [envelope.type.rsplit(".", 1)[1] for envelope in envelopes]
        if "CaseSubmitted" in kinds and kinds[0] != "CaseSubmitted":
            findings.append(Finding(6, f"Case {key} begins with {kinds[0]}."))
        if "CaseEnded" in kinds and kinds[-1] != "CaseEnded":
            findings.append(Finding(6, f"Case {key} goes on after its end with {kinds[-1]}."))
    return findings


# ---- 7: what it wrote ------------------------------------------------------------------------------------------------


def personal(system: System) -> dict[str, str]:
    """What would tell who somebody is, and what kind of thing it is: numbers, names, phones of the whole city, newborns too."""
    words: dict[str, str] = {}
    for path in sorted(system.folder.city.glob("*.sqlite")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as register:
            for (table,) in register.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                columns = [row[1] for row in register.execute(f"PRAGMA table_info({table})")]
                wanted = [
                    name
                    for name in columns
                    if name in {"name", "number", "phone", "account", "address"}
                    or name.endswith(("_name", "_number", "_phone", "_account"))
                ]
                if table in {"done", "counters"} or not wanted:
                    continue
                for row in register.execute(f"SELECT {', '.join(wanted)} FROM {table}"):
                    words |= {
                        str(value): f"{path.stem}.{table}.{name}"
                        for name, value in zip(wanted, row, strict=True)
                        if value and len(str(value)) > 1
                    }
    return words


def passwords(system: System) -> dict[str, str]:
    """What opens the broker."""
    kept = system.folder.root / "kafka" / "password"
    return {kept.read_text(): "password"} if kept.exists() else {}


def _nobody_named(system: System, records: Sequence[Record], evidence: Evidence) -> list[Finding]:
    words = personal(system) | passwords(system)
    automaton = ahocorasick.Automaton()
    for word, kind in words.items():
        automaton.add_word(word, kind)
    automaton.make_automaton()
    places: dict[str, str] = {
        str(path.relative_to(system.data)): path.read_text("utf-8", "replace") for path in written(system)
    }
    places["bus"] = "\n".join(
        " ".join([record.key, _shown(record.value), *(_shown(value) for _, value in record.headers)])
        for record in records
    )
    for service in SERVICES:
        places[f"{service} parked"] = json.dumps(evidence.rows(service, "parked"), default=_shown, ensure_ascii=False)
    for service in KEEPERS:
        places[f"{service} ledger"] = "\n".join(_shown(row["body"]) for row in evidence.rows(service, "leaves"))
    return [
        Finding(7, f"A {kind} stands in clear in {place}.")
        for place, content in places.items()
        for kind in sorted({kind for _, kind in automaton.iter(content)})
    ]


def _shown(value: object) -> str:
    """As a reader would see it: the repr of bytes would hide every name that isn't ASCII."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def written(system: System) -> list[Path]:
    """Files that hold what was logged or traced, and what the person at the terminal read."""
    files = [path for path in system.folder.logs.glob("*") if path.is_file()]
    files += [
        path
        for path in (system.data / "terminal.log", *system.folder.traces.parent.glob(f"{system.folder.traces.name}*"))
        if path.exists()
    ]
    return files
