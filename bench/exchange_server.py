# SPDX-License-Identifier: Apache-2.0
"""The exchange as it is shipped, with two things in memory: identity's answer to "whose number is this", and the register (unless `BENCH_PROVIDER` names one).

Everything else is real: certificates, tokens, rights, grants, masks, log lines, sampling, the ledger on disk.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import uvloop

from bench.processes import say
from services.exchange.adapters.rest import RestAdapter
from services.exchange.app import running
from services.exchange.config import Settings
from services.exchange.domain.inquiry import Inquiry
from services.exchange.domain.resource import Resource
from services.exchange.domain.settings import AdapterKind, RestSettings
from services.exchange.service.ports import Adapter
from services.kit import logs
from services.kit.ledger.access import Entry, Receipt
from services.kit.run import serving, until_told

RECORD = {"household_number": "9901001234", "address": "990100", "head_name": "HEAD", "relation": "self"}


class RegisterInMemory:
    """A provider that answers at once; `BENCH_PADDING` characters longer than the record needs to be."""

    def __init__(self) -> None:
        self._padding = "x" * int(os.environ.get("BENCH_PADDING", "0"))

    async def ask(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """The same record for everybody, with one field more than was ever granted."""
        number = self._padding + RECORD["household_number"]
        return {"subject_key": inquiry.subject_key, **RECORD, "household_number": number}

    async def close(self) -> None:
        """Nothing to close."""


class PersonsInMemory:
    """Knows one number."""

    def __init__(self, subject_id: str, number: str) -> None:
        self._subject_id = subject_id
        self._number = number

    async def by_subject_id(self, subject_id: str, **_: str) -> str:
        """The number."""
        assert subject_id == self._subject_id
        return self._number

    async def by_number(self, number: str, **_: str) -> str:
        """The subject id."""
        assert number == self._number
        return self._subject_id


def forget_leaves(service: Any) -> None:
    """Make leaves and throw them away: what is left is the call without its ledger."""

    async def forgotten(entry: Entry) -> Receipt:
        return Receipt("exchange", 0, entry.leaf_hash)

    service.app.store.ledger._group.append = forgotten  # noqa: SLF001 - nothing shipped has a switch for this


async def main() -> None:
    """Serves until it is terminated."""
    settings = Settings.load("exchange", os.environ)
    logs.configure(settings.log_format, settings.log_level, settings.log_file)

    others: dict[str, str] = json.loads(os.environ.get("BENCH_PROVIDERS", "{}"))

    def adapter(resource: Resource) -> Adapter:
        url = others.get(resource.code, os.environ.get("BENCH_PROVIDER"))
        return RestAdapter(RestSettings(url, {name: name for name in RECORD})) if url else RegisterInMemory()

    persons = PersonsInMemory(os.environ["BENCH_SUBJECT_ID"], os.environ["BENCH_NUMBER"])
    app = partial(running, adapters=dict.fromkeys(AdapterKind, adapter), persons=persons)
    async with serving(settings, app, name="exchange") as service:
        if os.environ.get("BENCH_LEDGER") == "none":
            forget_leaves(service)
        say(port=service.grpc_port)
        await until_told(service)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
