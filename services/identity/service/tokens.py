# SPDX-License-Identifier: Apache-2.0
"""Signing in: sandbox personas, access tokens, and the keys that verify them."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from services.identity.domain.person import PersonNotFound, PersonState
from services.identity.domain.persona import Persona, Role, SandboxOff
from services.identity.domain.token import TOKEN_HEADERS, AccessToken, InvalidGrant, check_grant, token_claims
from services.identity.domain.use import canonical
from services.identity.service.ports import Signer, Store
from services.kit.caller import Caller
from services.kit.clock import Clock

OpenKey = Callable[[str], Signer]
"""The signing key of this name, made on first use; every process of the service opens the same one."""


class TokenKeys:
    """The key that signs now, and the one before it, whose tokens are still out.

    Which one that is follows from the clock alone, so that processes agree without talking, also over a restart.
    """

    def __init__(self, open_key: OpenKey, *, clock: Clock, days: int) -> None:
        self._open = open_key
        self._clock = clock
        self._period = timedelta(days=days)
        self._keys: dict[int, Signer] = {}

    def current(self) -> Signer:
        """The key that signs now."""
        return self._key(self._number())

    def published(self) -> tuple[Signer, Signer]:
        """The keys whose tokens may still be good."""
        number = self._number()
        return self._key(number), self._key(number - 1)

    def _number(self) -> int:
        return int(self._clock().timestamp() // self._period.total_seconds())

    def _key(self, number: int) -> Signer:
        if number not in self._keys:
            self._keys = {kept: key for kept, key in self._keys.items() if abs(kept - number) <= 1}
            self._keys[number] = self._open(f"token-{number}")
        return self._keys[number]


class TokensService:
    """The token endpoint behind the gateway's door."""

    def __init__(
        self,
        store: Store,
        keys: TokenKeys,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        issuer: str,
        token_seconds: int,
        sandbox: bool,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._new_id = new_id
        self._issuer = issuer
        self._token_seconds = token_seconds
        self._sandbox = sandbox

    @property
    def issuer(self) -> str:
        """As tokens name it in `iss`."""
        return self._issuer

    async def issue(self, grant_type: str, persona_key: str) -> AccessToken:
        """A token for a persona.

        Raises:
            UnsupportedGrantType: another grant, or no sandbox.
            InvalidGrant: no such persona, or the person behind it has died.
        """
        check_grant(grant_type, sandbox=self._sandbox)
        persona = await self._store.persona(persona_key)
        if persona is None or not await self._lives(persona):
            raise InvalidGrant
        return self._signed(persona, self._clock())

    def jwks(self) -> str:
        """The public keys as a JWK set."""
        return json.dumps({"keys": [key.public_jwk() for key in self._keys.published()]}, separators=(",", ":"))

    async def put_personas(self, personas: Sequence[Persona], caller: Caller) -> None:
        """Keeps personas; a citizen must be a person on record."""
        caller.must("identity.personas")
        self._in_sandbox()
        citizens = {persona.subject_id for persona in personas if persona.role is Role.CITIZEN}
        async with self._store.transaction() as tx:
            known = await tx.persons(citizens)
            for persona in personas:
                if persona.subject_id in citizens - known.keys():
                    raise PersonNotFound(f"Persona {persona.key} names no person on record.")
            await tx.save_personas(personas)

    async def personas(self, caller: Caller) -> tuple[Persona, ...]:
        """All of them, by key."""
        caller.must("identity.personas")
        self._in_sandbox()
        return await self._store.personas()

    def _in_sandbox(self) -> None:
        if not self._sandbox:
            raise SandboxOff("Personas exist only in the sandbox.")

    async def _lives(self, persona: Persona) -> bool:
        if persona.role is not Role.CITIZEN:
            return True
        person = await self._store.person(persona.subject_id)
        return person is not None and person.state is PersonState.ACTIVE

    def _signed(self, persona: Persona, now: datetime) -> AccessToken:
        claims, expire_time = token_claims(
            persona, issuer=self._issuer, token_id=self._new_id(), now=now, expires_in=self._token_seconds
        )
        value = self._keys.current().sign_jws(canonical(claims), TOKEN_HEADERS)
        return AccessToken(value, expire_time, self._token_seconds)
