# SPDX-License-Identifier: Apache-2.0
"""Open data at the public door: without an account, in parts, counted by address."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.gateway.rest.limits import Limits
from tests.support.gateway_door import Doorway, doorway
from tests.support.gateway_opendata import CONTENT, NAME, SHA256, FakeOpenData

ROOT = "/api/v1/opendata"
FILE = f"{ROOT}/datasets/{NAME}/releases/2/data.csv"
TAG = f'"{SHA256}"'
SIZE = len(CONTENT)


@pytest.fixture
async def door() -> AsyncIterator[Doorway]:
    async with doorway() as opened:
        yield opened


async def test_data_sets_are_listed_without_an_account(door: Doorway) -> None:
    response = await door.client.get(f"{ROOT}/datasets?page_size=1")
    assert response.json()["datasets"][0]["title"] == {"zh": "按月出生人数", "en": "Births by month"}
    assert response.headers["link"] == f'<{ROOT}/datasets?page_size=1&page_token=next>; rel="next"'
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_versions_tell_their_rules_files_and_leaf(door: Doorway) -> None:
    newest, withdrawn = (await door.client.get(f"{ROOT}/datasets/{NAME}/releases")).json()["releases"]
    assert newest["files"][0]["href"] == FILE
    assert (newest["k"], newest["rules"], newest["leaf_index"]) == (40, {"k": 5}, 7)
    assert (withdrawn["files"], withdrawn["withdraw_reason"]) == ([], "Wrong month.")


async def test_a_file_comes_whole_with_what_a_reader_checks_it_by(door: Doorway) -> None:
    response = await door.client.get(FILE)
    assert (response.status_code, response.content) == (200, CONTENT)
    assert response.headers["etag"] == TAG
    assert response.headers["content-length"] == str(SIZE)
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == f'attachment; filename="{NAME}-2.csv"'
    assert response.headers["cache-control"] == "public, max-age=3600"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=5-", 5, SIZE - 1), ("bytes=-7", SIZE - 7, SIZE - 1),
        (f"bytes=0-{SIZE * 2}", 0, SIZE - 1), (f"bytes=-{SIZE * 2}", 0, SIZE - 1), (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    ],
)  # fmt: skip
async def test_a_part_is_answered_as_such(door: Doorway, wanted: str, first: int, last: int) -> None:
    """RFC 9110, 14.2 and 15.3.7."""
    response = await door.client.get(FILE, headers={"range": wanted})
    assert (response.status_code, response.content) == (206, CONTENT[first : last + 1])
    assert response.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert response.headers["etag"] == TAG


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-3", "bytes=-", "bytes=x-y", "bytes=١-٢"])
async def test_a_range_that_is_none_is_ignored(door: Doorway, wanted: str) -> None:
    """RFC 9110, 14.1.1 and 14.2."""
    response = await door.client.get(FILE, headers=[(b"range", wanted.encode())])
    assert (response.status_code, len(response.content)) == (200, SIZE)


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=-0", f"bytes={SIZE}-{SIZE + 9}"])
async def test_a_range_past_the_end_is_refused_with_the_length(door: Doorway, wanted: str) -> None:
    """RFC 9110, 15.5.17."""
    response = await door.client.get(FILE, headers={"range": wanted})
    assert (response.status_code, response.json()["reason"]) == (416, "RANGE_UNSATISFIABLE")
    assert response.headers["content-range"] == f"bytes */{SIZE}"


async def test_a_range_of_an_older_file_is_answered_with_the_whole_new_one(door: Doorway) -> None:
    """RFC 9110, 13.1.5."""
    response = await door.client.get(FILE, headers={"range": "bytes=0-3", "if-range": '"older"'})
    assert response.status_code == 200
    response = await door.client.get(FILE, headers={"range": "bytes=0-3", "if-range": TAG})
    assert response.status_code == 206


@pytest.mark.parametrize("tags", [TAG, f"W/{TAG}", f'"other", {TAG}', "*"])
async def test_whoever_has_the_file_gets_no_byte_of_it(tags: str) -> None:
    """RFC 9110, 13.1.2."""
    fake = FakeOpenData()
    async with doorway(open_data=fake) as door:
        response = await door.client.get(FILE, headers={"if-none-match": tags})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", TAG)
    assert fake.read == []


async def test_a_withdrawn_version_is_gone_and_says_why(door: Doorway) -> None:
    """RFC 9110, 15.5.11."""
    response = await door.client.get(FILE.replace("/2/", "/1/"))
    assert (response.status_code, response.json()["reason"]) == (410, "RELEASE_WITHDRAWN")
    assert "Wrong month." in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{ROOT}/datasets/unknown-set", 404), (f"{ROOT}/datasets/{NAME}/releases/9/data.csv", 404), (f"{ROOT}/datasets/A", 400),
        (FILE.replace("csv", "parquet"), 404), (FILE.replace("csv", "exe"), 400), (FILE.replace("/2/", "/0/"), 400),
        (f"{ROOT}/catalog.xml", 400), (f"{ROOT}/../../etc/passwd", 404),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_said_so(door: Doorway, path: str, status: int) -> None:
    assert (await door.client.get(path)).status_code == status


async def test_the_catalogue_comes_in_two_notations(door: Doorway) -> None:
    turtle = await door.client.get(f"{ROOT}/catalog.ttl")
    json_ld = await door.client.get(f"{ROOT}/catalog.jsonld")
    assert turtle.headers["content-type"] == "text/turtle; charset=utf-8"
    assert json_ld.headers["content-type"] == "application/ld+json"
    again = await door.client.get(f"{ROOT}/catalog.ttl", headers={"if-none-match": turtle.headers["etag"]})
    assert again.status_code == 304


async def test_readers_are_counted_by_address() -> None:
    async with doorway(limits=Limits(per_second=0.01, burst=2)) as door:
        first = await door.client.get(FILE)
        assert first.headers["ratelimit"].startswith('"caller";r=1;')
        assert first.headers["ratelimit-policy"].startswith('"caller";q=2;')
        await door.client.get(FILE)
        refused = await door.client.get(FILE)
    assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_REQUESTS")
    assert int(refused.headers["retry-after"]) >= 1


class _Slow(FakeOpenData):
    """Gives the first piece, and the rest when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def content(self, name: str, version: int, form: str, *, offset: int, length: int) -> AsyncIterator[bytes]:
        async for piece in super().content(name, version, form, offset=offset, length=length):
            yield piece
            await self.go_on.wait()


async def test_slow_readers_of_files_leave_the_door_to_the_others() -> None:
    slow = _Slow()
    async with doorway(
        limits=Limits(in_flight_max=4, downloads_max=2, downloads_per_caller_max=2), open_data=slow
    ) as door:
        reading = [asyncio.create_task(door.client.get(FILE)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert (await door.client.get(FILE)).status_code == 429
        assert (await door.client.get(f"{ROOT}/datasets")).status_code == 200
        slow.go_on.set()
        assert [(await each).content for each in reading] == [CONTENT, CONTENT]
        assert (await door.client.get(FILE)).status_code == 200


async def test_a_reader_that_stalls_loses_its_place() -> None:
    limits = Limits(downloads_max=1, downloads_per_caller_max=1, download_seconds=0.1)
    slow = _Slow()
    async with doorway(limits=limits, open_data=slow) as door:
        cut = asyncio.create_task(door.client.get(FILE))
        await asyncio.wait({cut}, timeout=2)
        assert cut.done()
        assert cut.exception() is not None or len((await cut).content) < SIZE
        slow.go_on.set()
        assert (await door.client.get(FILE)).status_code == 200
