# SPDX-License-Identifier: Apache-2.0
"""How a provider is reached, per kind of adapter: read from loose settings, refused with every fault named."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from services.kit.errors import RequestInvalid, Violation

PLACE = "{subject_key}"
PARAMETER = ":subject_key"
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|attach|detach|pragma|vacuum|copy|call|do|set)\b",
    re.IGNORECASE,
)
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_STATEMENT_MAX, _URL_MAX, _HEADERS_MAX = 10_000, 1_000, 20


class AdapterKind(StrEnum):
    """How the broker reaches a provider."""

    SQL = "sql"
    REST = "rest"
    CONNECTOR = "connector"


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """One read-only statement on the provider's database, with `:subject_key` as its parameter."""

    url: str = field(repr=False)
    statement: str

    def plain(self) -> dict[str, Any]:
        """As stored and as told to operators."""
        return {"url": self.url, "statement": self.statement}


@dataclass(frozen=True, slots=True)
class RestSettings:
    """One HTTP request; `{subject_key}` stands in the address or in the body. `mapping`: field -> dotted path."""

    url: str
    mapping: Mapping[str, str]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As stored and as told to operators."""
        return {
            "url": self.url,
            "method": self.method,
            "headers": dict(self.headers),
            "body": dict(self.body),
            "mapping": dict(self.mapping),
        }


@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """Nothing: the provider dials out and says what it serves."""

    def plain(self) -> dict[str, Any]:
        """As stored and as told to operators."""
        return {}


AdapterSettings = SqlSettings | RestSettings | ConnectorSettings

_KNOWN = {
    AdapterKind.SQL: {"url", "statement"},
    AdapterKind.REST: {"url", "method", "headers", "body", "mapping"},
    AdapterKind.CONNECTOR: set[str](),
}


def read_settings(kind: AdapterKind, given: Mapping[str, Any]) -> AdapterSettings:
    """Read loose settings; a name that the kind does not know, or a value of another type, is refused."""
    faults = [
        Violation(_path(name), f"Not a setting of the {kind.value} adapter.")
        for name in given
        if name not in _KNOWN[kind]
    ]
    texts = {name: given.get(name, "") for name in ("url", "statement", "method") if name in _KNOWN[kind]}
    tables = {name: given.get(name, {}) for name in ("headers", "body", "mapping") if name in _KNOWN[kind]}
    faults += [Violation(_path(name), "A text.") for name, value in texts.items() if not isinstance(value, str)]
    faults += [Violation(_path(name), "An object of texts.") for name, value in tables.items() if not _is_table(value)]
    if faults:
        raise RequestInvalid("The adapter's settings can't be read.", violations=faults)
    if kind is AdapterKind.SQL:
        return SqlSettings(url=texts["url"], statement=texts["statement"])
    if kind is AdapterKind.REST:
        method = texts["method"] or "GET"
        return RestSettings(
            url=texts["url"],
            method=method.upper(),
            headers=dict(tables["headers"]),
            body=dict(tables["body"]),
            mapping=dict(tables["mapping"]),
        )
    return ConnectorSettings()


def check_settings(settings: AdapterSettings, fields: Iterable[str]) -> list[Violation]:
    """Name everything that would keep these settings from answering for these fields."""
    if isinstance(settings, SqlSettings):
        return _check_sql(settings)
    if isinstance(settings, RestSettings):
        return _check_rest(settings, set(fields))
    return []


def _check_sql(settings: SqlSettings) -> list[Violation]:
    statement = settings.statement.strip()
    checks = {
        "url": (
            settings.url.startswith(("sqlite:////", "postgresql://")) and len(settings.url) <= _URL_MAX,
            "sqlite:////absolute/path or postgresql://...",
        ),
        "statement": (
            statement[:7].lower().startswith(("select ", "select\n", "with "))
            and len(statement) <= _STATEMENT_MAX
            and ";" not in statement
            and not _WRITES.search(statement)
            and re.search(rf"{PARAMETER}\b", statement) is not None,
            f"One SELECT that names {PARAMETER}, without a semicolon and without a word that writes.",
        ),
    }
    return [Violation(_path(name), words) for name, (holds, words) in checks.items() if not holds]


def _check_rest(settings: RestSettings, fields: set[str]) -> list[Violation]:
    placed = PLACE in settings.url or any(PLACE in value for value in settings.body.values())
    checks = {
        "url": (
            settings.url.startswith(("http://", "https://"))
            and len(settings.url) <= _URL_MAX
            and "@" not in settings.url,
            "http:// or https://, without credentials.",
        ),
        "method": (settings.method in {"GET", "POST"}, "GET or POST."),
        "body": (
            placed and (settings.method == "POST" or not settings.body),
            f"{PLACE} in the url, or in the body of a POST.",
        ),
        "headers": (
            len(settings.headers) <= _HEADERS_MAX
            and all(_HEADER.fullmatch(name) and value.isprintable() for name, value in settings.headers.items()),
            f"At most {_HEADERS_MAX} headers of printable text.",
        ),
        "mapping": (
            bool(fields)
            and fields <= set(settings.mapping) <= fields | {"subject_key"}
            and all(settings.mapping.values()),
            "One path for every field of the resource (and for subject_key, where the answer tells it), and no others.",
        ),
    }
    return [Violation(_path(name), words) for name, (holds, words) in checks.items() if not holds]


def _path(name: str) -> str:
    return f"resource.adapter_settings.{name}"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())
