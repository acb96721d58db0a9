# SPDX-License-Identifier: Apache-2.0
"""tongban.identity.v1.IdentityService."""

from typing import Any

from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import IdentityServiceServicer

from services.identity.domain.comparison import Claims
from services.identity.domain.organization import NewOrganization
from services.identity.domain.person import NewPerson
from services.identity.rpc.wire import (
    KINDS,
    RESULTS,
    attributes_to_wire,
    organization_to_wire,
    person_to_wire,
    receipt_to_wire,
)
from services.identity.service.organizations import DeregisterOrganization, OrganizationsService, RegisterOrganizations
from services.identity.service.persons import PersonsService, RegisterPersons, ResolvePerson
from services.identity.service.verification import VerificationService, VerifyPerson
from services.kit.caller import current_caller


class IdentityRpc(IdentityServiceServicer):
    """Persons and organizations."""

    def __init__(
        self, persons: PersonsService, verification: VerificationService, organizations: OrganizationsService
    ) -> None:
        self._persons = persons
        self._verification = verification
        self._organizations = organizations

    async def RegisterPersons(self, request: pb.RegisterPersonsRequest, _context: Any) -> pb.RegisterPersonsResponse:
        """Registers persons, all or none."""
        command = RegisterPersons(
            request_id=request.request_id,
            persons=tuple(_new_person(new) for new in request.persons),
            case_id=request.case_id,
        )
        persons = await self._persons.register(command, current_caller())
        return pb.RegisterPersonsResponse(persons=[person_to_wire(person) for person in persons])

    async def VerifyPerson(self, request: pb.VerifyPersonRequest, _context: Any) -> pb.VerifyPersonResponse:
        """Compares what is said about a person with the record."""
        query = VerifyPerson(
            claims=Claims(
                number_kind=KINDS.get(request.number_kind),
                number=request.number,
                subject_id=request.subject_id,
                name=request.name,
                birth_date=request.birth_date,
                phone=request.phone,
            ),
            purpose=request.purpose,
            basis=request.basis,
            case_id=request.case_id,
        )
        comparison, receipt = await self._verification.verify(query, current_caller())
        return pb.VerifyPersonResponse(
            result=RESULTS[comparison.result],
            fields=[pb.FieldMatch(field=name, result=RESULTS[result]) for name, result in comparison.fields.items()],
            subject_id=comparison.subject_id,
            receipt=receipt_to_wire(receipt),
        )

    async def GetOwnPerson(self, _request: pb.GetOwnPersonRequest, _context: Any) -> pb.GetOwnPersonResponse:
        """Reads the calling resident's own attributes."""
        person, receipt = await self._persons.own(current_caller())
        return pb.GetOwnPersonResponse(person=attributes_to_wire(person), receipt=receipt_to_wire(receipt))

    async def ResolvePerson(self, request: pb.ResolvePersonRequest, _context: Any) -> pb.ResolvePersonResponse:
        """Reads some of a person's attributes on a legal basis."""
        query = ResolvePerson(
            subject_id=request.subject_id,
            purpose=request.purpose,
            basis=request.basis,
            on_behalf_of=request.on_behalf_of,
            case_id=request.case_id,
            fields=tuple(request.fields),
        )
        person, receipt = await self._persons.resolve(query)
        wire = attributes_to_wire(person, query.fields)
        return pb.ResolvePersonResponse(person=wire, receipt=receipt_to_wire(receipt))

    async def RegisterOrganizations(
        self, request: pb.RegisterOrganizationsRequest, _context: Any
    ) -> pb.RegisterOrganizationsResponse:
        """Registers organizations, all or none."""
        command = RegisterOrganizations(
            request_id=request.request_id,
            organizations=tuple(NewOrganization(new.uscc, new.name) for new in request.organizations),
        )
        organizations = await self._organizations.register(command, current_caller())
        return pb.RegisterOrganizationsResponse(
            organizations=[organization_to_wire(organization) for organization in organizations]
        )

    async def DeregisterOrganization(
        self, request: pb.DeregisterOrganizationRequest, _context: Any
    ) -> pb.DeregisterOrganizationResponse:
        """Ends an organization."""
        command = DeregisterOrganization(request.request_id, request.uscc)
        organization = await self._organizations.deregister(command, current_caller())
        return pb.DeregisterOrganizationResponse(organization=organization_to_wire(organization))

    async def VerifyOrganization(
        self, request: pb.VerifyOrganizationRequest, _context: Any
    ) -> pb.VerifyOrganizationResponse:
        """Compares an organization's code and name with the record."""
        compared = await self._organizations.verify(request.uscc, request.name, current_caller())
        return pb.VerifyOrganizationResponse(result=RESULTS[compared.result], deregistered=compared.deregistered)


def _new_person(new: pb.NewPerson) -> NewPerson:
    return NewPerson(
        number_kind=KINDS.get(new.number_kind),
        number=new.number,
        name=new.name,
        phone=new.phone,
        address=new.address,
        region=new.region,
    )
