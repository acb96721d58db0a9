# SPDX-License-Identifier: Apache-2.0
"""Signing in with sandbox personas; tokens that a foreign library reads; keys that change."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from services.identity.domain.person import PersonState
from services.identity.domain.persona import Persona, Role, persona_of
from services.identity.domain.token import PERSONA_GRANT, AccessToken
from services.identity.service.persons import RegisterPersons
from services.identity.service.tokens import TokenKeys, TokensService
from services.kit.caller import acting_as
from services.kit.crypto import SigningKey
from services.kit.errors import Refusal
from services.kit.ids import new_id
from services.kit.tokens import KeySet as PublishedKeys
from services.kit.tokens import TokenExpired, TokenVerifier
from tests.support.identity_world import HOSPITAL, HOSPITAL_CODE, OPERATOR, POLICE, World, new_person

CLERK = Persona("clerk-1", Role.CLERK, "", HOSPITAL_CODE, ("gateway.tasks",), "窗口", "Clerk", "{}")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def tokens(world: World, tmp_path: Path) -> TokensService:
    return world.tokens(TokenKeys(lambda name: SigningKey.open(tmp_path, name), clock=world.clock, days=30))


async def mother(world: World, tokens: TokensService) -> Persona:
    with acting_as(POLICE):
        (person,) = await world.persons.register(RegisterPersons(new_id(), (new_person(),), ""), POLICE)
    persona = Persona("mother-1", Role.CITIZEN, person.subject_id, "", (), "母亲", "Mother", '{"birth":{}}')
    await tokens.put_personas([persona, CLERK], OPERATOR)
    return persona


def read(token: AccessToken, tokens: TokensService) -> jwt.Token:
    return jwt.decode(token.value, KeySet.import_key_set(json.loads(tokens.jwks())), algorithms=["ES256"])


async def test_a_token_is_what_rfc_9068_says(world: World, tokens: TokensService) -> None:
    persona = await mother(world, tokens)
    token = await tokens.issue(PERSONA_GRANT, "mother-1")
    decoded = read(token, tokens)
    issued = int(world.now.timestamp())
    assert decoded.header["typ"] == "at+jwt"
    assert decoded.header["alg"] == "ES256"
    assert decoded.header["kid"] in {key["kid"] for key in json.loads(tokens.jwks())["keys"]}
    assert decoded.claims.pop("jti")
    assert decoded.claims == {
        "iss": "https://issuer.invalid",
        "sub": persona.subject_id,
        "aud": "tongban",
        "iat": issued,
        "exp": issued + 600,
        "client_id": "tongban-sandbox-citizen",
        "role": "citizen",
        "rights": [],
        "agency": "",
    }
    assert token.expires_in == 600
    assert token.expire_time == world.now + timedelta(seconds=600)


async def test_a_clerk_has_rights_and_an_agency(world: World, tokens: TokensService) -> None:
    await mother(world, tokens)
    claims = read(await tokens.issue(PERSONA_GRANT, "clerk-1"), tokens).claims
    assert (claims["sub"], claims["role"], claims["agency"]) == ("clerk-1", "clerk", HOSPITAL_CODE)
    assert claims["rights"] == ["gateway.tasks"]


async def test_the_verifier_of_the_other_services_takes_it_until_it_ends(world: World, tokens: TokensService) -> None:
    persona = await mother(world, tokens)
    token = await tokens.issue(PERSONA_GRANT, "mother-1")

    async def published() -> PublishedKeys:
        return PublishedKeys(tokens.issuer, tokens.jwks())

    verifier = TokenVerifier(published, clock=world.clock)
    assert (await verifier.verify(token.value)).subject == persona.subject_id
    world.pass_time(seconds=600)
    with pytest.raises(TokenExpired):
        await verifier.verify(token.value)


async def test_no_two_tokens_are_the_same(world: World, tokens: TokensService) -> None:
    await mother(world, tokens)
    first, second = [await tokens.issue(PERSONA_GRANT, "mother-1") for _ in range(2)]
    assert read(first, tokens).claims["jti"] != read(second, tokens).claims["jti"]


@pytest.mark.parametrize("grant", ["password", "client_credentials", "authorization_code"])
async def test_another_grant_is_refused_in_the_words_of_rfc_6749(tokens: TokensService, grant: str) -> None:
    with pytest.raises(Refusal) as refused:
        await tokens.issue(grant, "mother-1")
    assert refused.value.reason == "UNSUPPORTED_GRANT_TYPE"
    assert refused.value.metadata["error"] == "unsupported_grant_type"


async def test_nobody_signs_in_as_an_unknown_persona(tokens: TokensService) -> None:
    with pytest.raises(Refusal) as refused:
        await tokens.issue(PERSONA_GRANT, "nobody")
    assert refused.value.reason == "INVALID_GRANT"
    assert refused.value.metadata["error"] == "invalid_grant"


async def test_nobody_signs_in_as_a_dead_person(world: World, tokens: TokensService) -> None:
    persona = await mother(world, tokens)
    person = world.store.rows.persons[persona.subject_id]
    world.store.rows.persons[persona.subject_id] = replace(person, state=PersonState.DECEASED)
    with pytest.raises(Refusal) as refused:
        await tokens.issue(PERSONA_GRANT, "mother-1")
    assert refused.value.reason == "INVALID_GRANT"


async def test_outside_the_sandbox_there_are_no_personas(tmp_path: Path) -> None:
    world = World(sandbox=False)
    tokens = world.tokens(TokenKeys(lambda name: SigningKey.open(tmp_path, name), clock=world.clock, days=30))
    with pytest.raises(Refusal) as grant:
        await tokens.issue(PERSONA_GRANT, "mother-1")
    with pytest.raises(Refusal) as put:
        await tokens.put_personas([CLERK], OPERATOR)
    with pytest.raises(Refusal) as listed:
        await tokens.personas(OPERATOR)
    assert grant.value.reason == "UNSUPPORTED_GRANT_TYPE"
    assert put.value.reason == listed.value.reason == "SANDBOX_OFF"


async def test_personas_are_listed_by_key_and_replaced_by_key(world: World, tokens: TokensService) -> None:
    persona = await mother(world, tokens)
    changed = replace(persona, title_en="Changed")
    await tokens.put_personas([changed], OPERATOR)
    assert await tokens.personas(OPERATOR) == (CLERK, changed)


async def test_a_citizen_persona_must_be_a_person_on_record(tokens: TokensService) -> None:
    nobody = Persona("mother-1", Role.CITIZEN, new_id(), "", (), "", "", "{}")
    with pytest.raises(Refusal) as refused:
        await tokens.put_personas([nobody], OPERATOR)
    assert refused.value.reason == "PERSON_NOT_FOUND"


async def test_only_those_with_the_right_put_personas(tokens: TokensService) -> None:
    with pytest.raises(Refusal) as refused:
        await tokens.put_personas([CLERK], HOSPITAL)
    assert refused.value.reason == "RIGHT_MISSING"


@pytest.mark.parametrize(
    ("role", "rights", "changed"),
    [
        ("mayor", (), {}),
        ("citizen", (), {"subject_id": ""}),
        ("citizen", ("a.b",), {}),
        ("citizen", (), {"agency": HOSPITAL_CODE}),
        ("operator", (), {"agency": HOSPITAL_CODE, "subject_id": ""}),
        ("citizen", (), {"key": "Mother 1"}),
        ("citizen", (), {"subject_id": "mother"}),
        ("operator", ("Everything",), {"subject_id": ""}),
        ("operator", tuple(f"a.b{'_' * n}" for n in range(101)), {"subject_id": ""}),
        ("citizen", (), {"title_en": "x" * 201}),
        ("citizen", (), {"title_zh": "\0"}),
        ("citizen", (), {"samples_json": "[]"}),
        ("citizen", (), {"samples_json": "{"}),
        ("citizen", (), {"samples_json": '{"birth":"' + "x" * 50_000 + '"}'}),
    ],
)
def test_a_persona_that_could_not_sign_in_as_it_says_is_refused(
    role: str, rights: tuple[str, ...], changed: dict[str, str]
) -> None:
    values = {"key": "mother-1", "subject_id": new_id(), "agency": "", "samples_json": ""}
    values |= {"title_zh": "", "title_en": "", **changed}
    with pytest.raises(Refusal) as refused:
        persona_of(
            role=role,
            rights=rights,
            persona=Persona(role=Role.CITIZEN, rights=(), **values),
        )
    assert refused.value.reason == "PERSONA_INVALID"


def test_a_clerk_needs_an_agency_with_a_right_code() -> None:
    with pytest.raises(Refusal) as refused:
        persona_of(role="clerk", rights=(), persona=replace(CLERK, agency="119901000000010110"))
    assert refused.value.reason == "CREDIT_CODE_CHECK_FAILED"


def test_the_key_of_before_stays_published_for_a_period(world: World, tmp_path: Path) -> None:
    keys = TokenKeys(lambda name: SigningKey.open(tmp_path, name), clock=world.clock, days=1)
    first = keys.current().kid
    world.pass_time(days=1)
    second = keys.current().kid
    assert second != first
    assert [key.kid for key in keys.published()] == [second, first]
    world.pass_time(days=1)
    assert first not in {key.kid for key in keys.published()}


def test_another_process_and_a_restart_sign_with_the_same_key(world: World, tmp_path: Path) -> None:
    def opened() -> TokenKeys:
        return TokenKeys(lambda name: SigningKey.open(tmp_path, name), clock=world.clock, days=30)

    assert opened().current().kid == opened().current().kid
