# SPDX-License-Identifier: Apache-2.0
"""Where the records of a data set come from: a read-only statement on the provider's database, or a file that it drops."""

import re
from dataclasses import dataclass, field

from services.kit.errors import Violation

_URLS = ("sqlite:////", "postgresql://", "mysql://", "mariadb://")
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|attach|detach|pragma|vacuum|copy|call|do|set|into)\b",
    re.IGNORECASE,
)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(csv|parquet)")
_URL_MAX, _STATEMENT_MAX = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class SqlSource:
    """All rows of one SELECT."""

    url: str = field(repr=False)
    statement: str


@dataclass(frozen=True, slots=True)
class FileSource:
    """All rows of a file in the drop folder of the resource, CSV (UTF-8, names in the first line) or Parquet."""

    file: str


Source = SqlSource | FileSource


def faults_of_source(source: Source) -> list[Violation]:
    """Name everything that would keep a source from being read, or would let it write."""
    if isinstance(source, FileSource):
        fits = bool(_FILE.fullmatch(source.file))
        return [] if fits else [Violation("dataset.source.file", "A plain name that ends with .csv or .parquet.")]
    statement = source.statement.strip()
    checks = {
        "url": (source.url.startswith(_URLS) and len(source.url) <= _URL_MAX, f"One of {', '.join(_URLS)}..."),
        "statement": (
            statement[:7].lower().startswith(("select ", "select\n", "with "))
            and len(statement) <= _STATEMENT_MAX
            and ";" not in statement
            and not _WRITES.search(statement),
            "One SELECT, without a semicolon and without a word that writes.",
        ),
    }
    return [Violation(f"dataset.source.{name}", words) for name, (holds, words) in checks.items() if not holds]
