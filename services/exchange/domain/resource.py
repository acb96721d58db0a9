# SPDX-License-Identifier: Apache-2.0
"""A data resource of the catalogue (catalogue guide of 2017; Order 809, chapter 3)."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from services.exchange.domain.metadata import CODE, DataType, Metadata, metadata_faults
from services.exchange.domain.refusals import RegionNotServed
from services.exchange.domain.settings import AdapterKind, AdapterSettings, check_settings
from services.kit.errors import RequestInvalid, Violation

FIELDS_MAX = 100
TIMEOUT_MS_MIN, TIMEOUT_MS_MAX = 50, 30_000
_LENGTH_MAX, _BASIS_MAX, _LABEL_MAX = 1_000_000, 200, 100
SUBJECT_KEY = "subject_key"  # Reserved: a provider may echo in it whom the record is about.

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
USCC = re.compile(r"[0-9A-HJ-NP-RT-UW-Y]{18}")
REGION = re.compile(r"[0-9]{6}")


class SharingClass(StrEnum):
    """Sharing attribute of a resource."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    REFUSED = "refused"


class Sensitivity(StrEnum):
    """How much a field tells about a person."""

    GENERAL = "general"
    PERSONAL = "personal"
    SENSITIVE = "sensitive"


@dataclass(frozen=True, slots=True)
class ResourceField:
    """One field that a query can give; `basis`: on which law the provider holds it. None, 0 and empty: not stated."""

    name: str
    label_zh: str
    label_en: str
    sensitivity: Sensitivity
    data_type: DataType | None = None
    length: int = 0
    basis: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """What a provider shares, and how it is reached. `revision` grows with each change."""

    code: str
    name_zh: str
    name_en: str
    provider: str
    sharing_class: SharingClass
    sharing_reason: str
    fields: tuple[ResourceField, ...]
    adapter: AdapterKind
    settings: AdapterSettings = field(repr=False)
    timeout_ms: int
    region: str
    revision: int = 0
    metadata: Metadata = field(default_factory=Metadata)
    retired: bool = False

    @property
    def field_names(self) -> frozenset[str]:
        """Names of all fields."""
        return frozenset(each.name for each in self.fields)


@dataclass(frozen=True, slots=True)
class ResourceChanged:
    """A resource was created or replaced."""

    resource: str


def check_resource(resource: Resource, *, region: str) -> None:
    """Refuse a resource that could not be asked or should not stand in the catalogue; every fault is named at once."""
    faults = [*_faults(resource), *check_settings(resource.settings, resource.field_names)]
    if faults:
        raise RequestInvalid("The resource can't be stored as given.", violations=faults)
    if resource.region != region:
        raise RegionNotServed(
            f"This node serves region {region}, not {resource.region}.",
            remedy="Store the resource at the node of its own region.",
        )


def _faults(resource: Resource) -> list[Violation]:
    checks = {
        "resource.code": (
            bool(CODE.fullmatch(resource.code)),
            "A classification of at least six digits, a slash and a running number, e.g. 307001/000001.",
        ),
        "resource.name_zh": (1 <= len(resource.name_zh) <= 200, "1 to 200 characters."),  # noqa: PLR2004 -- a bound
        "resource.name_en": (1 <= len(resource.name_en) <= 200, "1 to 200 characters."),  # noqa: PLR2004 -- a bound
        "resource.provider": (bool(USCC.fullmatch(resource.provider)), "A unified social credit code."),
        "resource.sharing_reason": (
            len(resource.sharing_reason) <= 500  # noqa: PLR2004 -- a bound
            and (resource.sharing_class is SharingClass.UNCONDITIONAL or bool(resource.sharing_reason.strip())),
            "A resource that is not shared unconditionally states its condition or reason, at most 500 characters.",
        ),
        "resource.timeout_ms": (
            TIMEOUT_MS_MIN <= resource.timeout_ms <= TIMEOUT_MS_MAX,
            f"{TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX} milliseconds.",
        ),
        "resource.region": (bool(REGION.fullmatch(resource.region)), "Six digits of GB/T 2260."),
        "resource.fields": (1 <= len(resource.fields) <= FIELDS_MAX, f"1 to {FIELDS_MAX} fields."),
    }
    faults = [Violation(name, words) for name, (holds, words) in checks.items() if not holds]
    return [*faults, *_field_faults(resource), *metadata_faults(resource.metadata, code=resource.code)]


def _field_faults(resource: Resource) -> list[Violation]:
    faults: list[Violation] = []
    seen: set[str] = set()
    for index, each in enumerate(resource.fields[:FIELDS_MAX]):
        if not _NAME.fullmatch(each.name) or each.name == SUBJECT_KEY:
            faults.append(Violation(f"resource.fields[{index}].name", f"Snake case, not {SUBJECT_KEY}."))
        if each.name in seen:
            faults.append(Violation(f"resource.fields[{index}].name", "Each name once."))
        if not (1 <= len(each.label_zh) <= _LABEL_MAX and 1 <= len(each.label_en) <= _LABEL_MAX):
            faults.append(Violation(f"resource.fields[{index}]", f"Both labels, at most {_LABEL_MAX} characters."))
        if not (0 <= each.length <= _LENGTH_MAX and len(each.basis) <= _BASIS_MAX):
            faults.append(
                Violation(
                    f"resource.fields[{index}]",
                    f"A length of at most {_LENGTH_MAX}, a basis of at most {_BASIS_MAX} characters.",
                )
            )
        seen.add(each.name)
    return faults
