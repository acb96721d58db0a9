# SPDX-License-Identifier: Apache-2.0
"""Steps by which one value is made coarser. A value that a step can't read becomes null: it is never published as it is."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise

from services.exchange.domain.answer import Scalar

EVERYTHING = "*"
_REGION = re.compile(r"[0-9]{6,12}")
_REGION_DIGITS = (2, 4, 6)  # GB/T 2260: province, city, county
_WIDTH_MAX = 1_000_000


class StepKind(StrEnum):
    """What a step does."""

    KEEP = "keep"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    DECADE = "decade"
    REGION = "region"
    BAND = "band"
    EVERYTHING = "everything"


_DATES = (StepKind.MONTH, StepKind.QUARTER, StepKind.YEAR, StepKind.DECADE)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `digits`: of a region code that stay; `width`, `floor`, `ceiling`: of a band of numbers."""

    kind: StepKind
    digits: int = 0
    width: int = 0
    floor: int | None = None
    ceiling: int | None = None

    def plain(self) -> dict[str, object]:
        """As stored, and as told with a release."""
        told: dict[str, object] = {"kind": self.kind.value}
        given = {
            "digits": self.digits or None,
            "width": self.width or None,
            "floor": self.floor,
            "ceiling": self.ceiling,
        }
        return told | {name: value for name, value in given.items() if value is not None}

    def of(self, value: Scalar) -> Scalar:
        """Make a value coarser; null where it can't be read."""
        if self.kind is StepKind.EVERYTHING:
            return EVERYTHING
        if value is None or value == "":
            return None
        if self.kind is StepKind.KEEP:
            return _kept(value)
        if self.kind is StepKind.REGION:
            return _region(value, self.digits)
        if self.kind is StepKind.BAND:
            return _band(value, self)
        return _period(value, self.kind)


def fault_of(steps: Sequence[Step]) -> str:
    """Say what is wrong with the steps of one column, from fine to coarse; "" where nothing is."""
    for step in steps:
        if step.kind is StepKind.REGION and step.digits not in _REGION_DIGITS:
            return "A region keeps 2, 4 or 6 digits."
        if step.kind is StepKind.BAND and not (1 <= step.width <= _WIDTH_MAX and _ends(step)):
            return f"A band is 1 to {_WIDTH_MAX} wide, its floor below its ceiling."
    for finer, coarser in pairwise(steps):
        if not _coarser(finer, coarser):
            return "Each step is coarser than the one before, of the same kind; everything comes last, keep first."
    return ""


def _ends(step: Step) -> bool:
    return step.floor is None or step.ceiling is None or step.floor < step.ceiling


def _coarser(finer: Step, coarser: Step) -> bool:
    if finer.kind is StepKind.EVERYTHING or coarser.kind is StepKind.KEEP:
        return False
    if coarser.kind is StepKind.EVERYTHING or finer.kind is StepKind.KEEP:
        return True
    if finer.kind in _DATES:
        return coarser.kind in _DATES and _DATES.index(finer.kind) < _DATES.index(coarser.kind)
    if finer.kind is not coarser.kind:
        return False
    if finer.kind is StepKind.REGION:
        return finer.digits > coarser.digits
    # Bands of a multiple of the width, with the same ends: every finer band lies within one coarser.
    same = (finer.floor, finer.ceiling) == (coarser.floor, coarser.ceiling)
    return same and finer.width < coarser.width and coarser.width % finer.width == 0


def _kept(value: Scalar) -> Scalar:
    """Bring equal values into one form: what a stranger can tell apart, `1` and `true`, must not count as the same."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else value
    return value.strip() or None if isinstance(value, str) else value


def _region(value: Scalar, digits: int) -> str | None:
    text = str(value).strip()
    if isinstance(value, bool | float) or not _REGION.fullmatch(text):
        return None
    return text[:digits].ljust(6, "0")


def _period(value: Scalar, kind: StepKind) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        day = date.fromisoformat(value.strip()[:10])
    except ValueError:
        return None
    if kind is StepKind.YEAR:
        return f"{day.year:04d}"
    if kind is StepKind.DECADE:
        return f"{day.year // 10:03d}0s"
    return f"{day.year:04d}-{day.month:02d}" if kind is StepKind.MONTH else f"{day.year:04d}-Q{(day.month + 2) // 3}"


def _band(value: Scalar, step: Step) -> str | None:
    number = number_of(value)
    if number is None:
        return None
    if step.floor is not None and number < step.floor:
        return f"<{step.floor}"
    if step.ceiling is not None and number >= step.ceiling:
        return f"{step.ceiling}+"
    low = math.floor(number / step.width) * step.width
    high = low + step.width - 1
    low = low if step.floor is None else max(low, step.floor)
    high = high if step.ceiling is None else min(high, step.ceiling - 1)
    return f"{low}..{high}"


def number_of(value: Scalar) -> float | None:
    """Read a number, of digits too; None where it is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e15 else None  # noqa: PLR2004 - beyond it floats have gaps
