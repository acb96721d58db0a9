# SPDX-License-Identifier: Apache-2.0
"""Everybody on the machine reaches the broker's port; its password opens it."""

import asyncio
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from services.cli.kafka import Kafka
from services.kit.eventlog import Record, open_eventlog
from services.kit.eventlog.broker import connection_of
from tests.support.kafka import Broker
from tests.support.profiles import Profile


async def topics(connection: dict[str, Any]) -> list[str]:
    admin = AIOKafkaAdminClient(**connection)
    try:
        async with asyncio.timeout(10):
            await admin.start()
            return list(await admin.list_topics())
    finally:
        await admin.close()


async def test_nobody_reads_or_writes_the_bus_without_the_password(full: Profile) -> None:
    async with open_eventlog(full.events) as log:
        await log.ensure_topics(["tongban.door"])
        await log.send([Record(topic="tongban.door", key="k", value=b"v")])
    known = connection_of(full.events)
    assert "tongban.door" in await topics(known)
    for stranger in (
        {"bootstrap_servers": known["bootstrap_servers"]},
        {**known, "sasl_plain_password": "guessed"},
        {**known, "sasl_plain_username": "admin"},
        {**known, "sasl_mechanism": "PLAIN"},
    ):
        with pytest.raises(KafkaConnectionError):
            await topics(stranger)


async def test_the_password_is_the_owners_alone_and_outlives_a_restart(full: Profile, kafka: Broker) -> None:
    for name in ("password", "server.properties"):
        assert (kafka.folder / name).stat().st_mode & 0o777 == 0o600
    before = kafka.url
    kafka.kill()
    kafka.folder.chmod(0o755)
    kafka.start()
    assert kafka.folder.stat().st_mode & 0o777 == 0o700
    assert kafka.url == before == full.events
    assert connection_of(before)["sasl_plain_password"] not in (kafka.folder / "kafka.log").read_text()


async def test_a_folder_from_before_scram_learns_a_new_password_and_keeps_its_topics(
    full: Profile, kafka: Broker
) -> None:
    async with open_eventlog(full.events) as log:
        await log.ensure_topics(["tongban.kept"])
    (kafka.folder / "scram").unlink()
    before = kafka.url
    assert Kafka.running(kafka.folder) is None
    kafka.kill()
    kafka.start()
    assert kafka.url != before
    assert "tongban.kept" in await topics(connection_of(kafka.url))
    with pytest.raises(KafkaConnectionError):
        await topics(connection_of(before))
    assert not (kafka.folder / "once.properties").exists()
