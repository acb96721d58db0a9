# SPDX-License-Identifier: Apache-2.0
"""Archive segments prove themselves, bodies leave the database when their time is over, and every proof stays."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.kit.caller import acting_as
from services.kit.crypto import SigningKey
from services.kit.errors import RequestInvalid
from services.kit.ids import new_id
from services.kit.ledger import files, merkle
from services.kit.ledger.access import canonical
from services.kit.ledger.export import Archived, archive, export
from services.kit.ledger.segments import RETENTION, RetentionNotOver, Segment, SegmentDiffers
from services.kit.ledger.statements import HEAD_TYPE
from services.kit.ledger.verify import Trusted, verify_export
from tests.support.ledger_door import AGENCY, CHIEF, InProcess, access
from tests.support.probe import Probe, opened

LEAVES = 256
COUNT = 700
RATE_MIN = 10_000
"""Leaves a second that the offline verifier reads at least."""


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2020, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(database: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Probe]:
    async with opened(database, tmp_path / "keys", clock) as probe:
        with acting_as(AGENCY):
            await asyncio.gather(*(probe.ledger.append(access("me", case_id=f"c{number}")) for number in range(COUNT)))
            yield probe


async def archived(store: Probe, folder: Path, *, drop: bool = False) -> list[Archived]:
    peer = InProcess(store)
    return [each async for each in archive(peer, folder, leaves=LEAVES, drop=drop)]  # type: ignore[arg-type]


async def exported(store: Probe, folder: Path, *, from_index: int = 0) -> Path:
    path = folder / "probe.jsonl"
    await export(InProcess(store), path, from_index=from_index)  # type: ignore[arg-type]
    return path


async def test_finished_ranges_become_segments_each_of_which_proves_itself(store: Probe, tmp_path: Path) -> None:
    segments = await archived(store, tmp_path / "probe")
    assert [each.path.name for each in segments] == [
        "000000000000-000000000256.jsonl.gz",
        "000000000256-000000000512.jsonl.gz",
    ]
    assert not any(each.dropped for each in segments)
    for number, each in enumerate(segments):
        report = verify_export(each.path)
        assert report.segments == 1
        # the one finding: its head promises more than one segment holds
        assert [f for f in report.findings if "cut short" not in f and "missing" not in f] == [], number
    assert {each.path for each in await archived(store, tmp_path / "probe")} == {each.path for each in segments}


async def test_bodies_are_dropped_when_their_time_is_over_and_every_proof_stays(
    store: Probe, tmp_path: Path, clock: Clock
) -> None:
    early = await store.ledger.head()
    name = store.ledger.name("me")
    assert not any(each.dropped for each in await archived(store, tmp_path / "probe", drop=True))
    clock.now += RETENTION + timedelta(days=1)
    assert all(each.dropped for each in await archived(store, tmp_path / "probe", drop=True))
    assert await store.ledger.archived_below() == 512
    leaves, _ = await store.ledger.leaves(0, 1000)
    assert [bool(leaf.body) for leaf in leaves] == [leaf.index >= 512 for leaf in leaves]
    for index in (0, 255, 256, 511, 512, COUNT - 1):
        proven = await store.ledger.inclusion(index)
        assert (proven.withheld is not None) == (index < 512)
        assert merkle.verify_inclusion(
            proven.leaf.leaf_hash, index, proven.head.tree_size, proven.path, proven.head.root_hash
        )
    await store.ledger.append(access())
    later = await store.ledger.head()
    for first in (1, 3, 300, COUNT):
        old = merkle.root_of([leaf.leaf_hash for leaf in leaves[:first]])
        path = await store.ledger.consistency(first, later.tree_size)
        assert merkle.verify_consistency(first, later.tree_size, old, later.root_hash, path)
    assert early.root_hash == merkle.root_of([leaf.leaf_hash for leaf in leaves[:COUNT]])
    page = await store.ledger.own.page("me", page_size=200)
    assert page.total == COUNT
    # offline, with nothing of ours running: export and segments together are whole
    file = await exported(store, tmp_path)
    alone = verify_export(file)
    assert alone.bare == 512
    assert not alone.holds
    together = verify_export(file, *sorted((tmp_path / "probe").iterdir()), subject=name)
    assert together.holds, together.findings
    assert (together.leaves, together.segments, together.about, together.bare) == (later.tree_size, 2, COUNT, 0)


async def test_segments_and_the_rest_of_an_export_make_the_whole(store: Probe, tmp_path: Path) -> None:
    segments = [each.path for each in await archived(store, tmp_path / "probe")]
    path = await exported(store, tmp_path, from_index=512)
    report = verify_export(path, *segments)
    assert report.holds, report.findings
    assert report.leaves == COUNT
    assert not verify_export(path, segments[1]).holds


async def test_a_run_goes_on_from_what_an_earlier_one_proved(store: Probe, tmp_path: Path) -> None:
    path = await exported(store, tmp_path)
    first = verify_export(path)
    assert first.trusted is not None
    first.trusted.write(tmp_path / "trusted.json")
    trusted = Trusted.read(tmp_path / "trusted.json")
    assert trusted == first.trusted
    await store.ledger.append(access(case_id="later"))
    path = await exported(store, tmp_path, from_index=COUNT)
    second = verify_export(path, trusted=trusted)
    assert second.holds, second.findings
    assert (second.leaves, second.read) == (COUNT + 1, 1)
    whole = verify_export(await exported(store, tmp_path), trusted=trusted)
    assert (whole.holds, whole.read) == (True, 1)
    wrong = Trusted(trusted.log, trusted.size, (b"\0" * 32, *trusted.peaks[1:]), trusted.heads, trusted.key)
    assert not verify_export(path, trusted=wrong).holds
    stranger = SigningKey.open(tmp_path, "stranger").public_jwk()
    assert not verify_export(path, trusted=Trusted("probe", COUNT, trusted.peaks, trusted.heads, stranger)).holds


@pytest.mark.parametrize("change", ["flip", "drop", "swap", "root", "path", "truncate", "bytes"])
async def test_whatever_is_done_to_a_segment_is_found(store: Probe, tmp_path: Path, change: str) -> None:
    segments = [each.path for each in await archived(store, tmp_path / "probe")]
    path = await exported(store, tmp_path, from_index=512)
    target = segments[1]
    lines = gzip.decompress(target.read_bytes()).decode().splitlines()
    leaves = [number for number, line in enumerate(lines) if line.startswith('{"leaf')]
    placed = next(number for number, line in enumerate(lines) if line.startswith('{"segment'))
    if change == "flip":
        lines[leaves[7]] = lines[leaves[7]].replace("birth", "other")
    elif change == "drop":
        del lines[leaves[7]]
    elif change == "swap":
        lines[leaves[7]], lines[leaves[8]] = lines[leaves[8]], lines[leaves[7]]
    elif change == "root":
        said = json.loads(lines[placed])
        said["segment"]["root"] = "00" * 32
        lines[placed] = json.dumps(said)
    elif change == "path":
        said = json.loads(lines[placed])
        said["path"][0] = "00" * 32
        lines[placed] = json.dumps(said)
    packed = gzip.compress("\n".join([*lines, ""]).encode())
    if change == "truncate":
        packed = packed[:-200]
    if change == "bytes":
        packed = packed[:500] + b"\0" * 40 + packed[540:]
    target.write_bytes(packed)
    assert not verify_export(path, *segments).holds


async def test_only_what_the_ledger_has_there_is_let_go(store: Probe, clock: Clock) -> None:
    leaves, _ = await store.ledger.leaves(0, 1000)
    root = merkle.root_of([leaf.leaf_hash for leaf in leaves[:256]])
    second = merkle.root_of([leaf.leaf_hash for leaf in leaves[256:512]])
    with acting_as(CHIEF):
        with pytest.raises(RetentionNotOver):
            await store.ledger.segments.archive(Segment(0, 256, root), new_id())
        clock.now += RETENTION + timedelta(days=1)
        for wrong in (Segment(0, 256, second), Segment(256, 512, second), Segment(512, 768, root)):
            with pytest.raises(SegmentDiffers):
                await store.ledger.segments.archive(wrong, new_id())
        for bad in (Segment(0, 300, root), Segment(128, 384, root), Segment(0, 128, root)):
            with pytest.raises(RequestInvalid):
                await store.ledger.segments.archive(bad, new_id())
        request = new_id()
        assert await store.ledger.segments.archive(Segment(0, 256, root), request) == 256
        assert await store.ledger.segments.archive(Segment(0, 256, root), request) == 0


def test_the_verifier_reads_more_than_ten_thousand_leaves_a_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = SigningKey.open(tmp_path, "ledger")
    bodies = [
        canonical(
            {
                "time": f"2026-11-23T00:00:00.{number:06d}Z",
                "operation": "query",
                "actor": "spiffe://tongban/agency/11990100000001011X",
                "caller": "agency:11990100000001011X",
                "on_behalf_of": "",
                "subject": f"{number % 977:064x}",
                "purpose": "birth",
                "basis": "Order 809 art. 19",
                "resource": "307002/000001",
                "fields": ["address", "head_name"],
                "case": f"case-{number}",
                "outcome": "answered",
                "digest": f"{number:064x}",
            }
        )
        for number in range(60_000)
    ]
    tree = merkle.Frontier.empty()
    path = tmp_path / "exchange.jsonl"
    with files.writing(path) as write:
        write(key=key.public_jwk(), log="exchange")
        for number, body in enumerate(bodies):
            tree.add(merkle.leaf_hash(body))
            write(leaf=body.decode(), index=number)
        claims = {"log": "exchange", "root": tree.root().hex(), "size": tree.size, "time": "2026-11-23T00:01:00Z"}
        write(head=key.sign_jws(canonical(claims), {"typ": HEAD_TYPE}))
    report = verify_export(path)
    assert report.holds
    rate = report.read / report.seconds
    with capsys.disabled():
        print(f"\noffline verifier: {report.read} leaves in {report.seconds:.2f} s, {rate:,.0f} a second")
    assert rate > RATE_MIN
