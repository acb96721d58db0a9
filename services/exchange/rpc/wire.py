# SPDX-License-Identifier: Apache-2.0
"""Between the contract's messages and the exchange's words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.domain.resource import Resource, ResourceField, Sensitivity, SharingClass
from services.exchange.domain.settings import AdapterKind, read_settings, tell_settings
from services.kit.errors import RequestInvalid, Violation

T = TypeVar("T")

_CLASSES: Mapping[int, SharingClass] = {
    nouns.SHARING_CLASS_UNCONDITIONAL: SharingClass.UNCONDITIONAL,
    nouns.SHARING_CLASS_CONDITIONAL: SharingClass.CONDITIONAL,
    nouns.SHARING_CLASS_REFUSED: SharingClass.REFUSED,
}
_SENSITIVITIES: Mapping[int, Sensitivity] = {
    nouns.SENSITIVITY_GENERAL: Sensitivity.GENERAL,
    nouns.SENSITIVITY_PERSONAL: Sensitivity.PERSONAL,
    nouns.SENSITIVITY_SENSITIVE: Sensitivity.SENSITIVE,
}
_KINDS: Mapping[int, AdapterKind] = {
    nouns.ADAPTER_KIND_SQL: AdapterKind.SQL,
    nouns.ADAPTER_KIND_REST: AdapterKind.REST,
    nouns.ADAPTER_KIND_CONNECTOR: AdapterKind.CONNECTOR,
}


def subject_from(wire: pb.Subject) -> Subject:
    """Read whom it is about; the contract guarantees that one key is set."""
    if wire.subject_id:
        return Subject(SubjectKind.SUBJECT_ID, wire.subject_id)
    if wire.number:
        return Subject(SubjectKind.NUMBER, wire.number)
    return Subject(SubjectKind.USCC, wire.uscc)


def values_to(values: Mapping[str, Scalar]) -> Struct:
    """Write an answer."""
    wire = Struct()
    wire.update(values)
    return wire


def resource_from(wire: nouns.Resource) -> Resource:
    """Read a resource; the domain checks what it says."""
    kind = _known(_KINDS, wire.adapter, "resource.adapter")
    return Resource(
        code=wire.code,
        name_zh=wire.name_zh,
        name_en=wire.name_en,
        provider=wire.provider,
        sharing_class=_known(_CLASSES, wire.sharing_class, "resource.sharing_class"),
        sharing_reason=wire.sharing_reason,
        fields=tuple(
            ResourceField(
                each.name,
                each.label_zh,
                each.label_en,
                _known(_SENSITIVITIES, each.sensitivity, f"resource.fields[{index}].sensitivity"),
            )
            for index, each in enumerate(wire.fields)
        ),
        adapter=kind,
        settings=read_settings(kind, MessageToDict(wire.adapter_settings)),
        timeout_ms=wire.timeout_ms,
        region=wire.region,
    )


def resource_to(resource: Resource, *, settings: bool) -> nouns.Resource:
    """Write a resource; its adapter's settings only where they may be told, their secrets never."""
    wire = nouns.Resource(
        code=resource.code,
        name_zh=resource.name_zh,
        name_en=resource.name_en,
        provider=resource.provider,
        sharing_class=_code(_CLASSES, resource.sharing_class),  # type: ignore[arg-type] # an int of that enum
        sharing_reason=resource.sharing_reason,
        fields=[
            nouns.ResourceField(
                name=each.name,
                label_zh=each.label_zh,
                label_en=each.label_en,
                sensitivity=_code(_SENSITIVITIES, each.sensitivity),  # type: ignore[arg-type] # an int of that enum
            )
            for each in resource.fields
        ],
        adapter=_code(_KINDS, resource.adapter),  # type: ignore[arg-type] # an int of that enum
        timeout_ms=resource.timeout_ms,
        region=resource.region,
    )
    if settings:
        wire.adapter_settings.update(tell_settings(resource.settings))
    return wire


def moment_from(wire: Timestamp, field: str) -> datetime:
    """Read a moment; one beyond the years 1 to 9999 is refused."""
    try:
        return wire.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise RequestInvalid(
            "A moment can't be read.", violations=[Violation(field, "A moment of the years 1 to 9999.")]
        ) from None


def _known(words: Mapping[int, T], code: int, field: str) -> T:
    word = words.get(code)
    if word is None:
        raise RequestInvalid("A value is missing or unknown.", violations=[Violation(field, "One of the contract's.")])
    return word


def _code(words: Mapping[int, T], word: T) -> int:
    return next(code for code, known in words.items() if known is word)
