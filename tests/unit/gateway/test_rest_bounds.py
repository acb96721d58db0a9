# SPDX-License-Identifier: Apache-2.0
"""What the door doesn't let in, and how it says so."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.gateway.rest.limits import Buckets, Limits
from services.gateway.rest.watch import continued
from services.kit.errors import Refusal, TooManyRequests, Unavailable
from tests.support.gateway_door import MOTHER, doorway, draft

KEY = {**MOTHER, "idempotency-key": "k", "content-type": "application/json"}


async def chunks(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * size


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    async with doorway() as door:
        response = await door.client.post("/api/v1/cases", content=b" " * 1_000_001, headers=KEY)
        assert (response.status_code, response.json()["reason"]) == (413, "BODY_TOO_LARGE")
        assert response.headers["connection"] == "close"


async def test_a_body_that_grows_too_large_is_cut_where_it_does() -> None:
    async with doorway() as door:
        response = await door.client.post("/api/v1/cases", content=chunks(1_000, 10_000), headers=KEY)
        assert (response.status_code, response.json()["reason"]) == (413, "BODY_TOO_LARGE")
        token = await door.client.post(
            "/oauth/token", content=b"a" * 9000, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert token.status_code == 413


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    async with doorway(limits=Limits(body_seconds_max=0.05)) as door:
        response = await door.client.post("/api/v1/cases", content=slow(), headers=KEY)
        assert (response.status_code, response.json()["reason"]) == (408, "BODY_TOO_SLOW")


async def test_a_caller_who_asks_too_fast_is_told_when_to_come_again() -> None:
    async with doorway(limits=Limits(per_second=0.1, burst=3)) as door:
        left = []
        for _ in range(3):
            response = await door.client.get("/api/v1/cases", headers=MOTHER)
            assert response.status_code == 200
            left.append(response.headers["ratelimit"].split(";")[1])
        assert left == ["r=2", "r=1", "r=0"]
        assert response.headers["ratelimit-policy"] == '"caller";q=3;w=30'
        refused = await door.client.get("/api/v1/cases", headers=MOTHER)
        assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_REQUESTS")
        assert 5 <= int(refused.headers["retry-after"]) <= 10
        other = await door.client.get("/api/v1/cases", headers={"authorization": "Bearer citizen:other"})
        assert other.status_code == 200


async def test_forged_tokens_are_counted_for_their_address_and_hurt_nobody_else() -> None:
    async with doorway(limits=Limits(per_second=0.1, burst=3)) as door:
        codes = [
            (await door.client.get("/api/v1/cases", headers={"authorization": f"Bearer forged-{n}"})).status_code
            for n in range(5)
        ]
        assert codes == [401, 401, 401, 429, 429]
        assert (await door.client.get("/api/v1/cases", headers=MOTHER)).status_code == 200


async def test_the_gateway_says_that_it_is_busy() -> None:
    async with doorway(limits=Limits(in_flight_max=1)) as door:
        waiting = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            waiting.set()
            await asyncio.sleep(0.1)
            yield b'{"matter":"birth"}'

        first = asyncio.create_task(door.client.post("/api/v1/cases", content=slow(), headers=KEY))
        await waiting.wait()
        busy = await door.client.get("/api/v1/cases", headers=MOTHER)
        assert (busy.status_code, busy.json()["reason"]) == (429, "GATEWAY_BUSY")
        assert busy.headers["retry-after"] == "1"
        assert (await first).status_code == 201
        assert (await door.client.get("/api/v1/cases", headers=MOTHER)).status_code == 200


def test_a_bucket_fills_up_with_time_and_forgets_the_longest_silent() -> None:
    now = [0.0]
    buckets = Buckets(Limits(per_second=2, burst=2, callers_max=2), lambda: now[0])
    buckets.take("a")
    buckets.take("a")
    with pytest.raises(TooManyRequests) as refusal:
        buckets.take("a")
    assert refusal.value.retry_after_seconds == pytest.approx(0.5)
    now[0] = 0.5
    assert buckets.take("a").remaining == 0
    buckets.take("b")
    buckets.take("c")
    assert buckets.take("a").remaining == 1


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Unavailable("postgresql://secret@db is down", retry_after_seconds=7), 503, "UNAVAILABLE"),
        (Refusal("Not now."), 409, "REFUSED"),
        (RuntimeError("password=hunter2"), 500, "INTERNAL"),
        (KeyError("张三"), 500, "INTERNAL"),
    ],
)
async def test_what_breaks_inside_is_answered_without_its_insides(error: Exception, status: int, reason: str) -> None:
    async with doorway() as door:
        door.gateway.broken = error
        response = await door.client.get("/api/v1/cases", headers=MOTHER)
        body = response.json()
        assert (response.status_code, body["reason"]) == (status, reason)
        assert "secret" not in response.text
        assert "hunter2" not in response.text
        assert "张三" not in response.text
        if status == 503:
            assert response.headers["retry-after"] == "7"
        if status == 500:
            assert "Incident " in body["detail"]
        door.gateway.broken = None
        assert (await door.client.get("/api/v1/cases", headers=MOTHER)).status_code == 200


async def test_every_answer_has_the_headers_of_a_careful_server() -> None:
    async with doorway() as door:
        for path in ("/api/v1/matters", "/api/v1/cases", "/nowhere", "/healthz", "/docs"):
            response = await door.client.get(path, headers=MOTHER)
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["referrer-policy"] == "no-referrer"
            assert "default-src 'none'" in response.headers["content-security-policy"]
            assert "cache-control" in response.headers


async def test_an_address_or_method_that_is_none_is_a_problem() -> None:
    async with doorway() as door:
        nowhere = await door.client.get("/api/v1/110101199003077777")
        assert (nowhere.status_code, nowhere.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
        assert "110101199003077777" not in nowhere.text
        wrong = await door.client.delete("/api/v1/cases")
        assert (wrong.status_code, wrong.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")
        assert wrong.headers["allow"] == "GET, POST"
        odd = await door.client.request("FROB110101199003077777", "/api/v1/cases")
        assert odd.status_code == 405
        assert "110101199003077777" not in "".join(span.to_json() for span in door.spans.get_finished_spans())


async def test_a_foreign_trace_is_continued_but_not_its_wish_to_be_recorded() -> None:
    low, high = "0" * 31 + "1", "f" * 32
    assert continued(f"00-{low}-b7ad6b7169203331-00", 0.5) == f"00-{low}-b7ad6b7169203331-01"
    assert continued(f"00-{high}-b7ad6b7169203331-01", 0.5) == f"00-{high}-b7ad6b7169203331-00"
    assert continued(f"00-{low}-b7ad6b7169203331-01", 0) == f"00-{low}-b7ad6b7169203331-00"
    for odd in ("", "00-x-y-01", f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{high}-{'0' * 16}-01", f"01-{high}-1"):
        assert continued(odd, 1) == ""
    async with doorway(sample_ratio=0) as door:
        headers = {**MOTHER, "traceparent": f"00-{high}-b7ad6b7169203331-01"}
        response = await door.client.get("/api/v1/cases", headers=headers)
        assert response.headers["traceresponse"].startswith(f"00-{high}-")
        assert response.headers["traceresponse"].endswith("-00")
        assert door.spans.get_finished_spans() == ()


async def test_probes_leave_no_span() -> None:
    async with doorway() as door:
        await door.client.get("/healthz")
        await door.client.get("/readyz")
        assert door.spans.get_finished_spans() == ()


async def test_a_failed_request_marks_its_span_without_words() -> None:
    async with doorway() as door:
        await draft(door)
        door.gateway.broken = RuntimeError("张三")
        await door.client.get("/api/v1/cases", headers=MOTHER)
        span = door.spans.get_finished_spans()[-1]
        assert span.status.status_code.name == "ERROR"
        assert "张三" not in span.to_json()
