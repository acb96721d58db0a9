# SPDX-License-Identifier: Apache-2.0
"""One record to one handler: as the service itself, within the producer's trace, with the event as the cause of what follows."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from google.protobuf.message import Message

from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.envelope import Envelope, decode, handling
from services.kit.errors import Unavailable
from services.kit.eventlog import Record
from services.kit.telemetry import SpanKind, Telemetry

Handler = Callable[[Any, Envelope], Awaitable[None]]
Routes = Mapping[type[Message], Handler]

HANDLING_SECONDS: Final = 60.0


class Delivery:
    """Calls the handler of a record's type."""

    def __init__(self, service: str, routes: Routes, telemetry: Telemetry) -> None:
        self._caller = Caller(kind=CallerKind.SERVICE, id=service, actor=f"spiffe://tongban/service/{service}")
        self._routes = {message.DESCRIPTOR.full_name: (message, handler) for message, handler in routes.items()}
        self._telemetry = telemetry

    def knows(self, type_name: str) -> bool:
        """Whether somebody here wants facts of this type."""
        return type_name in self._routes

    async def deliver(self, record: Record, envelope: Envelope) -> None:
        """Handle one record; returning means that it has had its effect.

        Raises:
            EnvelopeMalformed: the payload can't be decoded.
            Refusal: the handler said no.
            Unavailable: something it needs does not answer, or it took longer than a minute.
            Exception: whatever else the handler broke with.
        """
        message_type, handler = self._routes[envelope.type]
        fact = decode(message_type, record.value)
        attributes = {
            "messaging.system": "tongban",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.message.id": envelope.event_id,
        }
        if envelope.correlation:
            attributes["tongban.case"] = envelope.correlation
        name = envelope.type.rpartition(".")[2]
        links = (envelope.traceparent,) if envelope.traceparent else ()
        with (
            self._telemetry.span(
                f"hear {name}",
                kind=SpanKind.CONSUMER,
                attributes=attributes,
                parent=envelope.traceparent,
                links=links,
            ),
            acting_as(self._caller),
            handling(envelope),
        ):
            limit = asyncio.timeout(HANDLING_SECONDS)
            try:
                async with limit:
                    await handler(fact, envelope)
            except TimeoutError as slow:
                if limit.expired():
                    raise Unavailable(f"Handling took longer than {HANDLING_SECONDS:.0f} s.") from slow
                raise
