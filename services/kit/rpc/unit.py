# SPDX-License-Identifier: Apache-2.0
"""One call, from its arrival to its log line: time, trace, caller, and what became of it."""

import asyncio
import secrets
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.rpc import status_pb2
from grpc import aio
from opentelemetry import context as otel_context
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from services.kit import logs
from services.kit.caller import CURRENT, Caller, CallerKind
from services.kit.errors import DeadlineMissing, Refusal, RemoteFailure, Unavailable
from services.kit.rpc.admission import Doorkeeper, Rule, must_be, names_of
from services.kit.rpc.deadline import ENDS
from services.kit.rpc.gate import Gate
from services.kit.rpc.line import CallLine
from services.kit.rpc.status import broken, refused, trailers, unavailable
from services.kit.telemetry import SpanKind, Telemetry

_NAMED_IN_LOGS: Final = frozenset({CallerKind.SERVICE, CallerKind.AGENCY})
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_OPEN_CONTEXT: Final = otel_context.Context()


@dataclass(frozen=True)
class Plan:
    """What is known of a method before its first call. One that is `opened` to kinds of certificates asks for no rule."""

    name: str
    rule: Rule
    streams: bool
    opened: frozenset[str] = frozenset()

    @property
    def attributes(self) -> dict[str, str]:
        """Give the attributes of its spans."""
        service, _, method = self.name.rpartition("/")
        return {"rpc.system.name": "grpc", "rpc.service": service, "rpc.method": method}


@dataclass(frozen=True)
class Door:
    """What the calls of one server share."""

    service: str
    telemetry: Telemetry
    keeper: Doorkeeper
    calls: Gate
    streams: Gate
    ongoing: set["asyncio.Task[Any]"]
    """The tasks of open streams; the drain cancels them, since they would never end by themselves."""


class Unit:
    """One call. `admit` first, or `enter` for an opened method; `failed` for any exception; `leave` always."""

    __slots__ = ("_attributes", "_door", "_gate", "_plan", "_share", "_span", "_started", "caller", "code", "reason")

    def __init__(self, door: Door, plan: Plan, attributes: dict[str, str]) -> None:
        self._door = door
        self._plan = plan
        self._attributes = attributes
        self._gate: Gate | None = None
        self._share = b""
        self._span: Span | None = None
        self._started = time.monotonic()
        self.caller: Caller | None = None
        self.code = "OK"
        self.reason = ""

    def enter(self, context: Any) -> None:
        """Let in a call of an opened method: a place, and a certificate that names one of its kinds."""
        must_be(self._plan.opened, self._place(context))

    async def admit(self, context: Any) -> None:
        """Let the call in: a place, a deadline, a trace, a caller, the right. Leaves them in the task's context."""
        waiting = self.admit_at_once(context)
        if waiting is not None:
            self.let_in(await waiting)

    def admit_at_once(self, context: Any) -> Awaitable[Caller] | None:
        """Do what `admit` does, without a coroutine where the caller is known; else give what to wait for."""
        door, plan = self._door, self._plan
        parent = authorization = ""
        for key, value in context.invocation_metadata() or ():
            if key == "traceparent":
                parent = value
            elif key == "authorization":
                authorization = value
        self._span = door.telemetry.start(
            plan.name, kind=SpanKind.SERVER, attributes=self._attributes, parent=parent or "none"
        )
        names = self._place(context)
        left = context.time_remaining()
        if left is not None:
            ENDS.set(self._started + left)
        elif not plan.streams:
            raise DeadlineMissing("A call must say how long it waits.", remedy="Set a deadline on the call.")
        otel_context.attach(set_span_in_context(self._span))
        caller = door.keeper.at_once(names, authorization)
        if caller is None:
            return door.keeper.establish(names, authorization)
        self.let_in(caller)
        return None

    def _place(self, context: Any) -> list[bytes]:
        """Take a place, before anything that costs time; give the names in the certificate."""
        names = names_of(context)
        gate = self._door.streams if self._plan.streams else self._door.calls
        self._share = gate.enter(names)
        self._gate = gate
        return names

    def let_in(self, caller: Caller) -> None:
        """Take the caller in, if the contract does."""
        self.caller = caller
        self._plan.rule.admit(caller)
        CURRENT.set(caller)

    async def readmit(self) -> None:
        """Refuse an agency that has lost the right since: a stream outlives what it was opened with."""
        if self.caller is not None and self.caller.kind is CallerKind.AGENCY:
            self._plan.rule.admit(await self._door.keeper.renewed(self.caller))

    def opened(self) -> None:
        """End the span of a stream once it stands: it may live for days, and what it carries has traces of its own."""
        if self._span is not None:
            self._span.end()
            self._span = None
            otel_context.attach(_OPEN_CONTEXT)

    def failed(self, error: BaseException) -> status_pb2.Status | None:
        """Give the status of an exception; None for one that gRPC itself must see."""
        if isinstance(error, Refusal):
            self.code, self.reason = error.code.value, error.reason
            return refused(error)
        if isinstance(error, Unavailable):
            self.code = self.reason = "UNAVAILABLE"
            return unavailable(error)
        if isinstance(error, asyncio.CancelledError):
            left = ENDS.get()
            self.code = "DEADLINE_EXCEEDED" if left is not None and left <= time.monotonic() else "CANCELLED"
            return None
        if isinstance(error, aio.AbortError):
            self.code = "ABORTED_BY_HANDLER"
            return None
        if not isinstance(error, Exception):  # The generator is closed: the client has gone.
            self.code = "CANCELLED"
            return None
        return self._broken(error)

    def leave(self) -> None:
        """Give the place back, end the span, write the line; none for a look at our health, which comes every second."""
        if self._gate is not None:
            self._gate.leave(self._share)
        span = self._span
        if span is not None:
            if self.code != "OK":
                span.set_attribute("rpc.response.status_code", self.code)
                if self.code == "INTERNAL":
                    span.set_status(StatusCode.ERROR, self.reason)
            span.end()
        if logs.writes_info and (self.code != "OK" or not self._plan.opened):
            logs.write(self._line())

    def _broken(self, error: Exception) -> status_pb2.Status:
        """Note an error of ours under a random incident: classes and places, no message, which may hold values."""
        incident = secrets.token_hex(8)
        self.code = self.reason = "INTERNAL"
        extra = {"incident": incident, "stack": logs.stack_of(error)}
        if isinstance(error, RemoteFailure):
            extra["remote_incident"] = error.incident
        logs.write(self._line().fields() | {"event": "rpc_broke", "level": "error"} | extra)
        return broken(incident)

    def _line(self) -> CallLine:
        caller, span = self.caller, self._span
        return CallLine(
            time.time(),
            self._door.service,
            self._plan.name,
            self.code,
            self.reason,
            time.monotonic() - self._started,
            "" if caller is None else caller.label if caller.kind in _NAMED_IN_LOGS else caller.kind.value,
            0 if span is None else span.get_span_context().trace_id,
        )


async def abort(context: Any, status: status_pb2.Status) -> None:
    """End the call with a rich status; raises, as gRPC wants it."""
    await context.abort(_CODES[status.code], status.message, trailers(status))
