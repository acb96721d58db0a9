# SPDX-License-Identifier: Apache-2.0
"""Parts of a file and files that the reader has already (RFC 9110, sections 13 and 14)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.exceptions import HTTPException

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_TAG = re.compile(r'(?:W/)?"[^"]*"|\*')


@dataclass(frozen=True, slots=True)
class Part:
    """Which bytes are answered; `whole` with status 200, else 206."""

    offset: int
    length: int
    whole: bool


def has_already(headers: Mapping[str, str], tag: str) -> bool:
    """Whether If-None-Match names the file (13.1.2): then the answer is 304."""
    return any(each.removeprefix("W/") in {tag, "*"} for each in _TAG.findall(headers.get("if-none-match", "")))


def part_of(headers: Mapping[str, str], size: int, tag: str) -> Part:
    """Read Range (14.2), if If-Range still holds (13.1.5). Several ranges, or another unit, are answered with the whole.

    Raises HTTPException 416 where no byte of the file is wanted.
    """
    whole = Part(0, size, whole=True)
    wanted = _RANGE.fullmatch(headers.get("range", "").strip())
    if wanted is None or wanted[0] == "bytes=-" or headers.get("if-range", tag) != tag:
        return whole
    first, last = wanted.groups()
    if not first:
        offset, end = max(0, size - int(last)), size
        satisfied = int(last) > 0 and size > 0
    else:
        offset, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return whole  # Not a range at all (14.1.1).
        satisfied = offset < size
    if not satisfied:
        raise HTTPException(416, headers={"content-range": f"bytes */{size}"})
    return Part(offset, end - offset, whole=False)
