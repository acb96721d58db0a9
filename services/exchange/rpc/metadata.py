# SPDX-License-Identifier: Apache-2.0
"""Core metadata between the contract's messages and the exchange's words."""

from datetime import date

from tongban.exchange.v1 import exchange_pb2, metadata_pb2

from services.exchange.domain.metadata import (
    DataType,
    Metadata,
    Opening,
    QualityMeasure,
    ResourceFormat,
    SharingMethod,
    UpdateCycle,
    classification_of,
)
from services.exchange.domain.resource import ResourceField, Sensitivity
from services.exchange.rpc.enums import Enum
from services.kit.errors import RequestInvalid, Violation

CYCLES = Enum(metadata_pb2.UpdateCycle, UpdateCycle, "UPDATE_CYCLE")
OPENINGS = Enum(metadata_pb2.Opening, Opening, "OPENING")
METHODS = Enum(metadata_pb2.SharingMethod, SharingMethod, "SHARING_METHOD")
FORMATS = Enum(metadata_pb2.ResourceFormat, ResourceFormat, "RESOURCE_FORMAT")
DATA_TYPES = Enum(metadata_pb2.DataType, DataType, "DATA_TYPE")
SENSITIVITIES = Enum(exchange_pb2.Sensitivity, Sensitivity, "SENSITIVITY")


def metadata_from(wire: metadata_pb2.CoreMetadata) -> Metadata:
    """Read core metadata; the domain checks what it says."""
    at = "resource.metadata"
    return Metadata(
        provider_name=wire.provider_name,
        abstract_zh=wire.abstract_zh,
        abstract_en=wire.abstract_en,
        format=FORMATS.read_any(wire.format, f"{at}.format"),
        format_detail=wire.format_detail,
        sharing_methods=tuple(METHODS.read(each, f"{at}.sharing_methods") for each in wire.sharing_methods),
        opening=OPENINGS.read_any(wire.opening, f"{at}.opening"),
        opening_condition=wire.opening_condition,
        update_cycle=CYCLES.read_any(wire.update_cycle, f"{at}.update_cycle"),
        publish_date=day_from(wire.publish_date, f"{at}.publish_date") if wire.publish_date else None,
        related=tuple(wire.related),
    )


def metadata_to(metadata: Metadata) -> metadata_pb2.CoreMetadata:
    """Write core metadata."""
    return metadata_pb2.CoreMetadata(
        provider_name=metadata.provider_name,
        abstract_zh=metadata.abstract_zh,
        abstract_en=metadata.abstract_en,
        format=FORMATS.write(metadata.format),
        format_detail=metadata.format_detail,
        sharing_methods=[METHODS.write(each) for each in metadata.sharing_methods],
        opening=OPENINGS.write(metadata.opening),
        opening_condition=metadata.opening_condition,
        update_cycle=CYCLES.write(metadata.update_cycle),
        publish_date=metadata.publish_date.isoformat() if metadata.publish_date else "",
        related=metadata.related,
    )


def field_from(wire: exchange_pb2.ResourceField, at: str) -> ResourceField:
    """Read an information item."""
    return ResourceField(
        name=wire.name,
        label_zh=wire.label_zh,
        label_en=wire.label_en,
        sensitivity=SENSITIVITIES.read(wire.sensitivity, f"{at}.sensitivity"),
        data_type=DATA_TYPES.read_any(wire.data_type, f"{at}.data_type"),
        length=wire.length,
        basis=wire.basis,
    )


def field_to(item: ResourceField) -> exchange_pb2.ResourceField:
    """Write an information item."""
    return exchange_pb2.ResourceField(
        name=item.name,
        label_zh=item.label_zh,
        label_en=item.label_en,
        sensitivity=SENSITIVITIES.write(item.sensitivity),
        data_type=DATA_TYPES.write(item.data_type),
        length=item.length,
        basis=item.basis,
    )


def classification_to(code: str) -> metadata_pb2.Classification:
    """Write the parts of a code's classification."""
    parts = classification_of(code)
    return metadata_pb2.Classification(
        category=parts.category, group=parts.group, section=parts.section, detail=parts.detail
    )


def quality_to(measure: QualityMeasure) -> metadata_pb2.QualityMeasure:
    """Write what was measured."""
    return metadata_pb2.QualityMeasure(
        measure_date=measure.measure_date.isoformat(),
        completeness=measure.completeness,
        timeliness=measure.timeliness,
        accuracy=measure.accuracy,
        sample=measure.sample,
        measured_by=measure.measured_by,
    )


def day_from(text: str, field: str) -> date:
    """Read a day. Raises RequestInvalid."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RequestInvalid("A day can't be read.", violations=[Violation(field, "YYYY-MM-DD.")]) from None
