# SPDX-License-Identifier: Apache-2.0
"""tongban.identity.v1.TokenService."""

from typing import Any

from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import TokenServiceServicer

from services.identity.rpc.wire import persona_from_wire, persona_to_wire, timestamp
from services.identity.service.tokens import TokensService
from services.kit.caller import current_caller


class TokenRpc(TokenServiceServicer):
    """Tokens, their keys, and the sandbox's personas."""

    def __init__(self, tokens: TokensService) -> None:
        self._tokens = tokens

    async def IssueToken(self, request: pb.IssueTokenRequest, _context: Any) -> pb.IssueTokenResponse:
        """Exchanges a grant for an access token."""
        token = await self._tokens.issue(request.grant_type, request.persona)
        return pb.IssueTokenResponse(
            access_token=token.value, expire_time=timestamp(token.expire_time), expires_in=token.expires_in
        )

    async def GetJwks(self, _request: pb.GetJwksRequest, _context: Any) -> pb.GetJwksResponse:
        """The public keys that verify access tokens."""
        return pb.GetJwksResponse(jwks_json=self._tokens.jwks(), issuer=self._tokens.issuer)

    async def PutPersonas(self, request: pb.PutPersonasRequest, _context: Any) -> pb.PutPersonasResponse:
        """Keeps sandbox personas."""
        personas = [persona_from_wire(persona) for persona in request.personas]
        await self._tokens.put_personas(personas, current_caller())
        return pb.PutPersonasResponse()

    async def ListPersonas(self, _request: pb.ListPersonasRequest, _context: Any) -> pb.ListPersonasResponse:
        """Lists sandbox personas."""
        personas = await self._tokens.personas(current_caller())
        return pb.ListPersonasResponse(personas=[persona_to_wire(persona) for persona in personas])
