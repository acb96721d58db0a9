# SPDX-License-Identifier: Apache-2.0
"""Files that providers drop: rows set apart with their reasons, versions switched in one step, nothing of anybody told."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from tongban.exchange.v1 import drops_pb2 as nouns
from tongban.exchange.v1 import drops_service_pb2 as pb
from tongban.exchange.v1 import drops_service_pb2_grpc as doors
from tongban.exchange.v1 import exchange_pb2, exchange_service_pb2
from tongban.exchange.v1.drops_events_pb2 import FileDropLoaded

from services.exchange.adapters.drop import DropAdapter, read_file
from services.exchange.adapters.folder import WatchedFolder
from services.exchange.domain.drops import Drop, DropState, Reason, Reject, Row, read_row
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import (
    FileDropBusy,
    FileDropInvalid,
    ProviderAnswerInvalid,
    ProviderUnavailable,
    ResourceNotOwned,
)
from services.exchange.domain.settings import AdapterKind, DropSettings, check_settings, read_settings
from services.exchange.service.drops import CHUNK, DropFile, DropService, digest_of
from services.exchange.store import ExchangeStore
from services.exchange.store.drops import drop_row
from services.kit.caller import Caller, CallerKind
from services.kit.errors import RemoteRefusal
from services.kit.ids import new_id
from tests.support.exchange_city import OPERATOR as OPERATOR_ID
from tests.support.exchange_city import POLICE as POLICE_ID
from tests.support.exchange_city import city, grant_request, query, resource
from tests.support.exchange_stored import opened
from tests.support.exchange_world import HOUSEHOLD, NOW, NUMBER, POLICE, SERVICE, household
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

COLUMNS = {"household_number": "户号", "address": "住址", "head_name": "户主", "relation": "关系"}
GIVEN = {"format": "csv", "key": "身份号码", "columns": COLUMNS}
HEAD = "身份号码,户号,住址,户主,关系\n"
POLICE_CALLER = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.provide"}), agency=POLICE)
TAX_CALLER = replace(POLICE_CALLER, id="11990100000001070K", agency="11990100000001070K")


def drop_settings(**changes: Any) -> DropSettings:
    read = read_settings(AdapterKind.FILE, {**GIVEN, **changes})
    assert isinstance(read, DropSettings)
    return read


def lines(*rows: str) -> bytes:
    return (HEAD + "".join(f"{row}\n" for row in rows)).encode()


def a_row(key: str = NUMBER, address: str = "1 Spring Lane") -> str:
    return f"{key},H-1,{address},Li Wei,daughter"


class Place:
    """The use cases of this area around a real store."""

    def __init__(self, store: ExchangeStore) -> None:
        self.store = store
        self.now = NOW
        self.service = DropService(store, read_file, clock=lambda: self.now)

    async def stocked(self, **changes: Any) -> None:
        shared = household(adapter=AdapterKind.FILE, settings=drop_settings(**changes))
        async with self.store.transaction() as tx:
            await tx.save_resource(shared, now=NOW)

    async def load(self, content: bytes, *, request_id: str = "", caller: Caller = POLICE_CALLER) -> Drop:
        file = io.BytesIO(content)
        given = DropFile(request_id or new_id(), HOUSEHOLD, digest_of(file))
        return await self.service.load(given, file, caller)

    async def ask(self, key: str = NUMBER) -> Any:
        question = Inquiry(HOUSEHOLD, key, ("address",), timeout_seconds=5)
        return await DropAdapter(self.store, HOUSEHOLD).ask(question)

    async def rows(self) -> int:
        async with self.store.reading() as connection:
            return int(await connection.scalar(select(func.count()).select_from(drop_row)) or 0)


@pytest.fixture
async def place(database: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(database, tmp_path) as store:
        made = Place(store)
        await made.stocked()
        yield made


async def test_a_file_is_asked_like_any_provider(place: Place) -> None:
    with pytest.raises(ProviderUnavailable):
        await place.ask()
    drop = await place.load(lines(a_row(), a_row("990100199003070999")))
    assert (drop.state, drop.version, drop.rows, drop.rejected) == (DropState.CURRENT, 1, 2, 0)
    assert await place.ask() == {
        "subject_key": NUMBER,
        "household_number": "H-1",
        "address": "1 Spring Lane",
        "head_name": "Li Wei",
        "relation": "daughter",
    }
    assert await place.ask("990100199003070000") is None


async def test_rows_are_sealed_and_found_by_a_keyed_mark(place: Place) -> None:
    await place.load(lines(a_row()))
    async with place.store.reading() as connection:
        (stored,) = (await connection.execute(select(drop_row))).all()
    assert all(word not in bytes(part) for part in stored[1:] for word in (NUMBER.encode(), b"Spring", b"Li Wei"))


async def test_rows_that_can_not_be_believed_are_set_apart_and_the_others_given(place: Place) -> None:
    await place.stocked(types={"relation": "integer"}, rejected_percent_max="90")
    rows = (
        f"{NUMBER},H-1,1 Spring Lane,Li Wei,3",
        ",H-2,2 Spring Lane,Wang Fang,3",
        "99 0100,H-3,3 Spring Lane,Wang Fang,3",
        "990100199003070043,H-4,4 Spring Lane,Wang Fang",
        "990100199003070051,H-5,5 Spring Lane,Wang Fang,many",
        f"99010019900307006X,H-6,{'x' * 10_001},Wang Fang,3",
    )
    drop = await place.load(lines(*rows))
    assert (drop.rows, drop.rejected) == (1, 5)
    page = await place.service.rejects(drop.drop_id, page_size=3, page_token="", caller=POLICE_CALLER)
    rest = await place.service.rejects(drop.drop_id, page_size=3, page_token=page.next_token, caller=POLICE_CALLER)
    assert [*page.rows, *rest.rows] == [
        Reject(2, "", Reason.KEY_MISSING),
        Reject(3, "", Reason.KEY_MALFORMED),
        Reject(4, "", Reason.COLUMNS_DIFFER),
        Reject(5, "relation", Reason.TYPE_DIFFERS),
        Reject(6, "address", Reason.TEXT_TOO_LONG),
    ]
    assert (await place.ask())["relation"] == 3


@pytest.mark.parametrize("between", [0, CHUNK + 10])
async def test_what_a_file_says_twice_about_somebody_is_given_to_nobody(place: Place, between: int) -> None:
    await place.stocked(rejected_percent_max="90")
    others = [a_row(f"9901001990{number:08d}") for number in range(between)]
    drop = await place.load(lines(a_row(), *others, a_row(address="2 Autumn Lane"), a_row(address="3 Autumn Lane")))
    assert drop.reasons == {"SUBJECT_REPEATED": 2}
    with pytest.raises(ProviderAnswerInvalid):
        await place.ask()


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"", "FILE_DROP_INVALID"),
        (b"a,b,c\n1,2,3\n", "FILE_DROP_INVALID"),
        (HEAD.encode(), "NO_ROWS"),
        (lines(a_row(), "x"), "TOO_MANY_REJECTED"),
        (lines(a_row()) + b"\xff\xfe\n", "FILE_DROP_INVALID"),
        (lines(a_row()) + b'"open', "FILE_DROP_INVALID"),
        (lines(a_row()) + f'990100199003070043,"{"x" * 50_000}'.encode(), "FILE_DROP_INVALID"),
    ],
)
async def test_a_file_that_is_refused_leaves_what_was_given_before(place: Place, content: bytes, refusal: str) -> None:
    await place.load(lines(a_row()))
    drop = await place.load(content)
    assert (drop.state, drop.refusal) == (DropState.REFUSED, refusal)
    assert (await place.ask())["address"] == "1 Spring Lane"
    await place.service.clear()
    assert await place.rows() == 1


async def test_versions_are_switched_in_one_step_and_old_rows_go(place: Place) -> None:
    await place.load(lines(a_row(), a_row("990100199003070999")))
    seen: set[str] = set()

    async def ask_on() -> None:
        while True:
            seen.add((await place.ask())["address"])
            await asyncio.sleep(0)

    asking = asyncio.create_task(ask_on())
    others = [a_row(f"9901001990{number:08d}") for number in range(3 * CHUNK)]
    drop = await place.load(lines(*others, a_row(address="2 Autumn Lane")))
    asking.cancel()
    assert seen <= {"1 Spring Lane", "2 Autumn Lane"}
    assert (drop.version, (await place.ask())["address"]) == (2, "2 Autumn Lane")
    assert await place.ask("990100199003070999") is None
    await place.service.clear()
    assert await place.rows() == 3 * CHUNK + 1
    page = await place.service.list(HOUSEHOLD, page_size=1, page_token="", caller=POLICE_CALLER)
    before = await place.service.list(HOUSEHOLD, page_size=1, page_token=page.next_token, caller=POLICE_CALLER)
    assert [each.state for each in (*page.rows, *before.rows)] == [DropState.CURRENT, DropState.SUPERSEDED]


async def test_the_same_file_again_changes_nothing(place: Place) -> None:
    content = lines(a_row())
    first = await place.load(content, request_id="1b4e28ba-2fa1-41d2-883f-0016d3cca427")
    assert await place.load(content, request_id="1b4e28ba-2fa1-41d2-883f-0016d3cca427") == first
    assert await place.load(content) == first
    with pytest.raises(FileDropInvalid):
        await place.load(lines(a_row(address="x")), request_id="1b4e28ba-2fa1-41d2-883f-0016d3cca427")


async def test_a_load_that_ended_in_the_middle_is_refused_after_its_time(place: Place) -> None:
    await place.load(lines(a_row()))
    stuck = Drop(new_id(), HOUSEHOLD, 2, DropState.LOADING, "0" * 64, place.now)
    async with place.store.transaction() as tx:
        await tx.save_drop(stuck)
        await tx.add_drop_rows(stuck, [Row(1, NUMBER, {"address": "half"})])
    with pytest.raises(FileDropBusy):
        await place.load(lines(a_row(address="2 Autumn Lane")))
    place.now += timedelta(hours=1, seconds=1)
    await place.service.clear()
    assert (await place.store.read_drop(stuck.drop_id)).refusal == "INTERRUPTED"
    assert (await place.ask())["address"] == "1 Spring Lane"
    drop = await place.load(lines(a_row(address="2 Autumn Lane")))
    assert drop.version == 3


async def test_a_drops_files_for_its_own_resources_only(place: Place) -> None:
    with pytest.raises(ResourceNotOwned):
        await place.load(lines(a_row()), caller=TAX_CALLER)
    with pytest.raises(ResourceNotOwned):
        await place.service.list(HOUSEHOLD, page_size=0, page_token="", caller=TAX_CALLER)
    async with place.store.transaction() as tx:
        await tx.save_resource(household(), now=NOW)  # Reached by connector now.
    with pytest.raises(ResourceNotOwned):
        await place.load(lines(a_row()))


async def test_a_file_in_chinese_encoding_is_read(place: Place) -> None:
    await place.stocked(encoding="GB18030", delimiter="|")
    text = HEAD.replace(",", "|") + f"{NUMBER}|H-1|春巷1号|李伟|女儿\n"
    await place.load(text.encode("gb18030"))
    assert (await place.ask())["address"] == "春巷1号"


async def test_parquet_is_read_a_few_rows_at_a_time(place: Place) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    await place.stocked(format="parquet", types={"relation": "integer"})
    numbers = [f"9901001990{number:08d}" for number in range(1_000)]
    table = pa.table(
        {
            "身份号码": [NUMBER, *numbers],
            "户号": ["H-1"] * 1_001,
            "住址": ["1 Spring Lane"] * 1_001,
            "户主": [None] * 1_001,
            "关系": [3] * 1_001,
            "其他": [[1, 2]] * 1_001,
        }
    )
    file = io.BytesIO()
    parquet.write_table(table, file, row_group_size=300)
    drop = await place.load(file.getvalue())
    assert (drop.state, drop.rows) == (DropState.CURRENT, 1_001)
    answer = await place.ask()
    assert (answer["relation"], answer["head_name"]) == (3, None)
    assert "其他" not in answer
    broken = await place.load(file.getvalue()[:-100] + b"x" * 100)
    assert broken.refusal == "FILE_DROP_INVALID"


async def test_a_watched_folder_is_taken_once_a_file_stays_the_same(place: Place, tmp_path: Path) -> None:
    drops = tmp_path / "drops"
    own = drops / HOUSEHOLD.replace("/", "_")
    own.mkdir(parents=True)
    (drops / "unknown").mkdir()
    (drops / "unknown" / "x.csv").write_bytes(lines(a_row()))
    outside = tmp_path / "outside.csv"
    outside.write_bytes(lines(a_row(address="stolen")))
    (own / "zzz.csv").symlink_to(outside)
    (own / "2026-11-19.csv").write_bytes(lines(a_row(address="old")))
    (own / "2026-11-20.csv.part").write_bytes(b"half")
    (own / "2026-11-20.csv").write_bytes(lines(a_row()))
    folder = WatchedFolder(place.service, drops, SERVICE, bytes_max=1_000_000)
    await WatchedFolder(place.service, tmp_path / "nowhere", SERVICE, bytes_max=1).look()
    await folder.look()
    with pytest.raises(ProviderUnavailable):
        await place.ask()
    await folder.look()
    assert (await place.ask())["address"] == "1 Spring Lane"
    (own / "2026-11-21.csv").write_bytes(lines(a_row(address="2 Autumn Lane")))
    for _ in range(3):
        await folder.look()
    assert (await place.ask())["address"] == "2 Autumn Lane"
    page = await place.service.list(HOUSEHOLD, page_size=0, page_token="", caller=POLICE_CALLER)
    assert [each.version for each in page.rows] == [2, 1]


cells = st.one_of(st.none(), st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.binary(max_size=4))


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(["身份号码", *COLUMNS.values()]), cells),
    st.sampled_from(["text", "integer", "number", "boolean", "date"]),
)
def test_every_row_is_either_believed_in_its_types_or_set_apart(row: dict[str, object], kind: str) -> None:
    read = read_row(7, row, drop_settings(types={"relation": kind}))
    if isinstance(read, Reject):
        assert read.line == 7
        return
    assert set(read.values) == set(COLUMNS)
    expected = {"text": str, "integer": int, "number": float, "boolean": bool, "date": str}[kind]
    assert read.values["relation"] is None or type(read.values["relation"]) is expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "xml"),
        ("key", ""),
        ("delimiter", "ab"),
        ("encoding", "utf-16"),
        ("types", {"address": "list"}),
        ("columns", {"address": "住址"}),
        ("rejected_percent_max", "-1"),
    ],
)
def test_settings_that_could_not_be_read_by_are_refused(field: str, value: Any) -> None:
    faults = check_settings(drop_settings(**{field: value}), COLUMNS)
    assert [fault.field for fault in faults] == [f"resource.adapter_settings.{field}"]


def pieces(content: bytes, *, digest: str = "", size: int = 10) -> list[pb.UploadFileDropRequest]:
    header = pb.FileDropHeader(
        request_id=new_id(), resource=HOUSEHOLD, digest=digest or hashlib.sha256(content).hexdigest()
    )
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    return [pb.UploadFileDropRequest(header=header), *(pb.UploadFileDropRequest(chunk=each) for each in chunks)]


async def test_a_file_is_uploaded_asked_and_told_of(profile: Profile) -> None:
    async with city(profile, drop_bytes_max=10_000) as town:
        kept = resource(
            HOUSEHOLD,
            POLICE_ID,
            exchange_pb2.ADAPTER_KIND_FILE,
            {"format": "csv", "key": "number", "columns": {"address": "address"}},
            ("address",),
        )
        await town.call(OPERATOR_ID, "PutResource", exchange_service_pb2.PutResourceRequest(resource=kept))
        await town.call(OPERATOR_ID, "CreateGrant", grant_request(verify_fields=["address"]))
        stub = (await town.peer(f"spiffe://tongban/agency/{POLICE_ID}")).stub(doors.FileDropServiceStub)

        async def upload(requests: list[pb.UploadFileDropRequest]) -> nouns.FileDrop:
            async def sending() -> AsyncIterator[pb.UploadFileDropRequest]:
                for each in requests:
                    yield each

            peer = await town.peer(f"spiffe://tongban/agency/{POLICE_ID}")
            return (await peer.call(stub.UploadFileDrop, sending(), timeout_seconds=30)).drop  # type: ignore[arg-type]

        content = f"number,address\n{NUMBER},1 Spring Lane\n".encode()
        drop = await upload(pieces(content))
        assert (drop.state, drop.rows) == (nouns.DROP_STATE_CURRENT, 1)
        assert (await town.call(HOSPITAL, "Query", query())).values["address"] == "1 Spring Lane"
        assert (await town.leaves())[-1]["outcome"] == "answered"
        for bad in (pieces(content, digest="0" * 64), pieces(content)[1:], pieces(b"x" * 20_000, size=1_000)):
            with pytest.raises(RemoteRefusal) as refused:
                await upload(bad)
            assert refused.value.reason == "FILE_DROP_INVALID"
        listed = await town.call(POLICE_ID, "ListFileDrops", pb.ListFileDropsRequest(resource=HOUSEHOLD))
        assert list(listed.drops) == [drop]
        rejects = await town.call(POLICE_ID, "ListDropRejects", pb.ListDropRejectsRequest(drop_id=drop.drop_id))
        assert list(rejects.rejects) == []
        told = town.told(FileDropLoaded)
        while not told:
            await asyncio.sleep(0.05)
            told = town.told(FileDropLoaded)
        assert (told[0].drop_id, told[0].digest) == (drop.drop_id, hashlib.sha256(content).hexdigest())
        assert NUMBER not in str(told)
