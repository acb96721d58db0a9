# SPDX-License-Identifier: Apache-2.0
"""What a department keeps, shares and does, told by a file instead of code: `offices/<key>.yaml`.

An operation looks rows up, refuses by rules, writes rows, and gives values back; expressions are CEL over `input` (what the
task brought, empty text where it did not), `found` (rows looked up; `found.<name>.there` is false where there was none), `new`
(numbers drawn for this act), `today`, `serial` and `other_serial` (random, for identifiers of licenses) and `case_id`.
"""

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import cel
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sandbox import numbers
from sandbox.cast import cast
from sandbox.register import Output, Register, next_number
from sandbox.work import Operation, TaskRefused, Work
from services.kit.clock import Clock
from services.kit.text import Text
from services.kit.yaml import load_yaml

FOLDER = Path(__file__).with_name("offices")
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Cel = str
Value = str | int
_CREDIT_CODE = "credit_code"
_UNITS = ("_fen", "_months", "_count", "_grade")
_INPUT = re.compile(r"\binput\.([a-z][a-z0-9_]*)")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Table(_Part):
    """Rows by one key. Columns are TEXT, or INTEGER where their name ends in a unit (`_fen`, `_months`, `_count`, `_grade`)."""

    key: Name
    columns: tuple[Name, ...]
    rows: tuple[dict[Name, Value], ...] = ()


class SharedField(_Part):
    """One field that the broker may ask for."""

    name: Name
    title: Text
    sensitivity: Literal["general", "personal", "sensitive"] = "personal"
    type: Literal["text", "date", "number", "sex", "citizen_number"] = "text"
    means: str = ""
    """Whose and what, where it is not `applicant.<name>`."""
    length: int = 100


class Shared(_Part):
    """One resource of the catalogue, read from a table of this register, and who may ask it for which matters."""

    title: Text
    abstract: Text
    basis: str
    table: Name
    by: Name
    """Column that the subject's number or code stands in; one row each."""
    fields: tuple[SharedField, ...]
    grants: dict[Name, tuple[Name, ...]] = {}
    """Agency to the purposes (matters) that it may ask for."""


class Lookup(_Part):
    """One row of a table of the file, by equal columns."""

    table: Name
    where: dict[Name, Cel]


class Rule(_Part):
    """The first that does not hold refuses."""

    test: Cel
    reason: str
    message: Text


class Insertion(_Part):
    """A row that is added."""

    insert: Name
    values: dict[Name, Cel]


class Change(_Part):
    """Rows that are changed."""

    update: Name
    where: dict[Name, Cel]
    set: dict[Name, Cel]


class Act(_Part):
    """One operation."""

    needs: tuple[Name, ...] = ()
    """Values that must be there."""
    find: dict[Name, Lookup] = {}
    rules: tuple[Rule, ...] = ()
    draw: dict[Name, str] = {}
    """Numbers of this act: a series with its shape (`E990%08d`), or `credit_code`."""
    write: tuple[Insertion | Change, ...] = ()
    give: dict[Name, Cel] = Field(min_length=1)


class Paper(_Part):
    """A license that somebody of the cast has from before this city began."""

    type: str
    """Code of the license type."""
    holder: str
    """Citizen number."""
    serial: str
    attributes: dict[Name, Value]


class OfficeFile(_Part):
    """One department's file."""

    tables: dict[Name, Table] = {}
    issued: tuple[Paper, ...] = ()
    shares: dict[str, Shared] = {}
    does: dict[Name, Act] = {}


@dataclass(frozen=True, slots=True)
class Office:
    """One department as its file tells it."""

    key: str
    file: OfficeFile

    @property
    def schema(self) -> str:
        """Its tables, as SQL."""
        return "".join(_table(name, table) for name, table in self.file.tables.items())

    @property
    def issued(self) -> tuple[Paper, ...]:
        """Licenses that it has issued before, with the people of the cast in their places."""
        return tuple(
            Paper(
                type=one.type,
                holder=cast().told(one.holder),
                serial=one.serial,
                attributes={name: _told(value) for name, value in one.attributes.items()},
            )
            for one in self.file.issued
        )

    def load(self, connection: sqlite3.Connection) -> None:
        """Enter what it knows of the cast; again changes nothing."""
        for name, table in self.file.tables.items():
            for row in table.rows:
                _insert(connection, name, {column: _told(value) for column, value in row.items()}, again="IGNORE")

    def perform(self, connection: sqlite3.Connection, work: Work, *, today: date) -> Output:
        """Do an operation, within the transaction that the caller holds. Raises TaskRefused."""
        act = self.file.does[work.operation]
        for name in act.needs:
            work.text(name)
        names: dict[str, Any] = {
            "input": {name: _plain(work, name) for name in _inputs(act)},
            "today": today.isoformat(),
            "serial": numbers.license_serial(),
            "other_serial": numbers.license_serial(),
            "case_id": work.case_id,
            "found": {},
            "new": {},
        }
        for name, lookup in act.find.items():
            names["found"][name] = self._found(connection, lookup, names)
        for rule in act.rules:
            if not _value(rule.test, names):
                raise TaskRefused(rule.reason, rule.message.zh, rule.message.en)
        for name, shape in act.draw.items():
            names["new"][name] = _drawn(connection, name, shape)
        for written in act.write:
            _write(connection, written, names)
        given = {name: _value(source, names) for name, source in act.give.items()}
        return {name: value for name, value in given.items() if value != ""}

    def operations(self, register: Register, clock: Clock) -> Mapping[str, Operation]:
        """Its operations over its register; each is done once per case."""
        return {name: partial(self._operate, register, clock) for name in self.file.does}

    async def _operate(self, register: Register, clock: Clock, work: Work) -> Output:
        today = china_day(clock)
        return await register.once(
            work.case_id, work.operation, lambda connection: self.perform(connection, work, today=today)
        )

    def _found(self, connection: sqlite3.Connection, lookup: Lookup, names: Mapping[str, Any]) -> dict[str, Any]:
        where = {column: _value(source, names) for column, source in lookup.where.items()}
        statement = f"SELECT * FROM {lookup.table} WHERE {_equal(where)} LIMIT 1"  # noqa: S608 - names of the file's pattern
        row = connection.execute(statement, where).fetchone()
        if row is None:
            table = self.file.tables[lookup.table]
            return {**{column: _nothing(column) for column in table.columns}, "there": False}
        return {**dict(row), "there": True}


def china_day(clock: Clock) -> date:
    """The day in China (UTC+8, no summer time): departments date their acts by it."""
    return (clock() + timedelta(hours=8)).date()


def office(key: str) -> Office:
    """A department's file; one without a file keeps and does nothing more than its code says."""
    path = FOLDER / f"{key}.yaml"
    document = load_yaml(path.read_text(encoding="utf-8")) if path.exists() else {}
    return Office(key, OfficeFile.model_validate(document))


@cache
def offices() -> dict[str, Office]:
    """Every department that has a file."""
    return {path.stem: office(path.stem) for path in sorted(FOLDER.glob("*.yaml"))}


def _table(name: str, table: Table) -> str:
    columns = [f"{column} {_type(column)} NOT NULL" for column in table.columns]
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}, PRIMARY KEY ({table.key})) STRICT;\n"


def _type(column: str) -> str:
    return "INTEGER" if column.endswith(_UNITS) else "TEXT"


def _nothing(column: str) -> Value:
    return 0 if column.endswith(_UNITS) else ""


def _told(value: Value) -> Value:
    return cast().told(value) if isinstance(value, str) else value


@cache
def _program(source: str) -> Any:
    return cel.compile(source)


def _value(source: str, names: Mapping[str, Any]) -> Any:
    return _program(source).execute(cel.Context(variables=dict(names)))


def _inputs(act: Act) -> frozenset[str]:
    """Names that the act's expressions read of what the task brings."""
    return frozenset(_INPUT.findall(act.model_dump_json())) | frozenset(act.needs)


def _plain(work: Work, name: str) -> Any:
    """Whole numbers come as floats over the wire; CEL keeps the two apart."""
    value = work.values.get(name)
    if isinstance(value, bool):
        return value
    if isinstance(value, float | int):
        return int(value) if value == int(value) else value
    return work.optional(name)


def _drawn(connection: sqlite3.Connection, series: str, shape: str) -> str:
    number = next_number(connection, series)
    return numbers.credit_code("9", "1", f"MB{number:06d}") if shape == _CREDIT_CODE else shape % number


def _write(connection: sqlite3.Connection, written: Insertion | Change, names: Mapping[str, Any]) -> None:
    if isinstance(written, Insertion):
        row = {column: _value(source, names) for column, source in written.values.items()}
        _insert(connection, written.insert, row)
        return
    values = {f"new_{column}": _value(source, names) for column, source in written.set.items()}
    where = {column: _value(source, names) for column, source in written.where.items()}
    changes = ", ".join(f"{column} = :new_{column}" for column in written.set)
    connection.execute(f"UPDATE {written.update} SET {changes} WHERE {_equal(where)}", {**values, **where})  # noqa: S608 - names of the file's pattern


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any], *, again: str = "ABORT") -> None:
    columns, places = ", ".join(row), ", ".join(f":{column}" for column in row)
    connection.execute(f"INSERT OR {again} INTO {table} ({columns}) VALUES ({places})", row)  # noqa: S608 - names of the file's pattern


def _equal(where: Mapping[str, Any]) -> str:
    return " AND ".join(f"{column} = :{column}" for column in where)
