# SPDX-License-Identifier: Apache-2.0
"""Nothing is said twice where only one would be heard: methods of store mixins, tables, messages."""

import ast
import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from services.exchange.store import ExchangeStore
from services.exchange.store.tx import ExchangeTx
from services.gateway.store import SqlGatewayStore
from services.gateway.store.tx import SqlGatewayTx
from services.identity.store import IdentityStore
from services.identity.store.tx import IdentityTx
from services.kit.store import Store, Tx
from services.licenses.store.sql import SqlLicensesStore, SqlLicensesTx

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("exchange", "gateway", "identity", "licenses")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPOSED = (
    *(ExchangeStore, ExchangeTx, SqlGatewayStore, SqlGatewayTx),
    *(IdentityStore, IdentityTx, SqlLicensesStore, SqlLicensesTx),
)


def twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


@pytest.mark.parametrize("composed", COMPOSED, ids=lambda each: each.__name__)
def test_no_two_mixins_of_a_store_have_a_name_in_common(composed: type) -> None:
    """Python takes the first of two silently: an area would lose its rows to another."""
    kit = {*inspect.getmro(Store), *inspect.getmro(Tx)}
    own = [each for each in inspect.getmro(composed) if each not in kit]
    names = [name for each in own for name in vars(each) if not name.startswith("__")]
    assert twice(names) == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_class_says_a_method_twice(service: str) -> None:
    for path in sorted((ROOT / "services" / service).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                methods = [each.name for each in node.body if isinstance(each, FUNCTIONS) and not each.decorator_list]
                assert twice(methods) == [], path


@pytest.mark.parametrize("service", SERVICES)
def test_no_table_is_made_twice(service: str) -> None:
    """A second `Table` of one name breaks only where both are imported; told here from the source."""
    told: list[str] = []
    for path in sorted((ROOT / "services" / service).rglob("*.py")):
        if "store" in path.relative_to(ROOT).with_suffix("").parts:
            told += list(tables(ast.parse(path.read_text())))
    assert told
    assert twice(told) == []


def tables(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Table":
            first = node.args[0]
            assert isinstance(first, ast.Constant), "A table is named by a word."
            yield str(first.value)


def test_no_message_of_a_package_is_declared_twice() -> None:
    """Two files of one package may each be right alone; a reader of both gets whichever was loaded first."""
    told: list[str] = []
    for path in sorted((ROOT / "protos").rglob("*.proto")):
        package = ".".join(path.relative_to(ROOT / "protos").parent.parts)
        told += [f"{package}.{name}" for name in declared(path.read_text())]
    assert len(told) > 100
    assert twice(told) == []


def declared(text: str) -> Iterator[str]:
    """Top-level messages, enums and services of a proto file."""
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word in {"message", "enum", "service"}:
            yield rest.split()[0]
