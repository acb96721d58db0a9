# SPDX-License-Identifier: Apache-2.0
"""From a department's register to files that anybody may read, over the real service, on both profiles."""

import asyncio
import csv
import hashlib
import io
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pyarrow.parquet
import pytest
from google.protobuf.message import Message
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as exchange_pb
from tongban.exchange.v1 import metadata_pb2
from tongban.exchange.v1 import opendata_pb2 as open_nouns
from tongban.exchange.v1 import opendata_service_pb2 as pb
from tongban.exchange.v1.opendata_events_pb2 import ReleasePublished, ReleaseTakenBack
from tongban.exchange.v1.opendata_service_pb2_grpc import OpenDataServiceStub
from tongban.identity.v1 import identity_pb2, identity_service_pb2

from services.exchange.domain.opendata.release import Format
from services.exchange.service.opendata import (
    PIECE_BYTES,
    DatasetChanged,
    MadeFile,
    OpenDataService,
    ProduceRelease,
    Production,
)
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.clock import utc_now
from services.kit.errors import Refusal, Unavailable
from services.kit.ids import new_id
from tests.support.eventually import eventually
from tests.support.exchange_city import OPERATOR, POLICE, City, city, resource
from tests.support.neighbors import GATEWAY, HOSPITAL
from tests.support.profiles import Profile

DATASET = "births-by-month"
REGISTER = "307004/000001"
FIELDS = ("number", "name", "birth_date", "region", "note")
GENERAL = frozenset({"note"})
STATEMENT = "SELECT number AS subject_key, number, name, birth_date, region, note FROM births"
BIG = 60_000


@pytest.fixture
async def town(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as opened:
        register(
            opened, [("1990-01-07", "990102")] * 40 + [("1990-02-07", "990102")] * 30 + [("1990-03-07", "990106")] * 3
        )
        await opened.call(OPERATOR, "PutResource", exchange_pb.PutResourceRequest(resource=catalogued(opened)))
        yield opened


def register(town: City, born: list[tuple[str, str]]) -> None:
    """The register of births, a file of the police's own."""
    path = town.folder / "births.sqlite"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE births (number, name, birth_date, region, note)")
        connection.executemany(
            "INSERT INTO births VALUES (?, ?, ?, ?, ?)",
            [(f"9901021990{index:08d}", f"李{index}", *each, f"note {index % 4}") for index, each in enumerate(born)],
        )
    connection.close()


def catalogued(town: City) -> nouns.Resource:
    settings = {
        "url": f"sqlite:///{town.folder / 'births.sqlite'}",
        "statement": f"{STATEMENT} WHERE number = :subject_key",
    }
    made = resource(REGISTER, POLICE, nouns.ADAPTER_KIND_SQL, settings, FIELDS)
    for each in made.fields:
        if each.name in GENERAL:
            each.sensitivity = nouns.SENSITIVITY_GENERAL
    return made


def column(name: str, *kinds: Any, role: Any = open_nouns.OPEN_ROLE_DIMENSION, **more: Any) -> open_nouns.OpenColumn:
    steps = [
        open_nouns.OpenStep(kind=kind, **(more if kind == open_nouns.OPEN_STEP_KIND_REGION else {})) for kind in kinds
    ]
    return open_nouns.OpenColumn(name=name, label_zh="列", label_en=name, role=role, steps=steps)


def dataset(town: City, **changes: Any) -> open_nouns.OpenDataset:
    given: dict[str, Any] = {
        "dataset": DATASET,
        "resource": REGISTER,
        "title_zh": "按月出生人数",
        "title_en": "Births by month",
        "description_zh": "按月与区县。",
        "description_en": "By month and district.",
        "theme": open_nouns.OPEN_THEME_SOCI,
        "cycle": metadata_pb2.UPDATE_CYCLE_MONTHLY,
        "license": open_nouns.OPEN_LICENSE_CC_BY_4,
        "opening": metadata_pb2.OPENING_UNCONDITIONAL,
        "basis": "PIPL art. 73(4)",
        "about": open_nouns.OPEN_ABOUT_PERSONS,
        "form": open_nouns.OPEN_FORM_COUNTS,
        "columns": [
            column("birth_date", open_nouns.OPEN_STEP_KIND_MONTH, open_nouns.OPEN_STEP_KIND_YEAR),
            column("region", open_nouns.OPEN_STEP_KIND_REGION, digits=6),
        ],
        "k": 5,
        "diversity": 1,
        "suppress_percent_max": 10,
        "source": open_nouns.OpenSource(url=f"sqlite:///{town.folder / 'births.sqlite'}", statement=STATEMENT),
        **changes,
    }
    return open_nouns.OpenDataset(**given)


async def put(town: City, **changes: Any) -> Any:
    return await ask(
        town, "PutOpenDataset", pb.PutOpenDatasetRequest(request_id=new_id(), dataset=dataset(town, **changes))
    )


async def produce(town: City, request_id: str = "", name: str = DATASET) -> Any:
    request = pb.ProduceReleaseRequest(
        request_id=request_id or new_id(), dataset=name, period_start="1990-01-01", period_end="1990-12-31"
    )
    return (await ask(town, "ProduceRelease", request)).release


async def ask(town: City, method: str, request: Message, who: str = OPERATOR) -> Any:
    peer = await town.peer(who)
    return await peer.call(getattr(peer.stub(OpenDataServiceStub), method), request, timeout_seconds=60)


async def read(town: City, version: int, form: Any, offset: int = 0, length: int = 0) -> list[bytes]:
    peer = await town.peer(GATEWAY)
    request = pb.ReadReleaseFileRequest(dataset=DATASET, version=version, format=form, offset=offset, length=length)
    stream = peer.stream(peer.stub(OpenDataServiceStub).ReadReleaseFile, request, timeout_seconds=60)
    return [each.content async for each in stream]


async def refused(reason: str, asked: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        await asked
    assert found.value.reason == reason
    return found.value


async def test_a_register_becomes_files_in_which_nobody_stands_out(town: City) -> None:
    await put(town)
    release = await produce(town)
    assert (release.version, release.rows, release.k, release.suppressed) == (1, 2, 30, 5)
    texts = {}
    for each in release.files:
        content = b"".join(await read(town, 1, each.format))
        assert (len(content), hashlib.sha256(content).hexdigest()) == (each.bytes, each.sha256)
        texts[each.media_type] = content
    rows = [
        {"birth_date": "1990-01", "region": "990102", "count": 40},
        {"birth_date": "1990-02", "region": "990102", "count": 30},
    ]
    assert json.loads(texts["application/json"]) == rows
    table = list(csv.DictReader(io.StringIO(texts["text/csv; charset=utf-8"].decode())))
    assert table == [{name: str(value) for name, value in row.items()} for row in rows]
    assert pyarrow.parquet.read_table(io.BytesIO(texts["application/vnd.apache.parquet"])).to_pylist() == rows
    rules = json.loads(release.rules_json)
    assert rules["columns"][0] == {"name": "birth_date", "role": "dimension", "step": {"kind": "month"}}


async def test_a_production_has_its_leaf_and_tells_its_fact(town: City) -> None:
    await put(town)
    release = await produce(town)
    leaf = (await town.leaves())[release.leaf_index]
    assert (leaf["operation"], leaf["purpose"], leaf["outcome"]) == ("open_release", "opendata", "published")
    assert (leaf["resource"], leaf["fields"], leaf["subject"]) == (REGISTER, ["birth_date", "region"], "")
    assert leaf["caller"] == "operator:operator-1"
    await eventually(lambda: bool(town.told(ReleasePublished)))
    assert town.told(ReleasePublished) == [ReleasePublished(dataset=DATASET, version=1, resource=REGISTER)]


async def test_what_is_not_anonymous_is_not_published_and_the_reason_names_nobody(town: City) -> None:
    register(town, [(f"19{index:02d}-01-07", "990102") for index in range(60)])
    await put(town)
    refusal = await refused("ANONYMITY_NOT_REACHED", produce(town))
    assert refusal.metadata == {"k": "5", "suppressed_percent": "100"}
    assert "19" not in str(refusal).replace("990102", "")
    assert (await ask(town, "ListReleases", pb.ListReleasesRequest(dataset=DATASET))).releases == []
    assert [leaf["outcome"] for leaf in await town.leaves()] == ["ANONYMITY_NOT_REACHED"]


async def test_a_number_in_free_text_stops_the_release(town: City) -> None:
    path = town.folder / "births.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE births SET note = 'call 13800138000'")
    connection.close()
    note = column("note", role=open_nouns.OPEN_ROLE_DIMENSION)
    await put(town, columns=[note])
    refusal = await refused("IDENTIFIER_FOUND", produce(town))
    assert refusal.metadata == {"columns": "note"}
    assert "13800138000" not in str(refusal)


async def test_a_rule_that_would_let_a_person_through_is_not_stored(town: City) -> None:
    await refused("REQUEST_INVALID", put(town, columns=[column("name", open_nouns.OPEN_STEP_KIND_KEEP)]))
    await refused("REQUEST_INVALID", put(town, k=2))


async def test_the_same_request_twice_makes_one_version(town: City) -> None:
    await put(town)
    again = new_id()
    first, second = await produce(town, again), await produce(town, again)
    assert first == second
    side_by_side = new_id()
    one, other = await asyncio.gather(produce(town, side_by_side), produce(town, side_by_side))
    assert one == other
    assert one.version == 2
    listed = await ask(town, "ListReleases", pb.ListReleasesRequest(dataset=DATASET, page_size=1))
    assert [each.version for each in listed.releases] == [2]
    rest = await ask(town, "ListReleases", pb.ListReleasesRequest(dataset=DATASET, page_token=listed.next_page_token))
    assert [each.version for each in rest.releases] == [1]
    await put(town, dataset="another-set")
    await refused("REQUEST_ID_REUSED", produce(town, again, name="another-set"))


async def test_a_withdrawn_version_is_gone_and_says_why(town: City) -> None:
    await put(town)
    await produce(town)
    await produce(town)
    request = pb.WithdrawReleaseRequest(request_id=new_id(), dataset=DATASET, version=2, reason="Wrong month.")
    withdrawn = (await ask(town, "WithdrawRelease", request)).release
    assert (await ask(town, "WithdrawRelease", request)).release == withdrawn
    assert (withdrawn.withdraw_reason, len(withdrawn.files)) == ("Wrong month.", 0)
    await refused("RELEASE_WITHDRAWN", read(town, 2, open_nouns.OPEN_FORMAT_CSV))
    assert await read(town, 1, open_nouns.OPEN_FORMAT_CSV)  # The same bytes, still open in the version before.
    await refused(
        "RELEASE_WITHDRAWN",
        ask(
            town,
            "WithdrawRelease",
            pb.WithdrawReleaseRequest(request_id=new_id(), dataset=DATASET, version=2, reason="x"),
        ),
    )
    first = pb.WithdrawReleaseRequest(request_id=new_id(), dataset=DATASET, version=1, reason="All of it.")
    await ask(town, "WithdrawRelease", first)
    store: Any = town.service.app.store
    async with store.reading() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM open_piece")).scalar() == 0
    await eventually(lambda: len(town.told(ReleaseTakenBack)) == 2)


async def test_a_large_file_is_read_in_pieces_from_anywhere(town: City) -> None:
    register(town, [(f"1990-{index % 12 + 1:02d}-07", "990102") for index in range(BIG)])
    columns = [column("birth_date", open_nouns.OPEN_STEP_KIND_MONTH), column("note")]
    await put(town, form=open_nouns.OPEN_FORM_RECORDS, columns=columns)
    release = await produce(town)
    whole = next(each for each in release.files if each.format == open_nouns.OPEN_FORMAT_JSON)
    assert whole.bytes > 4 * PIECE_BYTES
    pieces = await read(town, 1, open_nouns.OPEN_FORMAT_JSON)
    assert max(map(len, pieces)) <= PIECE_BYTES
    content = b"".join(pieces)
    assert hashlib.sha256(content).hexdigest() == whole.sha256
    assert min(Counter((row["birth_date"], row["note"]) for row in json.loads(content)).values()) >= release.k
    for offset, length in ((0, 1), (PIECE_BYTES - 1, 2), (PIECE_BYTES, PIECE_BYTES), (whole.bytes - 3, 10), (5, 0)):
        part = b"".join(await read(town, 1, open_nouns.OPEN_FORMAT_JSON, offset, length))
        assert part == content[offset : offset + (length or len(content))]
    assert await read(town, 1, open_nouns.OPEN_FORMAT_JSON, whole.bytes) == []
    await refused("REQUEST_INVALID", read(town, 1, open_nouns.OPEN_FORMAT_JSON, whole.bytes + 1))


async def test_a_closed_data_set_is_neither_published_nor_shown(town: City) -> None:
    await put(town, opening=metadata_pb2.OPENING_CLOSED, opening_reason="Not yet.")
    await refused("DATASET_CLOSED", produce(town))
    await refused(
        "OPEN_DATASET_NOT_FOUND", ask(town, "GetOpenDataset", pb.GetOpenDatasetRequest(dataset=DATASET), GATEWAY)
    )
    listed = await ask(town, "ListOpenDatasets", pb.ListOpenDatasetsRequest(), GATEWAY)
    assert listed.datasets == []
    assert len((await ask(town, "ListOpenDatasets", pb.ListOpenDatasetsRequest())).datasets) == 1


async def test_a_resource_that_the_catalogue_closes_is_not_opened(town: City) -> None:
    closed = catalogued(town)
    closed.metadata.opening = metadata_pb2.OPENING_CLOSED
    await town.call(OPERATOR, "PutResource", exchange_pb.PutResourceRequest(resource=closed))
    await refused("REQUEST_INVALID", put(town))


async def test_a_source_is_told_to_nobody_and_stays_where_it_is_left_out(town: City) -> None:
    stored = await put(town)
    assert not stored.dataset.HasField("source")
    again = dataset(town, title_en="Births, by month")
    again.ClearField("source")
    await ask(town, "PutOpenDataset", pb.PutOpenDatasetRequest(request_id=new_id(), dataset=again))
    assert (await produce(town)).version == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [("births.csv", "subject_key,birth_date,region\n" + "".join(f"{each},1990-01-07,990102\n" for each in range(7)))],
)
async def test_a_dropped_file_is_a_source_too(profile: Profile, file: str, text: str) -> None:
    drop = profile.folder / "drops" / REGISTER.replace("/", "_")
    drop.mkdir(parents=True)
    (drop / file).write_text(text, encoding="utf-8")
    async with city(profile, drops=drop.parent) as town:
        register(town, [])
        await town.call(OPERATOR, "PutResource", exchange_pb.PutResourceRequest(resource=catalogued(town)))
        await put(town, source=open_nouns.OpenSource(file=file))
        assert (await produce(town)).k == 7
        (drop / file).write_text("birth_date,region\n1990-01-07,990102\n", encoding="utf-8")
        await refused("SOURCE_INVALID", produce(town))
        (drop / file).unlink()
        (drop / file).symlink_to(town.folder / "pki" / "ca.key")
        await refused("SOURCE_INVALID", produce(town))


async def test_a_register_that_can_not_be_read_is_no_release(town: City) -> None:
    await put(town)
    (town.folder / "births.sqlite").unlink()
    with pytest.raises(Unavailable):
        await produce(town)
    assert [leaf["outcome"] for leaf in await town.leaves()] == ["PROVIDER_UNAVAILABLE"]


class Overtaken:
    """A production during which somebody changes the data set."""

    def __init__(self, town: City) -> None:
        self._town = town

    @asynccontextmanager
    async def produced(self, _dataset: Any) -> AsyncIterator[Production]:
        content = (b"a" * PIECE_BYTES, b"b" * 5)
        digest = hashlib.sha256(b"".join(content)).hexdigest()
        file = MadeFile(Format.CSV, PIECE_BYTES + 5, digest, lambda: iter(content))
        await put(self._town, title_en="Changed meanwhile")
        yield Production(rows=1, k=5, diversity=1, suppressed=0, steps={}, files=(file,))


async def test_a_release_that_fails_leaves_no_piece_behind(town: City) -> None:
    await put(town)
    await produce(town)
    kept = await pieces(town)
    store: Any = town.service.app.store
    service = OpenDataService(store, Overtaken(town), clock=utc_now)
    operator = Caller(CallerKind.OPERATOR, "operator-1", frozenset({"*"}))
    with acting_as(operator), pytest.raises(DatasetChanged):
        await service.produce(ProduceRelease(new_id(), DATASET, "1990-01-01", "1990-12-31"), operator)
    assert await pieces(town) == kept > 0


async def pieces(town: City) -> int:
    store = town.service.app.store
    assert store is not None
    async with store.reading() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM open_piece")).scalar_one())


async def test_whoever_waits_no_longer_leaves_nothing_behind(town: City) -> None:
    await put(town)
    producing = asyncio.create_task(produce(town))
    await asyncio.sleep(0.2)
    producing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await producing
    release = await produce(town)
    assert release.version == 1


async def test_the_catalogue_names_what_is_open(town: City) -> None:
    async def listed(_request: Any, _context: Any) -> Any:
        agency = identity_pb2.Agency(uscc=POLICE, name_zh="公安局", active=True)
        return identity_service_pb2.ListAgenciesResponse(agencies=[agency])

    town.identity.behavior["ListAgencies"] = listed
    await put(town)
    await put(town, dataset="closed-set", opening=metadata_pb2.OPENING_CLOSED, opening_reason="Not yet.")
    asked = pb.GetOpenCatalogueRequest(format=pb.OPEN_CATALOGUE_FORMAT_TURTLE)
    before = await ask(town, "GetOpenCatalogue", asked, GATEWAY)
    assert before.media_type == "text/turtle; charset=utf-8"
    assert await ask(town, "GetOpenCatalogue", asked, GATEWAY) == before
    await produce(town)
    after = await ask(town, "GetOpenCatalogue", asked, GATEWAY)
    text = after.content.decode()
    assert hashlib.sha256(after.content).hexdigest() == after.sha256 != before.sha256
    assert "公安局" in text
    assert f"{DATASET}/releases/1/data.parquet" in text
    assert "closed-set" not in text


async def test_only_operators_open_and_publish(town: City) -> None:
    await put(town)
    for who in (GATEWAY, f"spiffe://tongban/agency/{HOSPITAL}"):
        await refused(
            "CALLER_NOT_ALLOWED",
            ask(
                town,
                "ProduceRelease",
                pb.ProduceReleaseRequest(
                    request_id=new_id(), dataset=DATASET, period_start="1990-01-01", period_end="1990-12-31"
                ),
                who,
            ),
        )
