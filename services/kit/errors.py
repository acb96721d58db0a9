# SPDX-License-Identifier: Apache-2.0
"""Refusals in words: what every room raises, and nothing about how a wire renders it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def reason_of(name: str) -> str:
    """Give the machine reason of a class name: `LicenseNotActive` is `LICENSE_NOT_ACTIVE`."""
    return _WORD.sub("_", name).upper()


class Code(StrEnum):
    """What kind of refusal it is; the names are those of gRPC's status codes."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    ABORTED = "ABORTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    OUT_OF_RANGE = "OUT_OF_RANGE"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that breaks a rule. Names the field and the rule, never the value."""

    field: str
    description: str


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """A rule says no. The message is for people and goes to the caller as it stands: no personal data in it.

    A subclass states what is so (`LicenseNotActive`); its machine reason follows from its name
    (`LICENSE_NOT_ACTIVE`) unless it sets `reason` itself.
    """

    code: Code = Code.FAILED_PRECONDITION
    reason: str = "REFUSED"

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "reason" not in cls.__dict__:
            cls.reason = reason_of(cls.__name__)

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        violations: Sequence[Violation] = (),
        retry_after_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.violations = tuple(violations)
        self.retry_after_seconds = retry_after_seconds
        self.metadata: Mapping[str, str] = dict(metadata or {})


class Unauthenticated(Refusal):
    """Nobody we know: no certificate of ours, or a token that doesn't hold."""

    code = Code.UNAUTHENTICATED


class RightMissing(Refusal):
    """The caller is known, but may not do this."""

    code = Code.PERMISSION_DENIED


class RequestInvalid(Refusal):
    """The request breaks a rule of its contract; `violations` say where."""

    code = Code.INVALID_ARGUMENT


class NotFound(Refusal):
    """There is no such thing, or the caller may not know of it."""

    code = Code.NOT_FOUND


class VersionConflict(Refusal):
    """Somebody else changed it first: read again, then repeat."""

    code = Code.ABORTED


class TooManyRequests(Refusal):
    """A bound is reached; `retry_after_seconds` says when to come again."""

    code = Code.RESOURCE_EXHAUSTED


class PageTokenInvalid(Refusal):
    """The page token isn't one that we gave."""

    code = Code.INVALID_ARGUMENT


class DeadlineMissing(Refusal):
    """A call without a deadline could wait for ever, and we would wait with it."""

    code = Code.INVALID_ARGUMENT


class RequestIdReused(Refusal):
    """The same request id came with another request."""

    code = Code.ALREADY_EXISTS


class RemoteRefusal(Refusal):
    """Another service refused; its code and reason are kept, so that the first caller learns them."""

    reason: str = "REMOTE_REFUSAL"

    def __init__(
        self,
        message: str,
        *,
        code: Code,
        reason: str,
        remedy: str = "",
        violations: Sequence[Violation] = (),
        retry_after_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            message,
            remedy=remedy,
            violations=violations,
            retry_after_seconds=retry_after_seconds,
            metadata=metadata,
        )
        self.code = code
        self.reason = reason


class Unavailable(Exception):  # noqa: N818 - it states what is so
    """A dependency doesn't answer; retrying helps. Rendered as UNAVAILABLE."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds


class RemoteFailure(Exception):  # noqa: N818 - it states what is so
    """Another service broke while answering; `incident` finds the line in its log."""

    def __init__(self, message: str, *, incident: str = "") -> None:
        super().__init__(message)
        self.incident = incident


class StartupError(Exception):
    """The process can't start. The message is one sentence for the person at the terminal."""

    exit_code: ClassVar[int] = 1
