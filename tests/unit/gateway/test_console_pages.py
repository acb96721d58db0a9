# SPDX-License-Identifier: Apache-2.0
"""The receiver's door, the console's API and its pages."""

import asyncio
import gzip
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from google.rpc.code_pb2 import UNAUTHENTICATED
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.routing import Route

from services.gateway.console import pages
from services.gateway.console.pages import colors, moment, short, took
from services.gateway.console.receiver import PATH, Receiver
from services.gateway.console.routes import LARGER_BODIES, console_routes
from services.gateway.console.spans import Received
from services.gateway.console.store import TraceStore
from services.gateway.console.texts import TEXTS, Texts
from services.gateway.rest.limits import Buckets, Limits
from tests.support.gateway_door import MOTHER, Doorway, doorway, draft
from tests.support.gateway_fake import FakeGateway, FakeVerifier
from tests.support.otlp import exported

TEMPLATES = Path(pages.__file__).parent / "templates"
OPERATOR = {"authorization": "Bearer operator:op:gateway.cases"}
PROTOBUF = {"content-type": "application/x-protobuf"}
ORIGIN = "http://gateway.test"
SENDER = {"authorization": "Bearer s3cret"}


@asynccontextmanager
async def console(*, sandbox: bool = True, traces_token: str = "s3cret", sign_ins: int = 20) -> AsyncIterator[Doorway]:
    gateway = FakeGateway()
    async with TraceStore.open() as store:
        attempts = Buckets(Limits(per_second=sign_ins / 60, burst=sign_ins))
        routes = console_routes(gateway, FakeVerifier(), store, attempts, sandbox=sandbox, traces_token=traces_token)
        async with doorway(gateway=gateway, sandbox=sandbox, console=routes, larger_bodies=LARGER_BODIES) as door:
            door.client.headers["origin"] = ORIGIN  # As a browser sends it with every form.
            yield door


async def send(door: Doorway, body: bytes, **headers: str) -> httpx.Response:
    return await door.client.post("/v1/traces", content=body, headers={**PROTOBUF, **SENDER, **headers})


async def signing_in(door: Doorway, **form: str) -> httpx.Response:
    return await door.client.post("/console/sign-in", data=form)


def many(spans: int) -> bytes:
    """An export of so many spans."""
    request = ExportTraceServiceRequest.FromString(exported())
    scope = request.resource_spans[0].scope_spans[0]
    held = sum(len(each.spans) for resource in request.resource_spans for each in resource.scope_spans)
    scope.spans.extend([scope.spans[0]] * (spans - held))
    return request.SerializeToString()


async def submitted(door: Doorway) -> dict[str, object]:
    """A case with a trace in the store."""
    case = await draft(door)
    response = await door.client.post(f"/api/v1/cases/{case['id']}/submit", headers={**MOTHER, "idempotency-key": "s"})
    body: dict[str, object] = response.json()
    assert (await send(door, exported(str(case["id"])))).status_code == 200
    return body


async def test_an_export_is_kept_and_leaves_no_span_of_its_own() -> None:
    async with console() as door:
        plain = await send(door, exported())
        packed = await send(door, gzip.compress(exported()), **{"content-encoding": "gzip"})
        for response in (plain, packed):
            assert response.status_code == 200
            assert response.headers["content-type"] == "application/x-protobuf"
            answer = ExportTraceServiceResponse.FromString(response.content)
            assert answer.partial_success.rejected_spans == 0
        assert door.spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff", {}, 400),
        (b"", {"content-type": "application/json"}, 415),
        (b"", {"content-encoding": "br"}, 415),
        (b"no gzip", {"content-encoding": "gzip"}, 400),
        (gzip.compress(bytes(17_000_000)), {"content-encoding": "gzip"}, 400),
        (gzip.compress(bytes(100))[:-9], {"content-encoding": "gzip"}, 400),
        (gzip.compress(bytes(8_000_001)), {"content-encoding": "gzip"}, 400),
        (many(2_001), {}, 413),
    ],
)
async def test_an_export_that_cannot_be_is_refused_as_otlp_wants_it(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    async with console() as door:
        response = await send(door, body, **headers)
        assert response.status_code == status
        assert Status.FromString(response.content).message


async def test_an_export_may_be_larger_than_other_bodies_and_is_bounded_still() -> None:
    async with console() as door:
        large = ExportTraceServiceRequest.FromString(exported())
        large.resource_spans[0].scope_spans[0].spans[0].name = "x" * 1_100_000
        assert (await send(door, large.SerializeToString())).status_code == 200
        assert (await send(door, bytes(4_000_001))).status_code == 413


@pytest.mark.parametrize("shown", ["", "Bearer wrong", "Bearer ", "Basic s3cret", "Bearer s3crét"])
@pytest.mark.parametrize("traces_token", ["s3cret", ""])
async def test_traces_are_taken_with_the_token_alone_even_from_this_machine(shown: str, traces_token: str) -> None:
    async with console(traces_token=traces_token) as door:
        headers = {b"content-type": b"application/x-protobuf", b"authorization": shown.encode()}
        refused = await door.client.post("/v1/traces", content=exported(), headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert Status.FromString(refused.content).code == UNAUTHENTICATED


async def test_as_many_spans_as_the_bound_are_taken_at_once() -> None:
    async with console() as door:
        assert (await send(door, many(2_000))).status_code == 200


async def test_exports_are_read_beside_the_loop_two_at_a_time_and_the_seventeenth_comes_again() -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    def read(_body: bytes) -> Received:
        entered.release()
        release.wait(10)
        return Received(spans=(), rejected=0)

    async with TraceStore.open() as store:
        route = Route(PATH, Receiver(store, "s3cret", read=read).receive, methods=["POST"])
        async with doorway(console=[route]) as door:
            sending = [asyncio.create_task(send(door, b"")) for _ in range(16)]
            for _ in range(2):
                await asyncio.to_thread(entered.acquire)
            busy = await send(door, b"")
            assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
            assert (await door.client.get("/healthz")).status_code == 200
            assert not entered.acquire(blocking=False)
            release.set()
            assert {response.status_code for response in await asyncio.gather(*sending)} == {200}
            assert (await send(door, b"")).status_code == 200


async def test_an_operator_gets_from_a_receipt_to_the_spans() -> None:
    async with console() as door:
        case = await submitted(door)
        found = await door.client.get("/console/api/traces", params={"receipt": str(case["receipt"])}, headers=OPERATOR)
        assert found.json()["case_id"] == case["id"]
        own, with_spans = found.json()["traces"]
        assert own == case["trace_id"]
        trace = (await door.client.get(f"/console/api/traces/{with_spans}", headers=OPERATOR)).json()
        assert {span["service"] for span in trace["spans"]} == {"gateway", "licenses"}
        assert {
            "span_id",
            "parent_id",
            "service",
            "name",
            "kind",
            "start",
            "end",
            "status",
            "attributes",
            "links",
        } <= set(trace["spans"][0])
        by_case = await door.client.get("/console/api/traces", params={"case": str(case["id"])}, headers=OPERATOR)
        assert by_case.json() == found.json()


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 401, "OPERATOR_UNKNOWN"),
        (MOTHER, 403, "RIGHT_MISSING"),
        ({"authorization": "Bearer operator:op"}, 403, "RIGHT_MISSING"),
        ({"authorization": "Bearer clerk:c:gateway.cases"}, 403, "RIGHT_MISSING"),
        ({"authorization": "Bearer expired:x"}, 401, "TOKEN_EXPIRED"),
    ],
)
async def test_the_api_is_for_operators_only(headers: dict[str, str], status: int, reason: str) -> None:
    async with console() as door:
        await send(door, exported())
        for path in ("/console/api/traces?receipt=1", f"/console/api/traces/{'a' * 32}"):
            response = await door.client.get(path, headers=headers)
            assert (response.status_code, response.json()["reason"]) == (status, reason)


async def test_what_is_not_kept_is_not_found() -> None:
    async with console() as door:
        for trace_id in ("a" * 32, "nonsense", "A" * 32):
            response = await door.client.get(f"/console/api/traces/{trace_id}", headers=OPERATOR)
            assert (response.status_code, response.json()["reason"]) == (404, "TRACE_NOT_FOUND")
        nothing = await door.client.get("/console/api/traces", headers=OPERATOR)
        assert (nothing.status_code, nothing.json()["reason"]) == (400, "REQUEST_INVALID")


async def test_who_is_not_signed_in_is_sent_to_the_form_and_back() -> None:
    async with console() as door:
        page = f"/console/traces/{'a' * 32}"
        away = await door.client.get(page)
        assert away.status_code == 303
        form = await door.client.get(away.headers["location"])
        assert "operator-1" in form.text
        assert "mother-1" not in form.text
        assert f'value="{page}"' in form.text
        signed_in = await door.client.post("/console/sign-in", data={"persona": "operator-1", "next": page})
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, page)
        cookie = signed_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/console" in cookie


@pytest.mark.parametrize("form", [{"persona": "mother-1"}, {"persona": "nobody"}, {"token": "forged"}, {}])
async def test_nobody_else_signs_in(form: dict[str, str]) -> None:
    async with console() as door:
        response = await door.client.post("/console/sign-in", data=form)
        assert response.status_code == 403
        assert "set-cookie" not in response.headers
        assert "不能登录" in response.text


async def test_outside_the_sandbox_there_is_only_the_token() -> None:
    async with console(sandbox=False) as door:
        assert "operator-1" not in (await door.client.get("/console/sign-in")).text
        assert (await door.client.post("/console/sign-in", data={"persona": "operator-1"})).status_code == 403
        token = {"token": "operator:op:gateway.cases", "next": "https://evil.example"}
        response = await door.client.post("/console/sign-in", data=token)
        assert (response.status_code, response.headers["location"]) == (303, "/console")
        assert door.gateway.personas_asked == 0


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example",
        "http://gateway.test.evil.example",
        "http://gateway.test:81",
        "ftp://gateway.test",
    ],
)
async def test_forms_of_other_sites_change_nothing(origin: str) -> None:
    async with console() as door:
        for path in ("/console/sign-in", "/console/sign-out"):
            response = await door.client.post(path, data={"persona": "operator-1"}, headers={"origin": origin})
            assert response.status_code == 403
            assert "ORIGIN_FOREIGN" in response.text
            assert "set-cookie" not in response.headers


async def test_forms_of_our_own_pages_are_known_and_a_secure_line_keeps_its_cookie() -> None:
    async with console() as door:
        form = await door.client.get("/console/sign-in", headers={"origin": "http://elsewhere.example"})
        assert (form.status_code, form.headers["referrer-policy"]) == (200, "same-origin")
        for origin, secure in (("http://gateway.test", False), ("https://Gateway.test", True)):
            signed_in = await door.client.post(
                "/console/sign-in", data={"persona": "operator-1"}, headers={"origin": origin}
            )
            assert signed_in.status_code == 303
            assert ("Secure" in signed_in.headers["set-cookie"]) is secure


async def test_who_tries_to_sign_in_too_often_is_told_when_to_come_again() -> None:
    async with console(sign_ins=3) as door:
        statuses = [
            (await door.client.post("/console/sign-in", data={"token": f"forged-{number}"})).status_code
            for number in range(3)
        ]
        assert statuses == [403, 403, 403]
        refused = await door.client.post("/console/sign-in", data={"persona": "operator-1"})
        assert refused.status_code == 429
        assert 15 <= int(refused.headers["retry-after"]) <= 20
        assert "TOO_MANY_REQUESTS" in refused.text
        assert "set-cookie" not in refused.headers
        transport = httpx.ASGITransport(door.app, client=("203.0.113.9", 5000))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"origin": ORIGIN}) as other:
            assert (await other.post("/console/sign-in", data={"persona": "operator-1"})).status_code == 303


async def test_only_what_fails_counts_as_an_attempt_to_sign_in() -> None:
    async with console(sign_ins=3) as door:
        for number in range(2):
            assert (await signing_in(door, token=f"forged-{number}")).status_code == 403
        for _ in range(20):
            assert (await signing_in(door, persona="operator-1")).status_code == 303
        assert (await signing_in(door, token="forged")).status_code == 403
        assert (await signing_in(door, persona="operator-1")).status_code == 429


async def test_no_more_forged_tokens_are_looked_at_at_once_than_one_after_the_other() -> None:
    async with console(sign_ins=3) as door:
        found = await asyncio.gather(*(signing_in(door, token=f"forged-{number}") for number in range(12)))
    assert sorted(response.status_code for response in found) == [403] * 3 + [429] * 9


async def test_an_operator_finds_a_case_and_sees_its_waterfall() -> None:
    async with console() as door:
        case = await submitted(door)
        await door.client.post("/console/sign-in", data={"persona": "operator-1"})
        home = await door.client.get("/console", params={"receipt": str(case["receipt"])})
        assert home.status_code == 200
        assert str(case["id"]) in home.text
        assert "已提交" in home.text
        trace_id = next(
            found for found in re.findall(r"/console/traces/([0-9a-f]{32})", home.text) if found != case["trace_id"]
        )
        page = await door.client.get(f"/console/traces/{trace_id}")
        assert page.status_code == 200
        assert page.text.count("<svg") == 3
        for word in ("POST /api/v1/cases", "licenses", "KeyError", "瀑布图", "svc-gateway"):
            assert word in page.text
        english = await door.client.get(f"/console/traces/{trace_id}?lang=en")
        assert 'lang="en"' in english.text
        assert "Waterfall" in english.text
        assert "瀑布图" not in english.text
        direct = await door.client.get("/console", params={"receipt": trace_id})
        assert direct.headers["location"] == f"/console/traces/{trace_id}"
        await door.client.post("/console/sign-out")
        door.client.cookies.clear()
        assert (await door.client.get("/console")).status_code == 303


async def test_what_is_not_found_is_said_on_a_page() -> None:
    async with console() as door:
        await door.client.post("/console/sign-in", data={"persona": "operator-1"})
        home = await door.client.get("/console", params={"receipt": "<script>alert(1)</script>"})
        assert home.status_code == 404
        assert "没有找到" in home.text
        assert "<script>" not in home.text
        gone = await door.client.get(f"/console/traces/{'a' * 32}?lang=en")
        assert (gone.status_code, "Not found." in gone.text) == (404, True)


async def test_pages_run_nothing_and_load_nothing_from_elsewhere() -> None:
    async with console() as door:
        case = await submitted(door)
        await door.client.post("/console/sign-in", data={"persona": "operator-1"})
        home = await door.client.get("/console", params={"receipt": str(case["receipt"])})
        trace_id = re.findall(r"/console/traces/([0-9a-f]{32})", home.text)[-1]
        for page in (
            home,
            await door.client.get(f"/console/traces/{trace_id}"),
            await door.client.get("/console/sign-in"),
        ):
            assert "script-src" not in page.headers["content-security-policy"]
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert page.headers["cache-control"] == "no-store"
            assert not re.search(r"<script|style=|https?://| on[a-z]+=", page.text)
        css = await door.client.get("/console/console.css")
        assert css.headers["content-type"].startswith("text/css")
        assert "url(" not in css.text


def test_every_word_is_there_in_both_languages() -> None:
    for key, (chinese, english) in TEXTS.items():
        assert chinese, key
        assert english, key
        assert re.findall(r"{\w+}", chinese) == re.findall(r"{\w+}", english), key
    assert Texts("en")("status.something_new") == "something_new"
    templates = [path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html")]
    used = {key for text in templates for key in re.findall(r"\bt\('([a-z_.]+)'(?! ~)", text)}
    assert used <= set(TEXTS)


@pytest.mark.parametrize(
    ("nanoseconds", "words"),
    [
        (0, "0 µs"),
        (999_000, "999 µs"),
        (12_345_678, "12.3 ms"),
        (1_200_000_000, "1.20 s"),
        (125_000_000_000, "2 min 5 s"),
    ],
)
def test_durations_are_written_for_people(nanoseconds: int, words: str) -> None:
    assert took(nanoseconds) == words


def test_moments_and_colors() -> None:
    assert moment(1_700_000_000_123_000_000) == "2023-11-14 22:13:20.123 UTC"
    found = colors(["gateway", *(f"department.{number:02d}" for number in range(12))])
    assert found["gateway"] == "svc-gateway"
    assert found["department.00"] == "svc-0" == found["department.10"]
    css = (TEMPLATES.parent / "static" / "console.css").read_text(encoding="utf-8")
    assert all(f".{name} " in css for name in found.values())
    assert short("tongban.gateway.v1.StepService/GetStepInput") == "StepService/GetStepInput"
    assert short("POST /api/v1/cases") == "POST /api/v1/cases"
