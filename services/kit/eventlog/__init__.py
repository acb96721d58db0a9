# SPDX-License-Identifier: Apache-2.0
"""The event log: one port, two implementations (embedded SQLite, Apache Kafka), chosen by URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kit.eventlog.port import Assignment, EventLog, Place, Record, Subscription

__all__ = ["Assignment", "EventLog", "Place", "Record", "Subscription", "open_eventlog"]


@asynccontextmanager
async def open_eventlog(url: str, *, client: str = "tongban") -> AsyncIterator[EventLog]:
    """Open the log that `url` names.

    Args:
        url: `sqlite:///absolute/events.sqlite` or `kafka://[user:password@]host:port[,host:port]`.
        client: the name the broker shows for this connection.

    Raises:
        ValueError: the URL names neither.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from services.kit.eventlog.embedded import EmbeddedLog  # noqa: PLC0415 - one of the two is needed, never both

        async with EmbeddedLog.open(url) as embedded:
            yield embedded
    elif scheme == "kafka":
        from services.kit.eventlog.kafka import KafkaLog  # noqa: PLC0415 - aiokafka costs 0.2 s of start

        async with KafkaLog.open(url, client=client) as kafka:
            yield kafka
    else:
        raise ValueError(f"{scheme}: no event log of this kind; use sqlite:///path or kafka://host:port.")
