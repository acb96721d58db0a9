# SPDX-License-Identifier: Apache-2.0
"""A program that knows nothing of us reads the bus: Kafka's own console consumer."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass

import pytest

from services.cli.kafka import JARS, Kafka
from services.kit.envelope import service_topic
from tests.support.invariants import personal
from tests.support.system import System

SECONDS = 60
QUIET_MILLISECONDS = 6000
END = "--- end of record ---"
"""Any single byte may stand in a printed record: its value is protobuf."""


@dataclass(frozen=True)
class Printed:
    """A record as the consumer prints it."""

    headers: dict[str, str]
    key: str


async def consumed(broker: Kafka, topic: str) -> str:
    """Everything on a topic, printed."""
    properties = {"print.headers": "true", "print.key": "true", "line.separator": END}
    options = [f"--formatter-property={name}={value}" for name, value in properties.items()]
    consumer = await asyncio.create_subprocess_exec(
        *("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*"),
        *("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", f"127.0.0.1:{broker.port}"),
        *(
            "--command-config",
            str(broker.client),
            "--topic",
            topic,
            "--from-beginning",
            "--timeout-ms",
            str(QUIET_MILLISECONDS),
            *options,
        ),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, _ = await consumer.communicate()
    finally:
        if consumer.returncode is None:
            consumer.kill()
            await consumer.wait()
    return out.decode("utf-8", "replace")


def printed(record: str) -> Printed:
    headers, key, _ = record.split("\t", 2)
    return Printed(dict(header.split(":", 1) for header in headers.split(",")), key)


@pytest.mark.parametrize("system", ["full"], indirect=True)
async def test_kafkas_own_consumer_reads_the_licenses_of_a_birth_as_cloud_events_and_nobodys_data(
    system: System,
) -> None:
    async with system.resident("mother-6") as mother:
        draft = await mother.create("birth", (await mother.samples("mother-6"))["birth"])
        await mother.submit(draft["id"])
        async for _ in mother.events(draft["id"]):
            pass
        case = await mother.case(draft["id"])
    broker = Kafka.running(system.folder.root / "kafka")
    assert broker is not None
    out = await consumed(broker, service_topic("licenses"))
    *texts, _farewell = out.split(END)
    records = [printed(text) for text in texts]
    ours = [record for record in records if record.headers.get("correlation") == case["id"]]
    kinds = [record.headers["ce_type"] for record in ours]
    assert kinds.count("tongban.licenses.v1.LicenseIssued") == len(case["licenses"]) >= 3
    assert {record.headers["ce_source"] for record in records} == {"/tongban/licenses"}
    for record in ours:
        assert record.headers["ce_specversion"] == "1.0"
        assert record.headers["content-type"] == "application/protobuf"
        assert record.headers["ce_id"]
        assert record.headers["ce_time"].endswith("Z")
        assert record.headers["ce_subject"] == record.key
        assert record.headers["causation"]
        assert record.headers["traceparent"][3:35] == case["trace_id"]
    words = personal(system)
    assert words
    assert {kind for word, kind in words.items() if word in out} == set()
