# SPDX-License-Identifier: Apache-2.0
"""Words that people read are there in both languages, and every legal basis names its law."""

import re
from collections.abc import Iterator
from dataclasses import is_dataclass

from pydantic import BaseModel

from services.gateway.domain.definition import Matter
from services.gateway.domain.problems import Problem, ProblemCode
from services.kit.text import Text

_HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN = re.compile(r"[A-Za-z]")
_NAMED = re.compile(r"\bart\.\s*\d+|第[一二三四五六七八九十百零〇\d]+条|《[^》]+》|〔\d{4}〕|\bOrder \d+|\bGB/?T? ?\d+")
"""An article, a titled law, the number of a document, or a standard."""


def wording_problems(matter: Matter) -> Iterator[Problem]:
    """Walk the definition; every part is named by its id, name or value rather than its number."""
    for where, value in _walk("", matter):
        if isinstance(value, Text):
            if not _HAN.search(value.zh) or not _LATIN.search(value.en) or _HAN.search(value.en):
                yield Problem(ProblemCode.TEXT_UNTRANSLATED, where, "The words are not there in both languages.")
        elif where.endswith("basis") and isinstance(value, str) and not _NAMED.search(value):
            yield Problem(ProblemCode.BASIS_UNNAMED, where, "It names no law, article or document.")


def _walk(where: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _walk(f"{where}.{name}".lstrip("."), getattr(value, name))
    elif isinstance(value, tuple):
        for index, one in enumerate(value):
            name = next((str(getattr(one, key)) for key in ("id", "name", "value") if hasattr(one, key)), str(index))
            yield from _walk(f"{where}.{name}", one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _walk(f"{where}.{name}", one)
    elif is_dataclass(value) or isinstance(value, str):
        yield where, value
