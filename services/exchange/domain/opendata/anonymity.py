# SPDX-License-Identifier: Apache-2.0
"""De-identification: coarser step by step until everybody is one of k, checked again on what came out.

k-anonymity and the choice of the next column are Samarati's and Sweeney's (2002, 1997: the column with most values is made
coarser first); l-diversity is Machanavajjhala's (2007), in its distinct form. Beyond both: a sensitive value that fewer than
k records share would name its bearer by itself, and is not published.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.exchange.domain.answer import Scalar
from services.exchange.domain.opendata.dataset import COUNT, About, Column, Dataset, Form, Role
from services.exchange.domain.opendata.identifiers import columns_with_identifiers
from services.exchange.domain.opendata.steps import Step, number_of
from services.kit.errors import Refusal

Row = tuple[Scalar, ...]


class AnonymityNotReached(Refusal):
    """Even by the coarsest steps some records stay too rare to be published."""


class IdentifierFound(Refusal):
    """A value that is about to be published tells who somebody is."""


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
        IdentifierFound: a value looks like a number, phone or address of somebody.
        NothingToPublish: no records.
    """
    names = [each.name for each in dataset.columns]
    rows = [tuple(record.get(name) for name in names) for record in records]
    if not rows:
        raise NothingToPublish("The source has no records.")
    levels = {each.name: 0 for each in dataset.columns}
    while True:
        coarse = _coarse(dataset.columns, rows, levels)
        kept = _safe(dataset, coarse)
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
    table = _published(dataset, kept)
    k, diversity = achieved(dataset, table)
    _must_be_safe(dataset, table, k, diversity)
    steps = {each.name: each.steps[levels[each.name]] for each in dataset.columns}
    return Deidentified(table, k, diversity, math.ceil(lost / dataset.k) * dataset.k, steps)


def achieved(dataset: Dataset, table: Table) -> tuple[int, int]:
    """Tell k and l of a published table, looked at as a stranger would: nothing but the table is used.

    k: the least number of records that share all dimensions, and of those that share a sensitive value.
    """
    dimensions = [table.columns.index(each.name) for each in dataset.of_role(Role.DIMENSION)]
    sensitive = [table.columns.index(each.name) for each in dataset.of_role(Role.SENSITIVE)]
    weights = [_weight(table, row) for row in table.rows]
    classes: Counter[Row] = Counter()
    members: dict[Row, list[set[Scalar]]] = defaultdict(lambda: [set() for _ in sensitive])
    values: list[Counter[Scalar]] = [Counter() for _ in sensitive]
    for row, weight in zip(table.rows, weights, strict=True):
        key = tuple(row[index] for index in dimensions)
        classes[key] += weight
        for place, index in enumerate(sensitive):
            members[key][place].add(row[index])
            values[place][row[index]] += weight
    smallest = [*classes.values(), *(number for each in values for number in each.values())]
    if dataset.form is Form.COUNTS:
        smallest += weights
    diversity = [len(found) for each in members.values() for found in each]
    return min(smallest, default=0), min(diversity, default=1)


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


def _safe(dataset: Dataset, rows: Sequence[Row]) -> list[Row]:
    """Leave out what is too rare, until what is left is stable: leaving out one record can make another one rare."""
    if dataset.about is not About.PERSONS:
        return list(rows)
    roles = [each.role for each in dataset.columns]
    dimensions = [index for index, role in enumerate(roles) if role is Role.DIMENSION]
    sensitive = [index for index, role in enumerate(roles) if role is Role.SENSITIVE]
    cell = [*dimensions, *sensitive] if dataset.form is Form.COUNTS else dimensions
    left = list(rows)
    while True:
        before = len(left)
        sizes = Counter(_at(row, cell) for row in left)
        left = [row for row in left if sizes[_at(row, cell)] >= dataset.k]
        for index in sensitive:
            shared = Counter(row[index] for row in left)
            left = [row for row in left if shared[row[index]] >= dataset.k]
            kinds: dict[Row, set[Scalar]] = defaultdict(set)
            for row in left:
                kinds[_at(row, dimensions)].add(row[index])
            left = [row for row in left if len(kinds[_at(row, dimensions)]) >= dataset.diversity]
        if len(left) == before:
            return left


def _next(dataset: Dataset, rows: Sequence[Row], levels: Mapping[str, int]) -> str | None:
    """Choose the dimension to make coarser: the one with most values that has a coarser step."""
    open_ = [
        (len({row[index] for row in rows}), each.name)
        for index, each in enumerate(dataset.columns)
        if each.role is Role.DIMENSION and levels[each.name] + 1 < len(each.steps)
    ]
    return max(open_)[1] if open_ else None


def _published(dataset: Dataset, rows: Sequence[Row]) -> Table:
    """Write the table in an order of its own: the order of a register tells who came when."""
    names = [each.name for each in dataset.columns]
    if dataset.form is Form.RECORDS:
        return Table(tuple(names), tuple(sorted(rows, key=_order)))
    measures = [index for index, each in enumerate(dataset.columns) if each.role is Role.MEASURE]
    keys = [index for index in range(len(names)) if index not in measures]
    cells: dict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        cells[_at(row, keys)].append(_at(row, measures))
    columns = (*(names[index] for index in keys), COUNT, *(names[index] for index in measures))
    made = [(*key, len(found), *_sums(found, len(measures))) for key, found in cells.items()]
    return Table(columns, tuple(sorted(made, key=_order)))


def _sums(rows: Sequence[Row], width: int) -> list[Scalar]:
    """Sum up each measure; what is no number doesn't count."""
    sums: list[Scalar] = []
    for index in range(width):
        numbers = (number_of(row[index]) for row in rows)
        sums.append(round(math.fsum(each for each in numbers if each is not None), 6))
    return sums


def _weight(table: Table, row: Row) -> int:
    if COUNT not in table.columns:
        return 1
    count = row[table.columns.index(COUNT)]
    return count if isinstance(count, int) else 0


def _at(row: Row, places: Sequence[int]) -> Row:
    return tuple(row[index] for index in places)


def _order(row: Row) -> tuple[tuple[str, str | float], ...]:
    return tuple(("n", float(each)) if isinstance(each, int | float) else ("t", each or "") for each in row)
