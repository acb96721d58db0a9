# SPDX-License-Identifier: Apache-2.0
"""Core metadata of a catalogue entry, and what was measured of it (catalogue guide of 2017; Order 809, chapter 3)."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.kit.errors import RequestInvalid, Violation

CODE = re.compile(r"[1-3][0-9]{5,19}/[0-9]{1,12}")
"""Classification (类 1 digit, 项 2, 目 3, 细目 the rest), a slash, a running number; e.g. 307001/000001."""
RELATED_MAX = 50
SAMPLE_MAX = 10**12
_NAME_MAX, _DETAIL_MAX, _ABSTRACT_ZH_MAX, _ABSTRACT_EN_MAX, _CONDITION_MAX = 200, 100, 2_000, 4_000, 500


class UpdateCycle(StrEnum):
    """How often a resource is brought up to date."""

    REAL_TIME = "real_time"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"
    IRREGULAR = "irregular"


class Opening(StrEnum):
    """Whether a resource is opened to the public; apart from sharing."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    CLOSED = "closed"


class SharingMethod(StrEnum):
    """How a resource is shared."""

    INTERFACE = "interface"
    BATCH = "batch"
    FILE = "file"


class ResourceFormat(StrEnum):
    """In what form the provider keeps it."""

    DOCUMENT = "document"
    SPREADSHEET = "spreadsheet"
    DATABASE = "database"
    IMAGE = "image"
    STREAM = "stream"
    OTHER = "other"


class DataType(StrEnum):
    """Type of an information item."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    TIME = "time"
    BOOLEAN = "boolean"
    MEMO = "memo"
    GENERAL = "general"
    DOUBLE = "double"
    INTEGER = "integer"
    FLOAT = "float"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the catalogue says beyond name, provider, items and sharing class; None and empty: not stated."""

    provider_name: str = ""
    abstract_zh: str = ""
    abstract_en: str = ""
    format: ResourceFormat | None = None
    format_detail: str = ""
    sharing_methods: tuple[SharingMethod, ...] = ()
    opening: Opening | None = None
    opening_condition: str = ""
    update_cycle: UpdateCycle | None = None
    publish_date: date | None = None
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Classification:
    """The parts of a code's classification: 类, 项, 目, 细目."""

    category: str
    group: str
    section: str
    detail: str


@dataclass(frozen=True, slots=True)
class QualityMeasure:
    """Shares from 0 to 1 that somebody found on a day, among `sample` records."""

    measure_date: date
    completeness: float
    timeliness: float
    accuracy: float
    sample: int
    measured_by: str


@dataclass(frozen=True, slots=True)
class QualityRecorded:
    """Somebody measured how good a resource is."""

    resource: str
    measure_date: date


def classification_of(code: str) -> Classification:
    """Take a code's classification apart."""
    digits = code.partition("/")[0]
    return Classification(digits[:1], digits[1:3], digits[3:6], digits[6:])


def metadata_faults(given: Metadata, *, code: str) -> list[Violation]:
    """Name everything that a catalogue entry may not say."""
    checks = {
        "provider_name": (len(given.provider_name) <= _NAME_MAX, f"At most {_NAME_MAX} characters."),
        "abstract_zh": (len(given.abstract_zh) <= _ABSTRACT_ZH_MAX, f"At most {_ABSTRACT_ZH_MAX} characters."),
        "abstract_en": (len(given.abstract_en) <= _ABSTRACT_EN_MAX, f"At most {_ABSTRACT_EN_MAX} characters."),
        "format_detail": (len(given.format_detail) <= _DETAIL_MAX, f"At most {_DETAIL_MAX} characters."),
        "sharing_methods": (len(set(given.sharing_methods)) == len(given.sharing_methods), "Each once."),
        "opening_condition": (
            len(given.opening_condition) <= _CONDITION_MAX
            and (given.opening is not Opening.CONDITIONAL or bool(given.opening_condition.strip())),
            f"Needed where the opening is conditional, at most {_CONDITION_MAX} characters.",
        ),
        "related": (
            len(given.related) <= RELATED_MAX
            and len(set(given.related)) == len(given.related)
            and code not in given.related
            and all(CODE.fullmatch(each) for each in given.related),
            f"At most {RELATED_MAX} codes of other resources, each once.",
        ),
    }
    return [Violation(f"resource.metadata.{name}", words) for name, (holds, words) in checks.items() if not holds]


def check_quality(measure: QualityMeasure, *, today: date) -> None:
    """Refuse what nobody can have measured."""
    shares = {name: getattr(measure, name) for name in ("completeness", "timeliness", "accuracy")}
    faults = [Violation(name, "A share from 0 to 1.") for name, share in shares.items() if not 0 <= share <= 1]
    if not 1 <= measure.sample <= SAMPLE_MAX:
        faults.append(Violation("sample", "At least one record."))
    if measure.measure_date > today:
        faults.append(Violation("measure_date", "A day that has come."))
    if faults:
        raise RequestInvalid("This can't have been measured.", violations=faults)
