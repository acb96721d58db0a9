# SPDX-License-Identifier: Apache-2.0
"""A resident's app, reduced to its calls: the public REST door and nothing else."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx

_GRANT = "urn:tongban:params:oauth:grant-type:persona"
_SECONDS = 10.0
_QUIET_SECONDS = 60.0
_READY_EVERY_SECONDS = 0.1
_RECONNECTS_MAX = 20
_PAGE = 200

Document = dict[str, Any]


class DoorRefused(Exception):  # noqa: N818 - it states what is so
    """The door answered with a problem (RFC 9457)."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(f"{status} {reason}: {detail}")
        self.status = status
        self.reason = reason


class Resident:
    """One signed-in resident."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @classmethod
    @asynccontextmanager
    async def signed_in(cls, url: str, persona: str) -> AsyncIterator[Self]:
        """Sign in as a persona of the sandbox."""
        async with httpx.AsyncClient(base_url=url, timeout=_SECONDS, trust_env=False) as http:
            token = await issue_token(http, persona)
            http.headers["authorization"] = f"Bearer {token}"
            yield cls(http)

    async def samples(self, persona: str) -> Document:
        """The persona's sample answers, by matter."""
        listing = await self._get("/api/v1/sandbox/personas")
        samples: Document = next(each["samples"] for each in listing["personas"] if each["key"] == persona)
        return samples

    async def create(self, matter: str, answers: Document) -> Document:
        """Open a draft, prefilled by the departments."""
        return await self._post("/api/v1/cases", {"matter": matter, "answers": answers})

    async def submit(self, case_id: str) -> Document:
        """Submit it."""
        return await self._post(f"/api/v1/cases/{case_id}/submit", None)

    async def case(self, case_id: str) -> Document:
        """Read it."""
        return await self._get(f"/api/v1/cases/{case_id}")

    async def license(self, license_id: str) -> Document:
        """Read a license with its credential."""
        return await self._get(f"/api/v1/licenses/{license_id}")

    async def accesses(self) -> list[Document]:
        """Who used my data: all pages."""
        rows: list[Document] = []
        token = ""
        while True:
            page = await self._get("/api/v1/accesses", page_size=_PAGE, page_token=token)
            if page["missing"]:
                raise DoorRefused(200, "LEDGER_MISSING", ", ".join(page["missing"]))
            rows += page["accesses"]
            token = page["next_page_token"]
            if not token:
                return rows

    async def get(self, path: str) -> Document:
        """Read anything."""
        return await self._get(path)

    @property
    def authorization(self) -> str:
        """What this resident shows at the door."""
        return self._http.headers["authorization"]

    async def send(self, method: str, path: str, body: Document | None = None, **options: Any) -> httpx.Response:
        """Send any request; the answer is not judged."""
        return await self._http.request(method, path, json=body, **options)

    async def events(self, case_id: str, *, after: str = "") -> AsyncIterator[Document]:
        """Follow a case until it has ended, taking the stream up again where it broke. `after`: the last one seen."""
        last = after
        for _ in range(_RECONNECTS_MAX):
            try:
                async for seq, kind, entry in self._stream(case_id, last):
                    last = seq
                    yield entry
                    if kind == "ended":
                        return
            except httpx.TransportError:
                await asyncio.sleep(1)

    async def _stream(self, case_id: str, last: str) -> AsyncIterator[tuple[str, str, Document]]:
        headers = {"accept": "text/event-stream", **({"last-event-id": last} if last else {})}
        async with self._http.stream(
            "GET",
            f"/api/v1/cases/{case_id}/events",
            headers=headers,
            timeout=httpx.Timeout(_SECONDS, read=_QUIET_SECONDS),
        ) as response:
            if response.status_code != httpx.codes.OK:
                await response.aread()
                raise _refused(response)
            event: dict[str, str] = {}
            async for line in response.aiter_lines():
                if line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    event[name] = value.removeprefix(" ")
                elif not line and "data" in event:
                    yield event.get("id", ""), event.get("event", ""), json.loads(event["data"])
                    event = {}

    async def _get(self, path: str, **parameters: Any) -> Document:
        given = {name: value for name, value in parameters.items() if value != ""}
        return _document(await self._http.get(path, params=given))

    async def _post(self, path: str, body: Document | None) -> Document:
        headers = {"idempotency-key": str(uuid.uuid4())}
        return _document(await self._http.post(path, json=body, headers=headers))


async def issue_token(http: httpx.AsyncClient, persona: str) -> str:
    """An access token for a persona, from the standard token endpoint."""
    response = await http.post("/oauth/token", data={"grant_type": _GRANT, "persona": persona})
    return str(_document(response)["access_token"])


async def until_open(url: str, *, persona: str = "", seconds: float) -> None:
    """Wait until the door is open and everything behind it ready, and the persona known. Raises TimeoutError."""
    ends = time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=_SECONDS, trust_env=False) as http:
        while time.monotonic() < ends:
            try:
                ready = await http.get("/readyz")
                if ready.is_success and (not persona or persona in await _personas(http)):
                    return
            except (httpx.TransportError, ValueError, KeyError):
                pass
            await asyncio.sleep(_READY_EVERY_SECONDS)
    raise TimeoutError(f"{url} was not ready within {seconds:.0f} seconds.")


async def _personas(http: httpx.AsyncClient) -> set[str]:
    listing = await http.get("/api/v1/sandbox/personas")
    return {each["key"] for each in listing.json()["personas"]}


def _document(response: httpx.Response) -> Document:
    if not response.is_success:
        raise _refused(response)
    document: Document = response.json()
    return document


def _refused(response: httpx.Response) -> DoorRefused:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    reason = str(problem.get("reason") or problem.get("error") or "NO_REASON")
    detail = str(problem.get("detail") or problem.get("error_description") or problem.get("title") or "")
    return DoorRefused(response.status_code, reason, detail)
