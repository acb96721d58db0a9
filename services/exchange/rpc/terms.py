# SPDX-License-Identifier: Apache-2.0
"""Terms of a grant between the contract's messages and the exchange's words."""

from collections.abc import Iterable

from tongban.exchange.v1 import grants_pb2 as nouns

from services.exchange.domain.conditions import Condition, Question
from services.exchange.domain.hours import Hours, Window
from services.exchange.domain.terms import PLAIN, Method, Terms
from services.exchange.rpc.enums import Enum

METHODS = Enum(nouns.Method, Method, "METHOD")


def terms_from(wire: nouns.GrantTerms) -> Terms:
    """Read; the domain checks what they say."""
    if not wire.ByteSize():
        return PLAIN
    return Terms(
        methods=methods_from(wire.methods, "grant.terms.methods"),
        predicate=_condition_from(wire.predicate) if wire.HasField("predicate") else None,
        questions=tuple(Question(each.name, _condition_from(each.condition)) for each in wire.questions),
        consent=wire.consent,
        rate_per_second=wire.rate_per_second,
        hours=_hours_from(wire.hours) if wire.HasField("hours") else None,
    )


def terms_to(terms: Terms) -> nouns.GrantTerms:
    """Write."""
    return nouns.GrantTerms(
        methods=methods_to(terms.methods),
        predicate=None if terms.predicate is None else _condition_to(terms.predicate),
        questions=[question_to(each) for each in terms.questions],
        consent=terms.consent,
        rate_per_second=terms.rate_per_second,
        hours=None if terms.hours is None else _hours_to(terms.hours),
    )


def question_to(question: Question) -> nouns.Question:
    """Write a question."""
    return nouns.Question(name=question.name, condition=_condition_to(question.condition))


def methods_from(wire: "Iterable[nouns.Method.ValueType]", field: str) -> tuple[Method, ...]:
    """Read methods."""
    return tuple(METHODS.read(each, field) for each in wire)


def methods_to(methods: "Iterable[Method]") -> "list[nouns.Method.ValueType]":
    """Write methods."""
    return [METHODS.write(each) for each in methods]


def _condition_from(wire: nouns.Condition) -> Condition:
    return Condition(wire.expression, wire.label_zh, wire.label_en)


def _condition_to(condition: Condition) -> nouns.Condition:
    return nouns.Condition(expression=condition.expression, label_zh=condition.label_zh, label_en=condition.label_en)


def _hours_from(wire: nouns.Hours) -> Hours:
    windows = tuple(Window(each.from_minute, each.to_minute) for each in wire.windows)
    return Hours(windows, wire.working_days_only)


def _hours_to(hours: Hours) -> nouns.Hours:
    windows = [nouns.Window(from_minute=each.from_minute, to_minute=each.to_minute) for each in hours.windows]
    return nouns.Hours(windows=windows, working_days_only=hours.working_days_only)
