# SPDX-License-Identifier: Apache-2.0
"""Cases through the REST door."""

from typing import Any

import httpx
import pytest

from services.gateway.domain.refusals import TooManyCases, TooManyDrafts, TooManySubmissions
from tests.support.gateway_door import MOTHER, OTHER, doorway, draft


def key(name: str) -> dict[str, str]:
    return {**MOTHER, "idempotency-key": name}


def problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["reason"] == reason
    assert body["type"] == "urn:tongban:problem:" + reason.lower().replace("_", "-")
    assert len(body["trace_id"]) == 32
    assert body["instance"] == "urn:tongban:trace:" + body["trace_id"]
    return body


async def test_a_draft_is_opened_with_its_place_and_version() -> None:
    async with doorway() as door:
        response = await door.client.post(
            "/api/v1/cases", json={"matter": "birth", "answers": {"child_name": "安宁"}}, headers=key("a")
        )
        body = response.json()
        assert response.status_code == 201
        assert response.headers["location"] == f"/api/v1/cases/{body['id']}"
        assert response.headers["etag"] == '"1"'
        assert response.headers["cache-control"] == "no-store"
        assert body["status"] == "draft"
        assert body["answers"] == {"child_name": "安宁"}
        assert body["created"] == "2026-11-23T02:10:00.000Z"
        assert (await door.client.get(response.headers["location"], headers=MOTHER)).json() == body


async def test_the_same_key_gives_the_same_answer_and_one_case() -> None:
    async with doorway() as door:
        asked = {"matter": "birth", "answers": {"child_name": "安宁"}}
        first = await door.client.post("/api/v1/cases", json=asked, headers=key("a"))
        again = await door.client.post("/api/v1/cases", json=asked, headers=key("a"))
        assert (first.status_code, first.text) == (again.status_code, again.text)
        assert len(door.gateway.views) == 1
        other = await door.client.post("/api/v1/cases", json={"matter": "birth"}, headers=key("a"))
        problem(other, 409, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("bad", [None, "", "x" * 201, "a b", "naïve"])
async def test_a_change_without_a_proper_key_is_refused(bad: str | None) -> None:
    async with doorway() as door:
        headers = [(b"authorization", b"Bearer citizen:mother")]
        if bad is not None:
            headers.append((b"idempotency-key", bad.encode("latin-1")))
        response = await door.client.post("/api/v1/cases", json={"matter": "birth"}, headers=headers)
        body = problem(response, 400, "REQUEST_INVALID")
        assert body["violations"][0]["field"] == "Idempotency-Key"
        assert body["remedy"]
        assert not door.gateway.views


async def test_a_draft_is_changed_only_in_the_version_that_was_read() -> None:
    async with doorway() as door:
        case = await draft(door)
        path = f"/api/v1/cases/{case['id']}"
        asked = {"answers": {"child_sex": "female"}}
        good = await door.client.patch(path, json=asked, headers={**MOTHER, "if-match": '"1"'})
        assert (good.status_code, good.headers["etag"]) == (200, '"2"')
        late = await door.client.patch(path, json=asked, headers={**MOTHER, "if-match": '"1"'})
        problem(late, 412, "VERSION_CONFLICT")
        assert (await door.client.patch(path, json=asked, headers=MOTHER)).headers["etag"] == '"3"'
        assert (await door.client.patch(path, json=asked, headers={**MOTHER, "if-match": "*"})).status_code == 200
        odd = await door.client.patch(path, json=asked, headers={**MOTHER, "if-match": "3"})
        assert problem(odd, 400, "REQUEST_INVALID")["violations"][0]["field"] == "If-Match"


async def test_a_case_is_submitted_once() -> None:
    async with doorway() as door:
        case = await draft(door)
        path = f"/api/v1/cases/{case['id']}"
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        first = await door.client.post(f"{path}/submit", headers={**key("s"), "traceparent": trace})
        assert first.status_code == 202
        assert first.headers["location"] == path
        assert first.json()["status"] == "submitted"
        assert first.json()["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
        again = await door.client.post(f"{path}/submit", headers=key("s"))
        assert (first.status_code, first.text) == (again.status_code, again.text)
        problem(await door.client.post(f"{path}/submit", headers=MOTHER), 400, "REQUEST_INVALID")
        changed = await door.client.patch(path, json={"answers": {}}, headers=MOTHER)
        problem(changed, 409, "CASE_NOT_DRAFT")


async def test_a_draft_is_deleted_once_and_a_repeat_under_its_key_finds_it_done() -> None:
    async with doorway() as door:
        path = f"/api/v1/cases/{(await draft(door))['id']}"
        problem(await door.client.delete(path, headers=OTHER), 404, "CASE_NOT_FOUND")
        for _ in range(2):
            gone = await door.client.delete(path, headers=key("d"))
            assert (gone.status_code, gone.content) == (204, b"")
        problem(await door.client.delete(path, headers=MOTHER), 404, "CASE_NOT_FOUND")
        problem(await door.client.get(path, headers=MOTHER), 404, "CASE_NOT_FOUND")
        stays = f"/api/v1/cases/{(await draft(door, key='k-2'))['id']}"
        await door.client.post(f"{stays}/submit", headers=key("s"))
        problem(await door.client.delete(stays, headers=MOTHER), 409, "CASE_NOT_DRAFT")


async def test_too_many_drafts_are_refused_with_what_to_do() -> None:
    async with doorway() as door:
        door.gateway.broken = TooManyDrafts("Full.", remedy="Delete one.", retry_after_seconds=86_400)
        response = await door.client.post("/api/v1/cases", json={"matter": "birth"}, headers=key("a"))
        assert problem(response, 429, "TOO_MANY_DRAFTS")["remedy"] == "Delete one."
        assert response.headers["retry-after"] == "86400"


async def test_too_many_submissions_are_refused_and_the_contract_says_so() -> None:
    async with doorway() as door:
        path = f"/api/v1/cases/{(await draft(door))['id']}/submit"
        for kind in (TooManyCases, TooManySubmissions):
            door.gateway.broken = kind("Full.", remedy="Wait.", retry_after_seconds=3600)
            response = await door.client.post(path, headers=key("s"))
            assert problem(response, 429, kind.reason)["remedy"] == "Wait."
            assert response.headers["retry-after"] == "3600"
        told = (await door.client.get("/openapi.json")).json()["paths"]["/api/v1/cases/{case_id}/submit"]["post"]
        assert {TooManyCases.reason, TooManySubmissions.reason} <= set(told["description"].split("`"))
        assert "Retry-After" in told["responses"]["429"]["headers"]


async def test_another_residents_case_is_not_found_and_so_is_none() -> None:
    async with doorway() as door:
        case = await draft(door)
        for path in ("", "/timeline", "/events"):
            problem(await door.client.get(f"/api/v1/cases/{case['id']}{path}", headers=OTHER), 404, "CASE_NOT_FOUND")
        none = await door.client.get("/api/v1/cases/6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52", headers=MOTHER)
        problem(none, 404, "CASE_NOT_FOUND")
        odd = await door.client.get("/api/v1/cases/110101199003077777", headers=MOTHER)
        assert "110101199003077777" not in odd.text
        problem(odd, 400, "REQUEST_INVALID")


async def test_a_case_that_is_known_already_is_not_sent_again() -> None:
    async with doorway() as door:
        path = f"/api/v1/cases/{(await draft(door))['id']}"
        known = await door.client.get(path, headers={**MOTHER, "if-none-match": '"1"'})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"1"')
        assert (await door.client.get(path, headers={**MOTHER, "if-none-match": '"7"'})).status_code == 200


async def test_lists_go_page_by_page_and_find_a_receipt() -> None:
    async with doorway() as door:
        for number in range(5):
            await draft(door, key=f"k-{number}")
        found: list[str] = []
        path = "/api/v1/cases?page_size=2"
        while path:
            response = await door.client.get(path, headers=MOTHER)
            found += [case["id"] for case in response.json()["cases"]]
            path = response.links.get("next", {}).get("url", "")
            assert bool(path) == bool(response.json()["next_page_token"])
        assert sorted(found) == sorted(door.gateway.views)
        receipt = (await draft(door, key="k-9"))["receipt"]
        one = await door.client.get("/api/v1/cases", params={"receipt": str(receipt)}, headers=MOTHER)
        assert [case["receipt"] for case in one.json()["cases"]] == [receipt]
        assert (await door.client.get("/api/v1/cases", headers=OTHER)).json()["cases"] == []
        theirs = await door.client.get("/api/v1/cases", params={"receipt": str(receipt)}, headers=OTHER)
        assert theirs.json()["cases"] == []


@pytest.mark.parametrize(
    "query",
    [
        "page_size=0",
        "page_size=201",
        "page_size=x",
        "page_sizes=5",
        "page_size=1&page_size=2",
        "page_token=%00",
        f"page_token={'x' * 1001}",
    ],
)
async def test_a_page_that_cannot_be_is_refused(query: str) -> None:
    async with doorway() as door:
        response = await door.client.get(f"/api/v1/cases?{query}", headers=MOTHER)
        assert response.status_code == 400
        assert response.json()["reason"] in {"REQUEST_INVALID", "PAGE_TOKEN_INVALID"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"matter": "birth", "surprise": 1}', "surprise"),
        ('{"matter": 7}', "matter"),
        ('{"matter": "../etc"}', "matter"),
        ('{"answers": {}}', "matter"),
        ('{"matter": "birth", "answers": {"child_name": 5}}', "answers.child_name"),
        ('{"matter": "birth", "answers": {"child_name": {"a": 1}}}', "answers.child_name"),
        ('{"matter": "birth", "answers": {"11010119900307777X": "x"}}', "answers.(unnamed)"),
        ('{"matter": "birth", "answers": ["x"]}', "answers"),
        ('{"matter": "birth", "answers": {"child_name": "a\\u0000b"}}', "answers.child_name"),
        ('{"matter": "birth", "answers": {"child_name": "\\ud800"}}', "answers.child_name"),
        (f'{{"matter": "birth", "answers": {{"child_name": "{"x" * 1001}"}}}}', "answers.child_name"),
        ('{"matter": "birth", "without": "a"}', "without"),
        ('{"matter": "birth",', "body"),
        ("7", "body"),
        ("null", "body"),
        ("", "body"),
    ],
)
async def test_what_breaks_the_contract_is_named_without_its_value(body: str, field: str) -> None:
    async with doorway() as door:
        response = await door.client.post(
            "/api/v1/cases", content=body.encode(), headers={**key("a"), "content-type": "application/json"}
        )
        found = problem(response, 400, "REQUEST_INVALID")
        assert found["violations"][0]["field"] == field, found
        assert "11010119900307777X" not in response.text
        assert not door.gateway.views


async def test_json_that_is_too_deep_or_odd_is_refused() -> None:
    async with doorway() as door:
        headers = {**key("a"), "content-type": "application/json"}
        for body in (b"[" * 100_000, b'{"matter":' + b"9" * 5000 + b"}", b"\xff\xfe", b'{"matter": NaN}'):
            response = await door.client.post("/api/v1/cases", content=body, headers=headers)
            problem(response, 400, "REQUEST_INVALID")


async def test_answers_that_the_gateway_refuses_keep_their_violations() -> None:
    async with doorway() as door:
        response = await door.client.post(
            "/api/v1/cases", json={"matter": "birth", "answers": {"nonsense": "x"}}, headers=key("a")
        )
        assert problem(response, 400, "REQUEST_INVALID")["violations"] == [
            {"field": "answers.nonsense", "description": "Unknown."}
        ]


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_only_json_is_taken(media_type: str | None) -> None:
    async with doorway() as door:
        headers = {**key("a"), **({"content-type": media_type} if media_type else {})}
        response = await door.client.post("/api/v1/cases", content=b'{"matter":"birth"}', headers=headers)
        problem(response, 415, "MEDIA_TYPE_UNSUPPORTED")


async def test_the_timeline_tells_what_happened() -> None:
    async with doorway() as door:
        case = await draft(door)
        response = await door.client.get(f"/api/v1/cases/{case['id']}/timeline", headers=MOTHER)
        entry = response.json()["entries"][0]
        assert (entry["seq"], entry["kind"], entry["text"]["zh"]) == (1, "opened", "发生了")


async def test_spans_name_the_route_and_the_case_and_no_person() -> None:
    async with doorway() as door:
        case = await draft(door, child_name="安宁")
        await door.client.get("/api/v1/cases/110101199003077777", headers=MOTHER)
        created, odd = door.spans.get_finished_spans()
        assert created.name == "POST /api/v1/cases"
        assert created.attributes is not None
        assert created.attributes["tongban.case"] == case["id"]
        assert created.attributes["http.response.status_code"] == 201
        assert odd.name == "GET /api/v1/cases/{case_id}"
        assert "110101199003077777" not in odd.to_json()
        assert "安宁" not in created.to_json()
