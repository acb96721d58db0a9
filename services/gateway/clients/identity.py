# SPDX-License-Identifier: Apache-2.0
"""Identity: the resident's own record, the sandbox's personas, tokens and their keys."""

import json

from tongban.identity.v1 import identity_pb2
from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import IdentityServiceStub, TokenServiceStub

from services.gateway.service.ports import OwnPerson
from services.gateway.service.views import JwksView, PersonaView, TokenView
from services.kit.caller import Caller, CallerKind
from services.kit.rpc.peer import Peer
from services.kit.text import Text

_ITSELF = Caller(CallerKind.SERVICE, "gateway")
"""Asks in its own name: no token goes along."""


class IdentityClient:
    """The identity service."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._persons = peer.stub(IdentityServiceStub)
        self._tokens = peer.stub(TokenServiceStub)

    async def own_person(self) -> OwnPerson:
        """The caller's own attributes."""
        response = await self._peer.call(self._persons.GetOwnPerson, pb.GetOwnPersonRequest())
        person = response.person
        number = person.number if person.number_kind == identity_pb2.NUMBER_KIND_CITIZEN else ""
        return OwnPerson(
            {
                "name": person.name,
                "number": number,
                "birth_date": person.birth_date,
                "phone": person.phone,
                "address": person.address,
            }
        )

    async def personas(self) -> tuple[PersonaView, ...]:
        """Sandbox personas."""
        response = await self._peer.call(self._tokens.ListPersonas, pb.ListPersonasRequest(), caller=_ITSELF)
        return tuple(
            PersonaView(
                key=one.key,
                role=one.role,
                title=Text(one.title_zh or one.key, one.title_en or one.key),
                samples=json.loads(one.samples_json or "{}"),
            )
            for one in response.personas
        )

    async def issue_token(self, grant_type: str, persona: str) -> TokenView:
        """A token for a grant."""
        request = pb.IssueTokenRequest(grant_type=grant_type, persona=persona)
        response = await self._peer.call(self._tokens.IssueToken, request, caller=_ITSELF)
        return TokenView(response.access_token, response.expires_in)

    async def jwks(self) -> JwksView:
        """The issuer's keys."""
        response = await self._peer.call(self._tokens.GetJwks, pb.GetJwksRequest(), caller=_ITSELF)
        return JwksView(issuer=response.issuer, jwks_json=response.jwks_json)
