# SPDX-License-Identifier: Apache-2.0
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, String, Table, select
from tongban.events.v1 import steps_pb2

from services.kit.calendar import deadline_table
from services.kit.clock import Clock, utc_now
from services.kit.crypto import Keyring, SigningKey
from services.kit.store import BigId, Outgoing, Store, Tx, kit_tables

metadata = MetaData()
kit_tables(metadata)
deadline_table(metadata)
effect = Table(
    "effect",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("key", String(100), nullable=False),
    Column("number", Integer, nullable=False),
)


@dataclass(frozen=True)
class ProbeSettings:
    database: str


@dataclass(frozen=True)
class Resources:
    settings: ProbeSettings
    clock: Clock
    keyring: Keyring
    signing_key: SigningKey


@dataclass(frozen=True)
class Step:
    """A fact in the probe's own words: number `number` of `key`."""

    key: str
    number: int


class ProbeTx(Tx):
    async def add(self, key: str, number: int) -> None:
        await self.connection.execute(effect.insert().values(key=key, number=number))


class Probe(Store[ProbeTx]):
    service = "probe"
    metadata = metadata
    tx_type = ProbeTx
    migrations = Path(__file__).parent / "migrations"

    async def effects(self) -> list[tuple[str, int]]:
        async with self.reading() as connection:
            rows = await connection.execute(select(effect.c.key, effect.c.number).order_by(effect.c.id))
            return [(key, number) for key, number in rows]


def step(key: str, number: int) -> Step:
    return Step(key, number)


def fact_of(fact: Step) -> Outgoing:
    return Outgoing(message=steps_pb2.StepAnswered(case_id=fact.key, attempt=fact.number), key=fact.key)


def resources(database: str, keys: Path, clock: Clock = utc_now) -> Resources:
    return Resources(
        settings=ProbeSettings(database),
        clock=clock,
        keyring=Keyring.open(keys),
        signing_key=SigningKey.open(keys, "ledger"),
    )


@asynccontextmanager
async def opened(database: str, keys: Path, clock: Clock = utc_now) -> AsyncIterator[Probe]:
    async with Probe.open(resources(database, keys, clock), encode=fact_of) as store:
        yield store
