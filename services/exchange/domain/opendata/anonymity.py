# SPDX-License-Identifier: Apache-2.0
"""De-identification: coarser step by step until everybody is one of k persons, checked again on what came out.

k-anonymity and the choice of the next column are Samarati's and Sweeney's (2002, 1997: the column with most values is made
coarser first); l-diversity is Machanavajjhala's (2007), in its distinct form. Beyond both: a sensitive value that fewer than
k persons share would name its bearer by itself, and is not published.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.exchange.domain.answer import Scalar
from services.exchange.domain.opendata.dataset import COUNT, PERSON, About, Column, Dataset, Form, Role
from services.exchange.domain.opendata.identifiers import columns_with_identifiers
from services.exchange.domain.opendata.steps import Step, StepKind, number_of
from services.kit.errors import Refusal

Row = tuple[Scalar, ...]
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
Held = tuple[Row, int]
"""A record and whose it is: persons are numbered, their keys end here."""


class AnonymityNotReached(Refusal):
    """Even by the coarsest steps some records stay too rare to be published."""


class IdentifierFound(Refusal):
    """A value that is about to be published tells who somebody is."""


class FormulaFound(Refusal):
    """A text that is about to be published begins as a formula does, and a spreadsheet might run it."""


class NothingToPublish(Refusal):
    """The source has no records."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is published."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Deidentified:
    """A table, and what can be told about how it came to be. `suppressed` is rounded up to a multiple of k."""

    table: Table
    k: int
    diversity: int
    suppressed: int
    steps: Mapping[str, Step]


def deidentify(dataset: Dataset, records: Iterable[Mapping[str, Scalar]]) -> Deidentified:
    """Make a table of records that anybody may see.

    Raises:
        AnonymityNotReached: not by any of the steps. The message tells numbers, never a value.
        FormulaFound: a text begins as a formula of a spreadsheet does.
        IdentifierFound: a value looks like a number, phone or address of somebody.
        NothingToPublish: no records.
    """
    names = [each.name for each in dataset.columns]
    persons: list[int] = []
    rows: list[Row] = []
    known: dict[Scalar, int] = {}
    for number, record in enumerate(records):
        rows.append(tuple(record.get(name) for name in names))
        person = record.get(PERSON) if dataset.about is About.PERSONS else number
        persons.append(known.setdefault(person, len(known)))
    if not rows:
        raise NothingToPublish("The source has no records.")
    levels = {each.name: 0 for each in dataset.columns}
    while True:
        coarse = _coarse(dataset.columns, rows, levels)
        kept = _safe(dataset, list(zip(coarse, persons, strict=True)))
        lost = len(rows) - len(kept)
        if kept and lost * 100 <= dataset.suppress_percent_max * len(rows):
            break
        column = _next(dataset, coarse, levels)
        if column is None:
            share = math.ceil(lost * 100 / len(rows))
            raise AnonymityNotReached(
                f"{share} % of the records stay too rare for k = {dataset.k}; at most {dataset.suppress_percent_max} %"
                " may be left out.",
                remedy="Add coarser steps, drop a column, or take a longer time.",
                metadata={"k": str(dataset.k), "suppressed_percent": str(share)},
            )
        levels[column] += 1
    table, behind = _published(dataset, kept)
    k, diversity = achieved(dataset, table, behind)
    steps = {each.name: each.steps[levels[each.name]] for each in dataset.columns}
    _must_be_safe(dataset, table, k, diversity)
    _must_be_no_formula(table, [name for name, step in steps.items() if step.kind is StepKind.KEEP])
    return Deidentified(table, k, diversity, math.ceil(lost / dataset.k) * dataset.k, steps)


def achieved(dataset: Dataset, table: Table, behind: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Tell k and l of a published table anew, from the table and from who is behind each of its rows.

    k: the least number of different persons who share all dimensions, and of those who share a sensitive value; of
    records where they are not about persons. l: the least number of different sensitive values, one of each person.
    """
    dimensions = [table.columns.index(each.name) for each in dataset.of_role(Role.DIMENSION)]
    sensitive = [table.columns.index(each.name) for each in dataset.of_role(Role.SENSITIVE)]
    classes: dict[Row, set[int]] = defaultdict(set)
    values: dict[tuple[int, Scalar], set[int]] = defaultdict(set)
    members: dict[tuple[int, Row], dict[int, Scalar]] = defaultdict(dict)
    for row, persons in zip(table.rows, behind, strict=True):
        key = _at(row, dimensions)
        classes[key].update(persons)
        for index in sensitive:
            values[index, row[index]].update(persons)
            for person in persons:
                _stand_for(members[index, key], person, row[index])
    smallest = [len(each) for each in (*classes.values(), *values.values())]
    if dataset.form is Form.COUNTS:
        smallest += map(len, behind)
    return min(smallest, default=0), min((len(set(each.values())) for each in members.values()), default=1)


def _must_be_safe(dataset: Dataset, table: Table, k: int, diversity: int) -> None:
    if dataset.about is About.PERSONS and (
        k < dataset.k or (dataset.of_role(Role.SENSITIVE) and diversity < dataset.diversity)
    ):
        raise AnonymityNotReached(f"The table has k = {k} and l = {diversity}.", metadata={"k": str(k)})
    if named := columns_with_identifiers(table.columns, table.rows):
        raise IdentifierFound(
            f"Column {', '.join(named)} holds values that tell who somebody is.",
            remedy="Drop the column, or mend the source.",
            metadata={"columns": ",".join(named)},
        )


def _must_be_no_formula(table: Table, kept: Collection[str]) -> None:
    """Look at the columns that are as their source had them: what a step made is a date, a code or a band."""
    if formulas := [name for name in _formulas(table) if name in kept]:
        raise FormulaFound(
            f"Column {', '.join(formulas)} holds texts that begin as a formula does.",
            remedy="Mend the source, or drop the column: a text must not begin with =, +, -, @, tab or line break.",
            metadata={"columns": ",".join(formulas)},
        )


def _formulas(table: Table) -> list[str]:
    """Name the columns with a text that spreadsheets may take for a formula (OWASP, CSV injection); numbers keep their sign."""
    return [
        name
        for index, name in enumerate(table.columns)
        if any(_is_formula(value) for value in {row[index] for row in table.rows})
    ]


def _is_formula(value: Scalar) -> bool:
    return isinstance(value, str) and value.startswith(_FORMULA_BEGINS) and number_of(value) is None


def _coarse(columns: Sequence[Column], rows: Sequence[Row], levels: Mapping[str, int]) -> list[Row]:
    steps = [each.steps[levels[each.name]] for each in columns]
    known: list[dict[tuple[type, Scalar], Scalar]] = [{} for _ in steps]  # 1, 1.0 and True are different values.
    coarse: list[Row] = []
    for row in rows:
        made: list[Scalar] = []
        for step, seen, value in zip(steps, known, row, strict=True):
            key = (type(value), value)
            if key not in seen:
                seen[key] = step.of(value)
            made.append(seen[key])
        coarse.append(tuple(made))
    return coarse


def _safe(dataset: Dataset, rows: Sequence[Held]) -> list[Held]:
    """Leave out what too few persons share, until what is left is stable: leaving out one record can make another one rare.

    However many records somebody has, they make nobody else less rare. For l, each person stands for one of their values.
    """
    if dataset.about is not About.PERSONS:
        return list(rows)
    roles = [each.role for each in dataset.columns]
    dimensions = [index for index, role in enumerate(roles) if role is Role.DIMENSION]
    sensitive = [index for index, role in enumerate(roles) if role is Role.SENSITIVE]
    cell = [*dimensions, *sensitive] if dataset.form is Form.COUNTS else dimensions
    left = list(rows)
    while True:
        before = len(left)
        left = _shared(left, cell, dataset.k)
        for index in sensitive:
            left = _shared(left, [index], dataset.k)
            said: dict[Row, dict[int, Scalar]] = defaultdict(dict)
            for row, person in left:
                _stand_for(said[_at(row, dimensions)], person, row[index])
            kinds = {key: len(set(each.values())) for key, each in said.items()}
            left = [held for held in left if kinds[_at(held[0], dimensions)] >= dataset.diversity]
        if len(left) == before:
            return left


def _stand_for(said: dict[int, Scalar], person: int, value: Scalar) -> None:
    """Let the first of a person's values stand for the person, whatever the order of the records."""
    if person not in said or _order((value,)) < _order((said[person],)):
        said[person] = value


def _shared(held: Sequence[Held], places: Sequence[int], k: int) -> list[Held]:
    """Keep the records whose values at these places at least k persons have."""
    persons: dict[Row, set[int]] = defaultdict(set)
    for row, person in held:
        persons[_at(row, places)].add(person)
    return [each for each in held if len(persons[_at(each[0], places)]) >= k]


def _next(dataset: Dataset, rows: Sequence[Row], levels: Mapping[str, int]) -> str | None:
    """Choose the dimension to make coarser: the one with most values that has a coarser step."""
    open_ = [
        (len({row[index] for row in rows}), each.name)
        for index, each in enumerate(dataset.columns)
        if each.role is Role.DIMENSION and levels[each.name] + 1 < len(each.steps)
    ]
    return max(open_)[1] if open_ else None


def _published(dataset: Dataset, held: Sequence[Held]) -> tuple[Table, Sequence[Sequence[int]]]:
    """Write the table in an order of its own: the order of a register tells who came when. Beside it: who is behind each row."""
    names = [each.name for each in dataset.columns]
    if dataset.form is Form.RECORDS:
        ordered = sorted(held, key=lambda each: _order(each[0]))
        return Table(tuple(names), tuple(row for row, _ in ordered)), [(person,) for _, person in ordered]
    measures = [index for index, each in enumerate(dataset.columns) if each.role is Role.MEASURE]
    keys = [index for index in range(len(names)) if index not in measures]
    cells: dict[Row, list[Row]] = defaultdict(list)
    persons: dict[Row, set[int]] = defaultdict(set)
    for row, person in held:
        cells[_at(row, keys)].append(_at(row, measures))
        persons[_at(row, keys)].add(person)
    columns = (*(names[index] for index in keys), COUNT, *(names[index] for index in measures))
    made = [((*key, len(found), *_sums(found, len(measures))), tuple(persons[key])) for key, found in cells.items()]
    made.sort(key=lambda each: _order(each[0]))
    return Table(columns, tuple(row for row, _ in made)), [behind for _, behind in made]


def _sums(rows: Sequence[Row], width: int) -> list[Scalar]:
    """Sum up each measure; what is no number doesn't count."""
    sums: list[Scalar] = []
    for index in range(width):
        numbers = (number_of(row[index]) for row in rows)
        sums.append(round(math.fsum(each for each in numbers if each is not None), 6))
    return sums


def _at(row: Row, places: Sequence[int]) -> Row:
    return tuple(row[index] for index in places)


def _order(row: Row) -> tuple[tuple[str, str | float], ...]:
    return tuple(("n", float(each)) if isinstance(each, int | float) else ("t", each or "") for each in row)
