# SPDX-License-Identifier: Apache-2.0
"""Terms as JSON: what does not bind is left out, so that a plain grant's are `{}`."""

from collections.abc import Mapping
from typing import Any

from services.exchange.domain.conditions import Condition, Question
from services.exchange.domain.hours import Hours, Window
from services.exchange.domain.terms import PLAIN, Method, Terms


def terms_plain(terms: Terms) -> dict[str, Any]:
    """Write."""
    plain: dict[str, Any] = {
        "methods": [each.value for each in terms.methods],
        "predicate": None if terms.predicate is None else _condition_plain(terms.predicate),
        "questions": [{"name": each.name, **_condition_plain(each.condition)} for each in terms.questions],
        "consent": terms.consent,
        "rate": terms.rate_per_second,
        "hours": None if terms.hours is None else _hours_plain(terms.hours),
    }
    return {name: value for name, value in plain.items() if value}


def terms_from(plain: Mapping[str, Any]) -> Terms:
    """Read."""
    if not plain:
        return PLAIN
    predicate, hours = plain.get("predicate"), plain.get("hours")
    return Terms(
        methods=tuple(Method(each) for each in plain.get("methods", ())),
        predicate=None if predicate is None else _condition_from(predicate),
        questions=tuple(Question(each["name"], _condition_from(each)) for each in plain.get("questions", ())),
        consent=plain.get("consent", False),
        rate_per_second=plain.get("rate", 0),
        hours=None if hours is None else _hours_from(hours),
    )


def _condition_plain(condition: Condition) -> dict[str, str]:
    return {"expression": condition.expression, "zh": condition.label_zh, "en": condition.label_en}


def _condition_from(plain: Mapping[str, str]) -> Condition:
    return Condition(plain["expression"], plain["zh"], plain["en"])


def _hours_plain(hours: Hours) -> dict[str, Any]:
    windows = [[each.from_minute, each.to_minute] for each in hours.windows]
    return {"windows": windows, "working_days": hours.working_days_only}


def _hours_from(plain: Mapping[str, Any]) -> Hours:
    return Hours(tuple(Window(*each) for each in plain["windows"]), plain["working_days"])
