# SPDX-License-Identifier: Apache-2.0
"""A real Kafka broker, one for the whole test session; topics of the test before are wiped."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.cli.kafka import Kafka, KafkaMissing
from services.kit.eventlog.broker import connection_of
from tests.support.missing import missing
from tests.support.scratch import scratch


class Broker:
    """The broker, which a test may kill and start again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kafka = Kafka.start(folder)

    @property
    def url(self) -> str:
        return self._kafka.url

    @property
    def pid(self) -> int:
        return self._kafka.pid

    def kill(self) -> None:
        self._kafka.kill()

    def start(self) -> None:
        self._kafka = Kafka.start(self.folder)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    folder = scratch("tongban-kafka-")
    try:
        broker = Broker(folder)
    except KafkaMissing as absent:
        shutil.rmtree(folder, ignore_errors=True)
        missing(str(absent))
    try:
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)


async def wipe(url: str) -> None:
    """Delete every topic but Kafka's own, with the offsets that groups have committed there."""
    admin = AIOKafkaAdminClient(**connection_of(url))
    await admin.start()
    try:
        while topics := [name for name in await admin.list_topics() if not name.startswith("__")]:
            await admin.delete_topics(topics)
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
