# SPDX-License-Identifier: Apache-2.0
"""Whatever a register holds: what is published lets nobody stand out."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.exchange.domain.opendata import anonymity
from services.exchange.domain.opendata.anonymity import (
    AnonymityNotReached,
    Deidentified,
    FormulaFound,
    IdentifierFound,
    NothingToPublish,
    Table,
    achieved,
)
from services.exchange.domain.opendata.dataset import COUNT, PERSON, About, Dataset, Form, Role
from services.exchange.domain.opendata.identifiers import identifying
from services.exchange.domain.opendata.steps import Step, StepKind
from tests.support.opendata import ALL, BANDS, DATES, KEEP, REGIONS, column, dataset

NUMBER = "990100199003070027"  # synthetic: no real number begins with 99
ILL = column("illness", role=Role.SENSITIVE)


def person(month: int = 1, region: str = "330102", **more: Any) -> dict[str, Any]:
    return {"birth_date": f"1990-{month:02d}-07", "region": region, **more}


def deidentify(rules: Dataset, records: Iterable[dict[str, Any]]) -> Deidentified:
    """Each record is somebody's own, where it does not say whose it is."""
    return anonymity.deidentify(rules, [{PERSON: f"own {at}", **each} for at, each in enumerate(records)])


def test_one_person_with_many_records_is_one_person() -> None:
    rows = [person(1)] * 95 + [person(2, subject_key="patient")] * 50
    made = deidentify(dataset(column("birth_date", Step(StepKind.MONTH)), suppress_percent_max=20, k=5), rows[:105])
    assert {row["birth_date"] for row in seen(made)} == {"1990-01"}
    counted = deidentify(dataset(column("birth_date", *DATES), form=Form.COUNTS, suppress_percent_max=0), rows)
    assert counted.steps["birth_date"].kind is not StepKind.MONTH
    assert counted.k == 96


def test_a_sensitive_value_that_one_person_has_often_names_its_bearer() -> None:
    rules = dataset(column("region", *REGIONS), ILL, diversity=2, suppress_percent_max=20)
    rows = [person(illness=kind) for kind in ("flu", "measles") for _ in range(40)]
    rows += [person(illness="rarest", subject_key="patient")] * 10
    assert "rarest" not in json.dumps(seen(deidentify(rules, rows)))


def test_one_person_does_not_make_a_class_diverse() -> None:
    rules = dataset(column("region", Step(StepKind.REGION, digits=6)), ILL, diversity=2, suppress_percent_max=0)
    others = [person(region="330199", illness=kind) for kind in ("flu", "measles") for _ in range(9)]
    mixed = [person(illness="flu", subject_key=f"p{at}") for at in range(6)]
    assert deidentify(rules, [*others, *mixed, person(illness="measles")]).diversity == 2
    with pytest.raises(AnonymityNotReached):
        deidentify(rules, [*others, *mixed, person(illness="measles", subject_key="p0")])


def test_records_that_say_not_whose_they_are_count_as_one_persons() -> None:
    with pytest.raises(AnonymityNotReached):
        deidentify(dataset(), [person(subject_key=None)] * 50)


def seen(made: Deidentified) -> list[dict[str, Any]]:
    return [dict(zip(made.table.columns, row, strict=True)) for row in made.table.rows]


def test_the_finest_step_that_is_safe_is_taken() -> None:
    made = deidentify(dataset(), [person(1)] * 5 + [person(2)] * 5)
    assert made.steps["birth_date"].kind is StepKind.MONTH
    assert (made.k, made.suppressed) == (5, 0)
    assert seen(made)[0] == {"birth_date": "1990-01", "region": "330102"}


def test_the_column_with_most_values_is_made_coarser_first() -> None:
    made = deidentify(dataset(), [person(month) for month in range(1, 13)])
    assert made.steps["birth_date"].kind is StepKind.YEAR
    assert made.steps["region"].digits == 6


def test_too_rare_records_are_left_out_within_the_bound_and_no_number_tells_how_rare() -> None:
    made = deidentify(dataset(suppress_percent_max=5), [person(1)] * 97 + [person(2)] * 3)
    assert [row["birth_date"] for row in seen(made)] == ["1990-01"] * 97
    assert made.suppressed == 5


def test_what_no_step_makes_safe_is_not_published() -> None:
    with pytest.raises(AnonymityNotReached) as refused:
        deidentify(
            dataset(column("birth_date", Step(StepKind.MONTH)), suppress_percent_max=0), [person(1)] * 9 + [person(2)]
        )
    assert refused.value.metadata == {"k": "5", "suppressed_percent": "10"}
    assert "1990" not in str(refused.value)


def test_a_register_without_records_is_not_published() -> None:
    with pytest.raises(NothingToPublish):
        deidentify(dataset(), [])


def test_a_class_that_shares_one_sensitive_value_tells_it_of_each() -> None:
    rules = dataset(column("region", *REGIONS), ILL, diversity=2, suppress_percent_max=0)
    rows = [person(region="330102", illness="flu")] * 6 + [person(region="330199", illness="measles")] * 6
    made = deidentify(rules, rows)
    assert made.steps["region"].digits == 4
    assert made.diversity == 2


def test_a_sensitive_value_of_few_names_its_bearer() -> None:
    rules = dataset(column("region", *REGIONS), ILL, diversity=2, suppress_percent_max=20)
    rows = [person(illness=kind) for kind in ("flu", "measles") for _ in range(20)] + [person(illness="rarest")]
    assert "rarest" not in json.dumps(seen(deidentify(rules, rows)))


def test_counts_have_no_small_cells() -> None:
    made = deidentify(dataset(form=Form.COUNTS), [person(1)] * 70 + [person(2)] * 7 + [person(3)] * 2)
    assert seen(made) == [
        {"birth_date": "1990-01", "region": "330102", COUNT: 70},
        {"birth_date": "1990-02", "region": "330102", COUNT: 7},
    ]
    assert made.k == 7


def test_measures_are_summed_up() -> None:
    rules = dataset(column("region", *REGIONS), column("visits", role=Role.MEASURE), form=Form.COUNTS)
    made = deidentify(rules, [person(visits=2), person(visits=0.5), *[person(visits=None)] * 4])
    assert seen(made) == [{"region": "330102", COUNT: 6, "visits": 2.5}]


def test_records_of_things_are_published_one_by_one_in_an_order_of_their_own() -> None:
    rules = dataset(column("kind"), about=About.THINGS, k=1)
    made = deidentify(rules, [{"kind": "tea"}, {"kind": None}, {"kind": "noodles"}, {"kind": 2}])
    assert [row["kind"] for row in seen(made)] == [2, None, "noodles", "tea"]


@pytest.mark.parametrize("value", ["=1+1", "+cmd|'/C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\uff1d1+1"])
def test_a_text_that_a_spreadsheet_might_run_stops_the_release(value: str) -> None:
    with pytest.raises(FormulaFound) as refused:
        deidentify(dataset(column("kind"), about=About.THINGS, k=1), [{"kind": value}])
    assert value not in str(refused.value)
    assert refused.value.metadata == {"columns": "kind"}


@pytest.mark.parametrize("value", ["-12.5", "+7", -3, "a=b", "1-2"])
def test_a_number_keeps_its_sign(value: str | int) -> None:
    made = deidentify(dataset(column("kind"), about=About.THINGS, k=1), [{"kind": value}])
    assert seen(made) == [{"kind": value}]


@pytest.mark.parametrize(
    "value", [NUMBER, f"no. {NUMBER}, paid", "13800138000", "+86 13800138000", "someone@example.org", 13800138000]
)
def test_a_value_that_tells_who_somebody_is_stops_the_release(value: Any) -> None:
    with pytest.raises(IdentifierFound) as refused:
        deidentify(dataset(column("kind"), about=About.THINGS, k=1), [{"kind": value}])
    assert str(value) not in str(refused.value)
    assert refused.value.metadata == {"columns": "kind"}


@pytest.mark.parametrize(
    "value", ["330102", "0571-88888888", "2026-11-23", "91330100MA27XXXXXX", None, True, 12345678901]
)
def test_values_that_tell_nobody_pass(value: Any) -> None:
    assert not identifying(value)


def test_one_and_true_are_two_values_to_a_stranger() -> None:
    rules = dataset(column("kind"), suppress_percent_max=20)
    made = deidentify(rules, [{"kind": 1}] * 20 + [{"kind": True}] * 3 + [{"kind": 1.0}] * 2)
    assert [str(row["kind"]) for row in seen(made)] == ["1"] * 22


def test_the_check_sees_what_a_stranger_sees() -> None:
    rules = dataset(column("region"), ILL)
    table = Table(("region", "illness"), (("a", "x"), ("a", "y"), ("b", "x"), ("b", "x")))
    assert achieved(rules, table, [(1,), (2,), (3,), (4,)]) == (1, 1)
    assert achieved(rules, Table(("region", "illness"), (("a", "x"), ("a", "x"))), [(1,), (1,)]) == (1, 1)


# ---- properties -----------------------------------------------------------------------------------------------------

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "birth_date": st.one_of(st.dates().map(str), st.sampled_from(["", "unknown", None, "1990-02-30", 7])),
    "region": st.sampled_from(["330102", "330106", "330205", "110101", "x", "", None, 330102]),
    "age": st.one_of(st.integers(-5, 120), st.sampled_from([None, "", "old", float("nan"), float("inf"), True, 40.5])),
    "illness": st.sampled_from(["flu", "measles", "none", "rare", None, ""]),
}
STEPS = {"birth_date": DATES, "region": REGIONS, "age": BANDS}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Dataset, list[dict[str, Any]]]:
    """Any register: with doubles, holes and rubbish; each record has a number and a name that are nobody else's."""
    names = draw(st.lists(st.sampled_from(list(STEPS)), min_size=1, max_size=3, unique=True))
    columns = [column(name, *STEPS[name][draw(st.integers(0, len(STEPS[name]) - 1)) :]) for name in names]
    if draw(st.booleans()):
        columns.append(ILL)
    rules = dataset(
        *columns,
        form=draw(st.sampled_from(list(Form))),
        k=draw(st.integers(5, 8)),
        diversity=draw(st.integers(2, 3)),
        suppress_percent_max=draw(st.integers(0, 20)),
    )
    record = st.fixed_dictionaries({name: VALUES[name] for name in (*names, "illness")})
    kinds = draw(st.lists(record, min_size=1, max_size=12))
    rows = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=120))
    return rules, [
        {**row, "number": f"99010019900307{index:04d}", "name": f"李{index}"} for index, row in enumerate(rows)
    ]


@given(tables())
@settings(max_examples=300, deadline=None)
def test_no_published_class_is_below_k_and_no_identifier_survives(given_: tuple[Dataset, list[dict[str, Any]]]) -> None:
    rules, rows = given_
    try:
        made = deidentify(rules, rows)
    except AnonymityNotReached:
        return
    weigh = (lambda row: row[COUNT]) if rules.form is Form.COUNTS else (lambda _: 1)
    dimensions = [each.name for each in rules.of_role(Role.DIMENSION)]
    classes: Counter[str] = Counter()
    kinds: dict[str, set[Any]] = defaultdict(set)
    shared: Counter[Any] = Counter()
    for row in seen(made):
        key = json.dumps([row[name] for name in dimensions])  # As a reader of the file sees it.
        classes[key] += weigh(row)
        kinds[key].add(row.get("illness"))
        shared[row.get("illness")] += weigh(row)
        assert rules.form is Form.RECORDS or row[COUNT] >= rules.k
    assert min(classes.values()) >= rules.k
    assert made.k >= rules.k
    if rules.of_role(Role.SENSITIVE):
        assert min(map(len, kinds.values())) >= rules.diversity
        assert min(shared.values()) >= rules.k
    text = json.dumps(seen(made), ensure_ascii=False)
    assert not any(row["number"] in text or row["name"] in text for row in rows)
    published = sum(classes.values())
    assert (len(rows) - published) * 100 <= rules.suppress_percent_max * len(rows)
    assert made.suppressed % rules.k == 0
    assert made.suppressed >= len(rows) - published


@given(tables())
@settings(max_examples=100, deadline=None)
def test_the_order_of_a_register_does_not_show(given_: tuple[Dataset, list[dict[str, Any]]]) -> None:
    rules, rows = given_
    try:
        forward, backward = deidentify(rules, rows), deidentify(rules, rows[::-1])
    except AnonymityNotReached:
        return
    assert forward.table == backward.table


@given(st.sampled_from([DATES, REGIONS, BANDS]), st.one_of(*VALUES.values()), st.one_of(*VALUES.values()))
def test_what_a_finer_step_makes_equal_a_coarser_one_does_not_tell_apart(steps: Any, one: Any, other: Any) -> None:
    for finer, coarser in pairwise(steps):
        if finer.of(one) == finer.of(other):
            assert coarser.of(one) == coarser.of(other)


@pytest.mark.parametrize(
    ("step", "value", "expected"),
    [
        (Step(StepKind.MONTH), "2026-11-23", "2026-11"), (Step(StepKind.MONTH), "2026-11-23T08:00:00", "2026-11"),
        (Step(StepKind.QUARTER), "2026-03-31", "2026-Q1"), (Step(StepKind.QUARTER), "2026-04-01", "2026-Q2"),
        (Step(StepKind.QUARTER), "2026-12-31", "2026-Q4"), (Step(StepKind.YEAR), "2026-01-01", "2026"),
        (Step(StepKind.DECADE), "1899-12-31", "1890s"), (Step(StepKind.YEAR), "yesterday", None), (Step(StepKind.REGION, digits=4), "330102", "330100"),
        (Step(StepKind.REGION, digits=2), "330102001002", "330000"), (Step(StepKind.REGION, digits=6), "Hangzhou", None),
        (Step(StepKind.BAND, width=10), 39, "30..39"), (Step(StepKind.BAND, width=10), 40, "40..49"),
        (Step(StepKind.BAND, width=10), -1, "-10..-1"), (Step(StepKind.BAND, width=10, ceiling=90), 104, "90+"),
        (Step(StepKind.BAND, width=10, floor=18), 17, "<18"), (Step(StepKind.BAND, width=10, floor=18), 18, "18..19"),
        (Step(StepKind.BAND, width=10, ceiling=65), 64, "60..64"), (Step(StepKind.BAND, width=10), "old", None),
        (ALL, "anything", "*"), (ALL, None, "*"), (KEEP, " a ", "a"), (KEEP, "", None), (KEEP, 2.0, 2),
    ],
)  # fmt: skip
def test_each_step_does_what_it_says(step: Step, value: Any, expected: Any) -> None:
    assert step.of(value) == expected
