# SPDX-License-Identifier: Apache-2.0
"""How the exchange shows who asks: access tokens by client credentials, and certificates."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from services.exchange.adapters.rest import RestAdapter
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.refusals import ProviderUnavailable
from services.exchange.domain.settings import AdapterKind, check_settings, read_settings, tell_settings
from tests.support.exchange_registers import NUMBER, RestRegister, rest_register
from tests.support.exchange_world import HOUSEHOLD

MAPPING = {"since": "record.since"}
QUESTION = Inquiry(HOUSEHOLD, NUMBER, ("since",), timeout_seconds=5)
FOUND = {"since": "2015-05-20"}


@pytest.fixture
async def rest() -> AsyncIterator[RestRegister]:
    async with rest_register() as register:
        yield register


def guarded(rest: RestRegister, **oauth: str) -> RestAdapter:
    client = {"token_url": f"{rest.url}/token", "client_id": "tongban", "client_secret": "s3cret:%", **oauth}
    return adapter(f"{rest.url}/guarded/{{subject_key}}", oauth=client)


def adapter(url: str, **settings: Any) -> RestAdapter:
    read = read_settings(AdapterKind.REST, {"url": url, "mapping": MAPPING, **settings})
    assert check_settings(read, MAPPING) == []
    return RestAdapter(read)  # type: ignore[arg-type] # of this kind


async def test_one_token_serves_many_questions_that_come_at_once(rest: RestRegister) -> None:
    asking = guarded(rest, scope="marriages")
    answers = await asyncio.gather(*(asking.ask(QUESTION) for _ in range(20)))
    assert answers == [FOUND] * 20
    ((authorization, form),) = rest.token_requests
    assert authorization == httpx.BasicAuth("tongban", "s3cret:%")._auth_header
    assert form == {"grant_type": ["client_credentials"], "scope": ["marriages"]}
    await asking.close()


async def test_a_token_is_renewed_before_it_ends(rest: RestRegister) -> None:
    rest.token_answer["expires_in"] = 31  # Renewed thirty seconds early: after one second.
    asking = guarded(rest)
    assert await asking.ask(QUESTION) == FOUND
    assert await asking.ask(QUESTION) == FOUND
    assert len(rest.token_requests) == 1
    await asyncio.sleep(1.1)
    assert await asking.ask(QUESTION) == FOUND
    assert len(rest.token_requests) == 2
    await asking.close()


async def test_a_token_that_is_no_longer_taken_is_renewed_once(rest: RestRegister) -> None:
    asking = guarded(rest)
    assert await asking.ask(QUESTION) == FOUND
    rest.tokens.clear()
    assert await asking.ask(QUESTION) == FOUND
    assert len(rest.token_requests) == 2
    await asking.close()


@pytest.mark.parametrize(
    "answer",
    [
        {"token_type": "mac"},
        {"token_type": "Bearer", "access_token": "a\r\nb"},
        {"token_type": "Bearer", "expires_in": "soon"},
        {"token_type": "Bearer", "expires_in": -1},
        {"token_type": "Bearer", "access_token": "x" * 100_000},
    ],
)
async def test_a_token_that_can_not_be_read_is_no_answer(rest: RestRegister, answer: dict[str, Any]) -> None:
    rest.token_answer = answer
    asking = guarded(rest)
    with pytest.raises(Exception, match=r"token|larger"):
        await asking.ask(QUESTION)
    assert rest.asked == []
    await asking.close()


async def test_a_refused_client_is_no_answer_and_its_secret_is_not_told(rest: RestRegister) -> None:
    asking = guarded(rest, token_url=f"{rest.url}/bad/forbidden/1")
    with pytest.raises(ProviderUnavailable) as refused:
        await asking.ask(QUESTION)
    assert "s3cret" not in str(refused.value)
    await asking.close()


class Authority:
    """A provider's own authority, with a server and a client below it."""

    def __init__(self, folder: Path) -> None:
        ca = trustme.CA()
        self.ca = ca.cert_pem.bytes().decode()
        self.client = ca.issue_cert("exchange.example")
        server = ca.issue_cert("127.0.0.1")
        server.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.server: dict[str, Any] = {
            "ssl_certfile": str(folder / "server.pem"),
            "ssl_ca_certs": str(folder / "ca.pem"),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }

    def papers(self) -> dict[str, str]:
        return {
            "ca": self.ca,
            "certificate": self.client.cert_chain_pems[0].bytes().decode(),
            "key": self.client.private_key_pem.bytes().decode(),
        }


async def test_a_certificate_opens_the_door_and_nothing_else_does(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with rest_register(**authority.server) as rest:
        url = f"{rest.url}/persons/{{subject_key}}"
        shown = adapter(url, tls=authority.papers())
        assert await shown.ask(QUESTION) == FOUND
        await shown.probe()
        await shown.close()
        without = {"ca": authority.ca}
        for unknown in (adapter(url, tls=without), adapter(url)):
            with pytest.raises(httpx.TransportError):
                await unknown.ask(QUESTION)
            await unknown.close()
    assert len(rest.asked) == 1


async def test_a_certificate_may_stand_for_the_secret(tmp_path: Path) -> None:
    """RFC 8705, 2: the client is named in the form, and shown by the connection."""
    authority = Authority(tmp_path)
    async with rest_register(**authority.server) as rest:
        oauth = {"token_url": f"{rest.url}/token", "client_id": "tongban"}
        asking = adapter(f"{rest.url}/guarded/{{subject_key}}", oauth=oauth, tls=authority.papers())
        assert await asking.ask(QUESTION) == FOUND
        assert rest.token_requests[0] == ("", {"grant_type": ["client_credentials"], "client_id": ["tongban"]})
        await asking.close()


def test_no_secret_is_told_not_even_to_operators(tmp_path: Path) -> None:
    oauth = {"token_url": "https://h/token", "client_id": "tongban", "client_secret": "s3cret"}
    given = {"url": "https://h/{subject_key}", "mapping": MAPPING, "headers": {"x-api-key": "s3cret"}, "oauth": oauth}
    key = Authority(tmp_path).papers()
    settings = read_settings(AdapterKind.REST, {**given, "tls": key})
    for text in (str(tell_settings(settings)), repr(settings)):
        assert "s3cret" not in text
        assert "PRIVATE KEY" not in text
