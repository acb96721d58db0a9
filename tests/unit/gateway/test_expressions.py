# SPDX-License-Identifier: Apache-2.0
"""Expressions: CEL over what there is, and words without values over what there is not."""

from typing import Any

import pytest

from services.gateway.domain.expressions import Expression, ExpressionFailed, ExpressionMalformed, full_years

NAMES: dict[str, Any] = {
    "answers": {"name": "secret", "empty": ""},
    "applicant": {"id": "p-1"},
    "case": {"submitted_date": "2026-11-23"},
    "steps": {
        "a": {"state": "done", "output": {"kg": 3.5, "ok": True, "n": "x"}},
        "b": {"state": "waiting", "output": {}},
    },
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("answers.name", "secret"),
        ("steps.a.output.kg", 3.5),
        ("steps.a.output.ok", True),
        ("steps.a.output.n + '-' + steps.b.state", "x-waiting"),
        ("steps['a'].output.n", "x"),
        ("has(steps.b.output.n) ? 'yes' : 'no'", "no"),
        ("answers.empty == '' && steps.a.state == 'done'", True),
        ("full_years('2025-11-23', case.submitted_date) < 1", False),
        ("'answers.nothing'", "answers.nothing"),
    ],
)
def test_values_and_conditions(source: str, value: object) -> None:
    assert Expression(source).value(NAMES) == value


@pytest.mark.parametrize("source", ["answers.name", "steps.a.output.kg", "applicant.id", "steps.a.state"])
def test_a_plain_path_means_what_cel_means(source: str) -> None:
    assert Expression(source).value(NAMES) == Expression(f"({source})").value(NAMES)


@pytest.mark.parametrize(
    "source",
    [
        "answers.nothing",
        "(answers.nothing)",
        "answers.name + 1",
        "answers",
        "steps.a",
        "nobody",
        "1 / 0",
        "null",
        "[1]",
    ],
)
def test_what_goes_wrong_tells_no_value(source: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        Expression(source).value(NAMES)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("source", ["", "answers.", "1 +", "a b", "'", "((("])
def test_what_is_no_cel_is_refused(source: str) -> None:
    with pytest.raises(ExpressionMalformed):
        Expression(source)


def test_a_condition_must_be_true_or_false() -> None:
    assert Expression("answers.name == 'secret'").holds(NAMES) is True
    with pytest.raises(ExpressionFailed):
        Expression("answers.name").holds(NAMES)


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        ("2025-11-23", "2026-11-22", 0),
        ("2025-11-23", "2026-11-23", 1),
        ("2024-02-29", "2025-02-28", 0),
        ("2024-02-29", "2025-03-01", 1),
        ("2026-11-24", "2026-11-23", -1),
    ],
)
def test_birthdays_are_counted_when_they_are_completed(born: str, on: str, years: int) -> None:
    assert full_years(born, on) == years
