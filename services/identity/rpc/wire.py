# SPDX-License-Identifier: Apache-2.0
"""Between wire messages and domain objects."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from tongban.identity.v1 import identity_pb2
from tongban.ledger.v1 import ledger_pb2

from services.identity.domain.agency import Agency
from services.identity.domain.comparison import MatchResult
from services.identity.domain.numbers import NumberKind
from services.identity.domain.organization import Organization
from services.identity.domain.person import PERSONAL_FIELDS, Person, PersonState, attributes
from services.identity.domain.persona import Persona, Role, persona_of
from services.identity.service.ports import Receipt

KINDS: dict[int, NumberKind] = {
    identity_pb2.NUMBER_KIND_CITIZEN: NumberKind.CITIZEN,
    identity_pb2.NUMBER_KIND_RESIDENCE_PERMIT: NumberKind.RESIDENCE_PERMIT,
    identity_pb2.NUMBER_KIND_PERMANENT_RESIDENT: NumberKind.PERMANENT_RESIDENT,
}
_WIRE_KINDS = {
    NumberKind.CITIZEN: identity_pb2.NUMBER_KIND_CITIZEN,
    NumberKind.RESIDENCE_PERMIT: identity_pb2.NUMBER_KIND_RESIDENCE_PERMIT,
    NumberKind.PERMANENT_RESIDENT: identity_pb2.NUMBER_KIND_PERMANENT_RESIDENT,
}
_STATES = {
    PersonState.ACTIVE: identity_pb2.PERSON_STATE_ACTIVE,
    PersonState.DECEASED: identity_pb2.PERSON_STATE_DECEASED,
}
RESULTS = {
    MatchResult.MATCH: identity_pb2.MATCH_RESULT_MATCH,
    MatchResult.NO_MATCH: identity_pb2.MATCH_RESULT_NO_MATCH,
    MatchResult.NOT_FOUND: identity_pb2.MATCH_RESULT_NOT_FOUND,
}


def timestamp(moment: datetime) -> Timestamp:
    """The moment as the wire has it."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def person_to_wire(person: Person) -> identity_pb2.Person:
    """Without any attribute that tells who it is."""
    return identity_pb2.Person(
        subject_id=person.subject_id,
        state=_STATES[person.state],
        region=person.region,
        create_time=timestamp(person.create_time),
    )


def attributes_to_wire(person: Person, fields: Sequence[str] = PERSONAL_FIELDS) -> identity_pb2.PersonAttributes:
    """What the record holds in clear, of these fields."""
    shown = {name: str(value or "") for name, value in attributes(person).items() if name in fields}
    kind = _WIRE_KINDS[person.number.kind] if "number" in fields else identity_pb2.NUMBER_KIND_UNSPECIFIED
    return identity_pb2.PersonAttributes(subject_id=person.subject_id, number_kind=kind, **shown)


def organization_to_wire(organization: Organization) -> identity_pb2.Organization:
    """The organization."""
    wire = identity_pb2.Organization(subject_id=organization.subject_id, uscc=organization.uscc, name=organization.name)
    if organization.deregister_time is not None:
        wire.deregister_time.FromDatetime(organization.deregister_time)
    return wire


def agency_to_wire(agency: Agency) -> identity_pb2.Agency:
    """The agency."""
    return identity_pb2.Agency(
        uscc=agency.uscc,
        name_zh=agency.name_zh,
        name_en=agency.name_en,
        rights=agency.rights,
        active=agency.active,
        version=agency.version,
    )


def persona_to_wire(persona: Persona) -> identity_pb2.Persona:
    """The persona."""
    return identity_pb2.Persona(
        key=persona.key,
        role=persona.role.value,
        subject_id=persona.subject_id,
        agency=persona.agency,
        rights=persona.rights,
        title_zh=persona.title_zh,
        title_en=persona.title_en,
        samples_json=persona.samples_json,
    )


def persona_from_wire(persona: identity_pb2.Persona) -> Persona:
    """The persona, checked: a message nested in a request can say anything."""
    unchecked = Persona(
        key=persona.key,
        role=Role.CITIZEN,
        subject_id=persona.subject_id,
        agency=persona.agency,
        rights=(),
        title_zh=persona.title_zh,
        title_en=persona.title_en,
        samples_json=persona.samples_json,
    )
    return persona_of(role=persona.role, rights=persona.rights, persona=unchecked)


def receipt_to_wire(receipt: Receipt) -> ledger_pb2.Receipt:
    """The leaf that stands for an answer."""
    return ledger_pb2.Receipt(
        log=receipt.log, index=receipt.index, leaf_hash=receipt.leaf_hash, blinding=receipt.blinding
    )
