# SPDX-License-Identifier: Apache-2.0
"""One read-only statement on the provider's database."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from services.exchange.domain.settings.loose import URL_MAX, Checks

PARAMETER = ":subject_key"
_SCHEMES = ("sqlite:////", "postgresql://", "mysql://", "mariadb://")
# The session can't write either; these words are refused so that nobody finds out only when a resident asks. The last
# ones make a SELECT of MySQL touch the server's files or wait on its locks.
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|attach|detach|pragma|vacuum|copy|call|do|set"
    r"|into|load_file|get_lock)\b",
    re.IGNORECASE,
)
_STATEMENT_MAX = 10_000
_MYSQL_OPTIONS = {"unix_socket", "ssl"}  # Not local_infile, by which a server may ask its client for files.


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """One read-only statement on the provider's database, with `:subject_key` as its parameter."""

    TEXTS: ClassVar[frozenset[str]] = frozenset({"url", "statement"})
    TABLES: ClassVar[frozenset[str]] = frozenset()

    url: str = field(repr=False)
    statement: str

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read what has the right shape."""
        return cls(url=given.get("url", ""), statement=given.get("statement", ""))

    def plain(self) -> dict[str, Any]:
        """As stored and as told to operators."""
        return {"url": self.url, "statement": self.statement}

    def checks(self, _fields: set[str]) -> Checks:
        """Say of each setting whether it holds."""
        statement = self.statement.strip()
        return {
            "url": (
                self.url.startswith(_SCHEMES) and len(self.url) <= URL_MAX and _has_known_options(self.url),
                "sqlite:////absolute/path, postgresql://..., mysql://... or mariadb://..., the last two with unix_socket or ssl at most.",
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


def _has_known_options(url: str) -> bool:
    if not url.startswith(("mysql:", "mariadb:")):
        return True
    return {name for name, _ in parse_qsl(urlsplit(url).query)} <= _MYSQL_OPTIONS
