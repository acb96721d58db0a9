# SPDX-License-Identifier: Apache-2.0
"""Between the contract's messages and the exchange's words."""

from collections.abc import Mapping
from datetime import UTC, datetime

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.domain.resource import Resource, SharingClass
from services.exchange.domain.settings import AdapterKind, read_settings, tell_settings
from services.exchange.rpc.enums import Enum
from services.exchange.rpc.metadata import classification_to, field_from, field_to, metadata_from, metadata_to
from services.kit.errors import RequestInvalid, Violation

CLASSES = Enum(nouns.SharingClass, SharingClass, "SHARING_CLASS")
_KINDS = Enum(nouns.AdapterKind, AdapterKind, "ADAPTER_KIND")


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


def resource_from(wire: nouns.Resource, *, reached: bool = True) -> Resource:
    """Read a resource; the domain checks what it says. `reached` False: how it is reached is not taken."""
    kind = _KINDS.read(wire.adapter, "resource.adapter") if reached else AdapterKind.CONNECTOR
    return Resource(
        code=wire.code,
        name_zh=wire.name_zh,
        name_en=wire.name_en,
        provider=wire.provider,
        sharing_class=CLASSES.read(wire.sharing_class, "resource.sharing_class"),
        sharing_reason=wire.sharing_reason,
        fields=tuple(field_from(each, f"resource.fields[{index}]") for index, each in enumerate(wire.fields)),
        adapter=kind,
        settings=read_settings(kind, MessageToDict(wire.adapter_settings) if reached else {}),
        timeout_ms=wire.timeout_ms,
        region=wire.region,
        metadata=metadata_from(wire.metadata),
        retired=wire.retired,
    )


def resource_to(resource: Resource, *, settings: bool) -> nouns.Resource:
    """Write a resource; its adapter's settings only where they may be told, their secrets never."""
    wire = nouns.Resource(
        code=resource.code,
        name_zh=resource.name_zh,
        name_en=resource.name_en,
        provider=resource.provider,
        sharing_class=CLASSES.write(resource.sharing_class),
        sharing_reason=resource.sharing_reason,
        fields=[field_to(each) for each in resource.fields],
        adapter=_KINDS.write(resource.adapter),
        timeout_ms=resource.timeout_ms,
        region=resource.region,
        metadata=metadata_to(resource.metadata),
        retired=resource.retired,
        revision=resource.revision,
        classification=classification_to(resource.code),
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
