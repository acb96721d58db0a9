# SPDX-License-Identifier: Apache-2.0
"""Requests: bytes to message, and the field rules of the contract (protovalidate), in our words."""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError
from protovalidate import Validator

from services.kit.errors import RequestInvalid, Violation

Read = Callable[[bytes], Any]

_CHECKER: Final = Validator()


def reader_of(deserialize: Read) -> Read:
    """Give a function that reads a request and checks it.

    Raises RequestInvalid, which names fields and rules and repeats no value: a value may be a person's number.
    """
    _warm(deserialize)
    check = _CHECKER.collect_violations

    def read(body: bytes) -> Any:
        try:
            request = deserialize(body)
        except DecodeError as error:
            raise RequestInvalid("The request is not the message that the contract names.") from error
        broken = check(request)
        if broken:
            raise RequestInvalid("The request breaks rules of its contract.", violations=[_said(one) for one in broken])
        return request

    return read


def _warm(deserialize: Read) -> None:
    """Compile the rules now: the first check of a message type takes 6 ms."""
    _CHECKER.collect_violations(deserialize(b""))


def _said(violation: Any) -> Violation:
    """Name the field and the rule. The rule's own sentence is ours: it holds bounds, never the value."""
    found = violation.proto
    path = ".".join(_element(element) for element in found.field.elements) if found.field else ""
    return Violation(path, found.message or found.rule_id)


def _element(element: Any) -> str:
    """Write one step of a path; keys of maps are values of the caller's and stay out."""
    kind = element.subscript
    position = f"[{kind.value}]" if kind is not None and kind.field == "index" else ""
    return f"{element.field_name}{position}"
