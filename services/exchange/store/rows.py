# SPDX-License-Identifier: Apache-2.0
"""Between rows and domain objects."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.settings import AdapterKind, read_settings
from services.kit.crypto import Keyring

Row = Mapping[Any, Any]


def resource_from(row: Row, keyring: Keyring) -> Resource:
    """Read a resource, its settings opened."""
    kind = AdapterKind(row["adapter"])
    settings = json.loads(keyring.open_sealed(row["settings"], _settings_context(row["code"])))
    return Resource(
        code=row["code"],
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        provider=row["provider"],
        sharing_class=SharingClass(row["sharing_class"]),
        sharing_reason=row["sharing_reason"],
        fields=tuple(
            ResourceField(each["name"], each["label_zh"], each["label_en"], Sensitivity(each["sensitivity"]))
            for each in row["fields"]
        ),
        adapter=kind,
        settings=read_settings(kind, settings),
        timeout_ms=row["timeout_ms"],
        region=row["region"],
        revision=row["revision"],
    )


def resource_row(resource: Resource, keyring: Keyring, now: datetime) -> dict[str, Any]:
    """Write a resource, its settings sealed."""
    settings = json.dumps(resource.settings.plain(), ensure_ascii=False).encode()
    return {
        "code": resource.code,
        "name_zh": resource.name_zh,
        "name_en": resource.name_en,
        "provider": resource.provider,
        "sharing_class": resource.sharing_class.value,
        "sharing_reason": resource.sharing_reason,
        "fields": [
            {
                "name": each.name,
                "label_zh": each.label_zh,
                "label_en": each.label_en,
                "sensitivity": each.sensitivity.value,
            }
            for each in resource.fields
        ],
        "adapter": resource.adapter.value,
        "settings": keyring.seal(settings, _settings_context(resource.code)),
        "timeout_ms": resource.timeout_ms,
        "region": resource.region,
        "revision": resource.revision,
        "update_time": now,
    }


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
