# SPDX-License-Identifier: Apache-2.0
"""`tongban parked`: the messages that services could not handle, straight from their databases."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from google.protobuf import symbol_database, text_format
from google.protobuf.message import DecodeError

from services.cli.folder import Folder
from services.cli.names import SERVICES
from services.cli.options import Options, Profile
from services.cli.wiring import embedded_stores
from services.kit.errors import Refusal, StartupError, Unavailable
from services.kit.parked import Parked, ParkedMessage, open_parked

_FACTS = (
    "identity.v1.identity",
    "licenses.v1.licenses",
    "exchange.v1.exchange",
    "gateway.v1.gateway",
    "ledger.v1.ledger",
)
_KEY_SHOWN = 36


def show_all(options: Options, profile: Profile, service: str) -> None:
    """One line per message."""

    async def show_of(name: str) -> int:
        async with _opened(options, profile, name) as parked:
            count, token = 0, ""
            while True:
                page = await parked.list(token=token)
                for message in page.rows:
                    print(_line(name, message))
                count += len(page.rows)
                if not page.next_token:
                    return count
                token = page.next_token

    async def work() -> None:
        names = (_known(service),) if service else SERVICES
        counts = [await show_of(name) for name in names]
        if not sum(counts):
            print("Nothing is parked.")

    _run(work)


def show(options: Options, profile: Profile, service: str, message_id: int) -> None:
    """Everything about one. Events carry no personal data, so neither does this."""

    async def work() -> None:
        async with _opened(options, profile, _known(service)) as parked:
            message = await parked.show(message_id)
        print(_line(service, message))
        print(f"topic {message.topic} partition {message.partition} offset {message.offset}")
        print(f"detail {message.detail}")
        for name, value in message.headers:
            print(f"  {name}: {value.decode('utf-8', 'replace')}")
        print(_payload(message))

    _run(work)


def replay(options: Options, profile: Profile, service: str, message_id: int) -> None:
    """Ask the consumer to try again."""

    async def work() -> None:
        async with _opened(options, profile, _known(service)) as parked:
            count = await parked.replay(message_id)
        print(f"{count} to be handled again; the running service does it within seconds.")

    _run(work)


def drop(options: Options, profile: Profile, service: str, message_id: int, reason: str) -> None:
    """Give one up."""

    async def work() -> None:
        async with _opened(options, profile, _known(service)) as parked:
            await parked.drop(message_id, reason)
        print("Dropped; those behind it go on.")

    _run(work)


def _run(work: Callable[[], Awaitable[None]]) -> None:
    async def told() -> None:
        try:
            await work()
        except (Refusal, Unavailable) as refusal:
            raise StartupError(str(refusal)) from refusal

    asyncio.run(told())


def _known(service: str) -> str:
    if service not in SERVICES:
        raise StartupError(f"{service} is not one of {', '.join(SERVICES)}.")
    return service


@asynccontextmanager
async def _opened(options: Options, profile: Profile, service: str) -> AsyncIterator[Parked]:
    async with open_parked(_url(options, profile, service)) as parked:
        yield parked


def _url(options: Options, profile: Profile, service: str) -> str:
    folder = Folder.of(options.data, profile)
    if profile is Profile.FULL:
        from services.cli.postgres import Postgres  # noqa: PLC0415 - only there

        return Postgres.start(folder.root / "postgres").url(f"tongban_{service}")
    if not folder.database(service).exists():
        raise StartupError(f"There is no database of {service} in {folder.root}.")
    return embedded_stores(folder).databases[service]


def _line(service: str, message: ParkedMessage) -> str:
    state = "replaying" if message.replay else "blocking its key" if message.blocking else "alone"
    return (
        f"{service} {message.id}  {message.park_time:%Y-%m-%d %H:%M:%S}  {message.type or 'unreadable'}  "
        f"key {message.key[:_KEY_SHOWN]}  {message.reason} after {message.attempts}  {state}"
    )


def _payload(message: ParkedMessage) -> str:
    for name in _FACTS:
        importlib.import_module(f"tongban.{name}_events_pb2")
    importlib.import_module("tongban.events.v1.steps_pb2")
    try:
        kind = symbol_database.Default().GetSymbol(message.type)
        return text_format.MessageToString(kind.FromString(message.value)).rstrip()
    except (KeyError, DecodeError):
        return f"{len(message.value)} bytes that can't be read: {message.value[:64].hex()}"
