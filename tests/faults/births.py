# SPDX-License-Identifier: Apache-2.0
"""Residents who keep having children, whatever happens to the system, and who remember what they were promised."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx

from services.cli.demo.resident import issue_token
from services.kit.ids import new_id
from tests.support.system import System

MOTHERS = [f"mother-{number}" for number in range(1, 7)]
_AGAIN_SECONDS = 0.2


class FormIncompleteError(Exception):
    """A prefilled answer is missing."""


class Births:
    """Cases under way. `submitted` are those whose submission was acknowledged (2xx); `drafts` those that were created."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.drafts: set[str] = set()
        self.submitted: list[str] = []
        self._samples: dict[str, dict[str, Any]] = {}

    @classmethod
    @asynccontextmanager
    async def going_on(cls, system: System, *, residents: int) -> AsyncIterator[Self]:
        """So many residents at once, one case after the other, until the block ends."""
        births = cls(system)
        await births.know_samples()
        async with asyncio.TaskGroup() as group:  # A resident who is refused ends the round, loudly.
            living = [group.create_task(births._live(MOTHERS[index % len(MOTHERS)])) for index in range(residents)]
            try:
                yield births
            finally:
                for task in living:
                    task.cancel()

    async def know_samples(self) -> None:
        async with self._system.http() as http:
            listing = (await http.get("/api/v1/sandbox/personas")).raise_for_status().json()
        self._samples = {each["key"]: each["samples"] for each in listing["personas"]}

    async def one(self, persona: str) -> str:
        """One case, submitted; repeated with the same keys until it is acknowledged."""
        async with self._system.http() as http:
            return await self._one(http, persona)

    async def _live(self, persona: str) -> None:
        async with self._system.http() as http:
            while True:
                await self._one(http, persona)
                await asyncio.sleep(random.uniform(0.2, 0.8))

    async def _one(self, http: httpx.AsyncClient, persona: str) -> str:
        http.headers["authorization"] = f"Bearer {await self._until_ok(lambda: issue_token(http, persona))}"
        opening, submitting = new_id(), new_id()
        body = {"matter": "birth", "answers": self._samples[persona]["birth"]}
        draft = await self._until_ok(lambda: self._post(http, persona, "/api/v1/cases", opening, body))
        case_id = str(draft["id"])
        assert case_id not in self.drafts, "Another key gave the same case."
        self.drafts.add(case_id)
        await self._until_ok(lambda: self._submit(http, persona, case_id, submitting))
        self.submitted.append(case_id)
        return case_id

    async def _submit(self, http: httpx.AsyncClient, persona: str, case_id: str, key: str) -> dict[str, Any]:
        try:
            return await self._post(http, persona, f"/api/v1/cases/{case_id}/submit", key, None)
        except FormIncompleteError:
            # The register that prefills was away when the draft was made; saving the draft asks it again.
            answer = await http.patch(f"/api/v1/cases/{case_id}", json={"answers": {}})
            answer.raise_for_status()
            raise

    async def _post(self, http: httpx.AsyncClient, persona: str, path: str, key: str, body: Any) -> dict[str, Any]:
        answer = await http.post(path, json=body, headers={"idempotency-key": key})
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            http.headers["authorization"] = f"Bearer {await issue_token(http, persona)}"
        if answer.status_code == httpx.codes.BAD_REQUEST and answer.json().get("reason") == "ANSWERS_MISSING":
            raise FormIncompleteError
        if answer.is_client_error and answer.status_code not in {401, 408, 429}:
            raise AssertionError(f"{path}: {answer.status_code} {answer.text[:500]}")
        result: dict[str, Any] = answer.raise_for_status().json()
        return result

    @staticmethod
    async def _until_ok(call: Any) -> Any:
        """Do as an app does: the same call with the same key until there is an answer."""
        while True:
            try:
                return await call()
            except (httpx.HTTPError, OSError, LookupError, FormIncompleteError):
                await asyncio.sleep(_AGAIN_SECONDS)
            except Exception as error:
                if type(error).__name__ != "DoorRefused" or getattr(error, "status", 0) < 500:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
