# SPDX-License-Identifier: Apache-2.0
"""An event as the JSON that is sealed in the store, and back."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, get_args

from services.gateway.domain.history.cases import CaseEvent, CaseOutcome, Parent, Prefilled, PrefillState
from services.gateway.domain.history.clocks import Bound, ClockEvent, ClockMove, Dates
from services.gateway.domain.history.dealings import CorrectionItem, DealingEvent
from services.gateway.domain.history.materials import MaterialEvent
from services.gateway.domain.history.steps import Outcome, StepAnswered, StepEvent
from services.kit.calendar import Bell, Terms
from services.kit.text import Text

Event = CaseEvent | StepEvent | ClockEvent | DealingEvent | MaterialEvent

_KINDS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}
_NOT_IN_BODY = frozenset({"at", "step_id"})


def kind_of(event: Event) -> str:
    """The event's kind, as the store keeps it."""
    return type(event).__name__


def step_of(event: Event) -> str:
    """The step that it is about; empty for the case as a whole."""
    return str(getattr(event, "step_id", ""))


def to_body(event: Event) -> dict[str, Any]:
    """Everything but kind, time and step, as plain JSON; defaults are left out."""
    body: dict[str, Any] = {}
    for one in fields(event):
        value = getattr(event, one.name)
        if one.name not in _NOT_IN_BODY and value != one.default:
            body[one.name] = _plain(value)
    return body


def from_body(kind: str, at: datetime, step_id: str, body: Mapping[str, Any]) -> Event:
    """Read an event back. A kind that is not known any more is an error of the store's, never skipped."""
    values = {name: _READ[name](value) if name in _READ else value for name, value in body.items()}
    event_type = _KINDS[kind]
    if any(one.name == "step_id" for one in fields(event_type)):
        values["step_id"] = step_id
    if "outcome" in values:
        values["outcome"] = (Outcome if event_type is StepAnswered else CaseOutcome)(values["outcome"])
    return event_type(at=at, **values)


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one arm for each kind of value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Text):
        return {"zh": value.zh, "en": value.en}
    if isinstance(value, Terms):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Prefilled | Parent | Dates | CorrectionItem):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, StrEnum):
        return value.value
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def _prefilled(values: list[dict[str, Any]]) -> tuple[Prefilled, ...]:
    return tuple(Prefilled(**{**one, "state": PrefillState(one["state"])}) for one in values)


def _text(value: dict[str, str] | None) -> Text | None:
    return Text(**value) if value else None


_READ: Mapping[str, Any] = {
    "message": _text,
    "disputed": tuple,
    "because": _text,
    "due": datetime.fromisoformat,
    "until": datetime.fromisoformat,
    "parent": lambda value: Parent(**value),
    "since": datetime.fromisoformat,
    "terms": lambda value: {name: Terms.model_validate(one) for name, one in value.items()},
    "dates": lambda value: Dates(**value),
    "before": lambda value: Dates(**value),
    "move": ClockMove,
    "bound": Bound,
    "bell": Bell,
    "prefilled": _prefilled,
    "items": lambda values: tuple(CorrectionItem(one["name"], Text(**one["words"])) for one in values),
    "steps": tuple,
    "without": lambda value: None if value is None else tuple(value),
}
