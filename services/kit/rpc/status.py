# SPDX-License-Identifier: Apache-2.0
"""Refusals on the wire and back: google.rpc.Status with ErrorInfo, BadRequest, RetryInfo and LocalizedMessage.

The one mapping between our words and gRPC's codes. A remedy travels as LocalizedMessage (locale en).
"""

from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

from services.kit.errors import Code, Refusal, RemoteFailure, RemoteRefusal, TooManyRequests, Unavailable, Violation

DOMAIN: Final = "tongban"
UNAVAILABLE_REASON: Final = "UNAVAILABLE"
INTERNAL_REASON: Final = "INTERNAL"

# A status travels as metadata, whose size gRPC bounds (8 KiB); what is longer would arrive as another error.
_MESSAGE_CHARACTERS_MAX: Final = 500
_VIOLATIONS_MAX: Final = 20
_FIELD_CHARACTERS_MAX: Final = 120
_RETRY_SECONDS: Final = 1.0

_BROKEN: Final = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DATA_LOSS}
)
_CUT: Final = "Internal error from Core"
"""What grpc.aio says itself, as INTERNAL, where a stream ends while we write into it; what the peer said is lost then."""
_AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


def refused(error: Refusal) -> status_pb2.Status:
    """Render a refusal."""
    details: list[Message] = [_reason(error.reason, dict(error.metadata))]
    if error.violations:
        details.append(_bad_request(error.violations))
    if error.retry_after_seconds is not None:
        details.append(_retry(error.retry_after_seconds))
    if error.remedy:
        text = error.remedy[:_MESSAGE_CHARACTERS_MAX]
        details.append(error_details_pb2.LocalizedMessage(locale="en", message=text))
    return _status(code_of(error.code), error.message, details)


def unavailable(error: Unavailable) -> status_pb2.Status:
    """Render what a retry gets over."""
    seconds = _RETRY_SECONDS if error.retry_after_seconds is None else error.retry_after_seconds
    details: list[Message] = [_reason(UNAVAILABLE_REASON, {}), _retry(seconds)]
    return _status(grpc.StatusCode.UNAVAILABLE, error.message, details)


def broken(incident: str) -> status_pb2.Status:
    """Render an error of ours: the incident finds the log line, and nothing else leaves the house."""
    message = f"Something went wrong here. Give the incident {incident} to an operator."
    return _status(grpc.StatusCode.INTERNAL, message, [_reason(INTERNAL_REASON, {"incident": incident})])


def code_of(code: Code) -> grpc.StatusCode:
    """Give gRPC's code."""
    return grpc.StatusCode[code.value]


def trailers(status: status_pb2.Status) -> tuple[tuple[str, bytes], ...]:
    """Give the metadata that carries the details."""
    return rpc_status.to_status(status).trailing_metadata  # type: ignore[no-any-return]  # untyped in the library


def received(error: aio.AioRpcError, service: str) -> Refusal | Unavailable | RemoteFailure:
    """Give what another service's error means here; the caller raises it."""
    details = _Details(error)
    code = error.code()
    busy = code is grpc.StatusCode.RESOURCE_EXHAUSTED and details.reason == TooManyRequests.reason
    cut = code is grpc.StatusCode.INTERNAL and error.details() == _CUT
    if code in _AWAY or busy or cut:
        return Unavailable(_why_away(code, service, busy=busy), retry_after_seconds=details.retry_after_seconds)
    if code in _BROKEN or code.name not in Code.__members__:
        return RemoteFailure(f"The {service} service failed ({code.name}).", incident=details.incident)
    return RemoteRefusal(
        error.details() or code.name,
        code=Code[code.name],
        reason=details.reason or code.name,
        remedy=details.remedy,
        violations=details.violations,
        retry_after_seconds=details.retry_after_seconds,
        metadata=details.metadata,
    )


class _Details:
    """The details of a received error, as far as they are there."""

    def __init__(self, error: aio.AioRpcError) -> None:
        self.reason = self.remedy = ""
        self.metadata: dict[str, str] = {}
        self.violations: tuple[Violation, ...] = ()
        self.retry_after_seconds: float | None = None
        for detail in _status_of(error).details:
            self._take(detail)

    @property
    def incident(self) -> str:
        return self.metadata.get("incident", "")

    def _take(self, detail: any_pb2.Any) -> None:
        reason, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry, localized = error_details_pb2.RetryInfo(), error_details_pb2.LocalizedMessage()
        if detail.Unpack(reason):
            self.reason, self.metadata = reason.reason, dict(reason.metadata)
        elif detail.Unpack(bad):
            self.violations = tuple(Violation(one.field, one.description) for one in bad.field_violations)
        elif detail.Unpack(retry):
            self.retry_after_seconds = retry.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(localized):
            self.remedy = localized.message


def _status_of(error: aio.AioRpcError) -> status_pb2.Status:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                return status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
            except DecodeError:
                break
    return status_pb2.Status()


def _why_away(code: grpc.StatusCode, service: str, *, busy: bool) -> str:
    if busy:
        return f"The {service} service is busy."
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"The {service} service did not answer in time."
    return f"The {service} service does not answer."


def _status(code: grpc.StatusCode, message: str, details: Sequence[Message]) -> status_pb2.Status:
    number: Any = code.value[0]
    status = status_pb2.Status(code=number, message=message[:_MESSAGE_CHARACTERS_MAX])
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _reason(reason: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)


def _bad_request(violations: Sequence[Violation]) -> error_details_pb2.BadRequest:
    """Name the first twenty; who has more starts with those."""
    named = [
        error_details_pb2.BadRequest.FieldViolation(
            field=one.field[:_FIELD_CHARACTERS_MAX], description=one.description[:_FIELD_CHARACTERS_MAX]
        )
        for one in violations[:_VIOLATIONS_MAX]
    ]
    return error_details_pb2.BadRequest(field_violations=named)


def _retry(seconds: float) -> error_details_pb2.RetryInfo:
    delay = Duration()
    delay.FromMilliseconds(max(0, round(seconds * 1000)))
    return error_details_pb2.RetryInfo(retry_delay=delay)
