# SPDX-License-Identifier: Apache-2.0
"""An operator's journey, from a resident's receipt to the spans; and what strangers try at the public door."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from joserfc import jwk, jwt

from services.cli.demo.resident import DoorRefused, issue_token
from tests.support.system import System

BYTES = 10_000_000


def client(system: System) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=system.url, timeout=20, trust_env=False)


async def finished(system: System, persona: str) -> dict[str, str]:
    async with system.resident(persona) as mother:
        samples = await mother.samples(persona)
        draft = await mother.create("birth", samples["birth"])
        await mother.submit(draft["id"])
        async for _ in mother.events(draft["id"]):
            pass
        case: dict[str, str] = await mother.case(draft["id"])
        return case


async def test_from_a_receipt_number_to_the_waterfall_of_all_services(system: System) -> None:
    case = await finished(system, "mother-5")
    async with client(system) as browser:
        away = await browser.get("/console")
        assert away.status_code == 303
        assert "operator-1" in (await browser.get(away.headers["location"])).text
        await browser.post("/console/sign-in", data={"persona": "operator-1"}, headers={"origin": system.url})
        home = await browser.get("/console", params={"receipt": case["receipt"]})
        assert case["id"] in home.text
        assert case["trace_id"] in home.text
        page = await _with_all_services(browser, f"/console/traces/{case['trace_id']}")
        bars = re.findall(r'<rect class="svc-[a-z0-9]+" x="(\d+)" width="(\d+)"', page)
        assert len(bars) > 50
        assert all(0 <= int(x) <= int(x) + int(width) <= 1000 for x, width in bars)
        assert "Waterfall" in (await browser.get(f"/console/traces/{case['trace_id']}?lang=en")).text


async def _with_all_services(browser: httpx.AsyncClient, path: str) -> str:
    """Spans come in batches: look until those of everybody are there."""
    wanted = {"gateway", "identity", "licenses", "exchange", "department.hospital"}
    page = ""
    for _ in range(100):
        page = (await browser.get(path)).text
        if wanted <= set(re.findall(r"</span>([a-z._]+)</span>", page)):
            return page
        await asyncio.sleep(0.1)
    raise AssertionError(f"The page lacks services: {page[-2000:]}")


async def test_the_console_is_closed_to_residents(system: System) -> None:
    async with client(system) as http:
        http.headers["authorization"] = f"Bearer {await issue_token(http, 'mother-1')}"
        for path in ("/console/api/traces?receipt=1", f"/console/api/traces/{'a' * 32}"):
            response = await http.get(path)
            assert (response.status_code, response.json()["reason"]) == (403, "RIGHT_MISSING")


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(BYTES // 100_000):
        yield b" " * 100_000


@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_are_refused_and_the_door_stays_open(system: System, chunked: bool) -> None:
    async with client(system) as http:
        headers = {
            "authorization": f"Bearer {await issue_token(http, 'mother-1')}",
            "idempotency-key": str(uuid.uuid4()),
            "content-type": "application/json",
        }
        try:
            response = await http.post(
                "/api/v1/cases", content=_endless() if chunked else b" " * BYTES, headers=headers
            )
            assert (response.status_code, response.json()["reason"]) == (413, "BODY_TOO_LARGE")
        except httpx.TransportError:  # The door closed while we were still talking; that says it as well.
            pass
        assert (await http.get("/healthz")).status_code == 200


async def test_a_token_of_another_issuer_is_refused(system: System) -> None:
    key = jwk.ECKey.generate_key("P-256", {"kid": "theirs"})
    async with client(system) as http:
        ours = (await http.get("/.well-known/jwks.json")).json()["keys"][0]["kid"]
        for kid in ("theirs", ours):
            claims = {"iss": "x", "sub": "1", "aud": "tongban", "role": "citizen", "iat": 1, "exp": 4_000_000_000}
            token = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": kid}, claims, key)
            response = await http.get("/api/v1/cases", headers={"authorization": f"Bearer {token}"})
            assert (response.status_code, response.json()["reason"]) == (401, "TOKEN_INVALID")
            assert 'error="invalid_token"' in response.headers["www-authenticate"]


@pytest.mark.parametrize(
    "words",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /api/v1/cases HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/cases HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_stops_nothing(system: System, words: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", system.ports.http)
    try:
        writer.write(words)
        answer = await asyncio.wait_for(reader.read(65_536), 30)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    except ConnectionError:  # Hung up on: that says it as well.
        pass
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    async with client(system) as http:
        assert (await http.get("/healthz")).status_code == 200


async def test_answers_that_break_the_form_store_nothing_and_repeat_no_value(system: System) -> None:
    async with system.resident("mother-1") as mother:
        before = (await mother.get("/api/v1/cases"))["cases"]
        number = "11010119900307777X"
        with pytest.raises(DoorRefused) as refused:
            await mother.create("birth", {"child_name": number * 10, "child_sex": "neither", "surprise": number})
        assert refused.value.status == 400
        assert number not in str(refused.value)
        assert (await mother.get("/api/v1/cases"))["cases"] == before
