# SPDX-License-Identifier: Apache-2.0
"""Between rows and domain objects."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final

from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.domain.metadata import DataType, Metadata, Opening, ResourceFormat, SharingMethod, UpdateCycle
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.settings import AdapterKind, AdapterSettings, read_settings
from services.exchange.domain.version import NOBODY, By
from services.exchange.domain.words import INDEX_VERSION
from services.kit.crypto import Keyring

Row = Mapping[Any, Any]

_METADATA_KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "format": ResourceFormat,
    "sharing_methods": lambda names: tuple(map(SharingMethod, names)),
    "opening": Opening,
    "update_cycle": UpdateCycle,
    "publish_date": date.fromisoformat,
    "related": tuple,
}

_ITEM: Final = tuple(each.name for each in fields(ResourceField))
_METADATA: Final = tuple(each.name for each in fields(Metadata))


def resource_from(row: Row, keyring: Keyring) -> Resource:
    """Read a resource, its settings opened."""
    kind = AdapterKind(row["adapter"])
    settings = json.loads(keyring.open_sealed(row["settings"], _settings_context(row["code"])))
    return described_from(row, read_settings(kind, settings))


def described_from(row: Row, settings: AdapterSettings) -> Resource:
    """Read what the catalogue says of a resource, now or in an earlier version."""
    return Resource(
        code=row["code"],
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        provider=row["provider"],
        sharing_class=SharingClass(row["sharing_class"]),
        sharing_reason=row["sharing_reason"],
        fields=tuple(_field_from(each) for each in row["fields"]),
        adapter=AdapterKind(row["adapter"]),
        settings=settings,
        timeout_ms=row["timeout_ms"],
        region=row["region"],
        revision=row["revision"],
        metadata=_metadata_from(row["metadata"]),
        retired=row["retired"],
    )


def resource_row(resource: Resource, keyring: Keyring, now: datetime, by: By = NOBODY) -> dict[str, Any]:
    """Write a resource, its settings sealed."""
    settings = json.dumps(resource.settings.plain(), ensure_ascii=False).encode()
    return {
        **described_row(resource),
        "settings": keyring.seal(settings, _settings_context(resource.code)),
        "update_time": now,
        "changed_by": by.label,
        "change_id": by.change_id,
        "index_version": INDEX_VERSION,
    }


def described_row(resource: Resource) -> dict[str, Any]:
    """Write what the catalogue says of a resource; what is not stated takes no room."""
    return {
        "code": resource.code,
        "name_zh": resource.name_zh,
        "name_en": resource.name_en,
        "provider": resource.provider,
        "sharing_class": resource.sharing_class.value,
        "sharing_reason": resource.sharing_reason,
        "fields": [_stated(each, _ITEM) for each in resource.fields],
        "adapter": resource.adapter.value,
        "timeout_ms": resource.timeout_ms,
        "region": resource.region,
        "revision": resource.revision,
        "metadata": _stated(resource.metadata, _METADATA),
        "retired": resource.retired,
    }


def _stated(entry: ResourceField | Metadata, names: Sequence[str]) -> dict[str, Any]:
    stated = {name: value for name in names if (value := getattr(entry, name))}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in stated.items()}


def _field_from(stored: Mapping[str, Any]) -> ResourceField:
    return ResourceField(
        stored["name"],
        stored["label_zh"],
        stored["label_en"],
        Sensitivity(stored["sensitivity"]),
        DataType(stored["data_type"]) if "data_type" in stored else None,
        stored.get("length", 0),
        stored.get("basis", ""),
    )


def _metadata_from(stored: Mapping[str, Any]) -> Metadata:
    read: dict[str, Any] = dict(stored)
    for name, kind in _METADATA_KINDS.items():
        if name in read:
            read[name] = kind(read[name])
    return Metadata(**read)


def answer_sealed(answer: KeptAnswer, keyring: Keyring) -> bytes:
    """Seal everything about an answer but its id."""
    content = {
        "case_id": answer.case_id,
        "subject_id": answer.subject_id,
        "agency": answer.agency,
        "resource": answer.resource,
        "purpose": answer.purpose,
        "basis": answer.basis,
        "values": answer.values,
        "grant_id": answer.grant_id,
    }
    return keyring.seal(json.dumps(content, ensure_ascii=False).encode(), _answer_context(answer.answer_id))


def answer_from(row: Row, keyring: Keyring) -> KeptAnswer:
    """Open an answer."""
    content = json.loads(keyring.open_sealed(row["sealed"], _answer_context(row["answer_id"])))
    return KeptAnswer(answer_id=row["answer_id"], **content)


def _settings_context(code: str) -> str:
    return f"exchange.resource.settings:{code}"


def _answer_context(answer_id: str) -> str:
    return f"exchange.answer:{answer_id}"
