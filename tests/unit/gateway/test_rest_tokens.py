# SPDX-License-Identifier: Apache-2.0
"""Who may come in, and where tokens come from."""

import pytest

from tests.support.gateway_door import MOTHER, doorway

FORM = {"content-type": "application/x-www-form-urlencoded"}
GRANT = "urn:tongban:params:oauth:grant-type:persona"
OWN = [
    "/api/v1/cases",
    "/api/v1/licenses",
    "/api/v1/accesses",
    "/api/v1/cases/6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52/events",
]


@pytest.mark.parametrize("path", OWN)
async def test_without_a_token_nothing_of_anybodys_is_shown(path: str) -> None:
    async with doorway() as door:
        response = await door.client.get(path)
        assert (response.status_code, response.json()["reason"]) == (401, "TOKEN_MISSING")
        assert response.headers["www-authenticate"] == 'Bearer realm="tongban"'
        assert response.json()["remedy"]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Bearer expired:mother", "TOKEN_EXPIRED"),
        ("Bearer forged", "TOKEN_INVALID"),
        ("bearer forged", "TOKEN_INVALID"),
        ("Basic bW90aGVy", "TOKEN_MISSING"),
        ("Bearer", "TOKEN_MISSING"),
        ("Bearer ", "TOKEN_MISSING"),
    ],
)
async def test_a_token_that_does_not_hold_is_refused(header: str, reason: str) -> None:
    async with doorway() as door:
        response = await door.client.get("/api/v1/cases", headers={"authorization": header})
        assert (response.status_code, response.json()["reason"]) == (401, reason)
        challenge = response.headers["www-authenticate"]
        assert ('error="invalid_token"' in challenge) == (reason != "TOKEN_MISSING")


async def test_a_right_that_is_missing_is_named_in_the_challenge() -> None:
    async with doorway() as door:
        from services.kit.errors import RightMissing

        door.gateway.broken = RightMissing("This needs a right.", metadata={"right": "gateway.cases"})
        response = await door.client.get("/api/v1/cases", headers=MOTHER)
        assert response.status_code == 403
        assert 'error="insufficient_scope", scope="gateway.cases"' in response.headers["www-authenticate"]


async def test_a_persona_gets_a_token() -> None:
    async with doorway() as door:
        response = await door.client.post("/oauth/token", data={"grant_type": GRANT, "persona": "mother-1"})
        assert response.json() == {"access_token": "citizen:mother", "token_type": "Bearer", "expires_in": 600}
        assert response.headers["cache-control"] == "no-store"
        token = response.json()["access_token"]
        used = await door.client.get("/api/v1/cases", headers={"authorization": f"Bearer {token}"})
        assert used.status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("", "invalid_request"),
        ("persona=mother-1", "invalid_request"),
        (f"grant_type={GRANT}", "invalid_request"),
        (f"grant_type={GRANT}&grant_type={GRANT}&persona=mother-1", "invalid_request"),
        (f"grant_type={GRANT}&persona=%ff", "invalid_request"),
        ("&".join(f"a{n}=1" for n in range(50)), "invalid_request"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        (f"grant_type={GRANT}&persona=nobody", "invalid_grant"),
    ],
)
async def test_a_grant_that_does_not_hold_is_refused_in_oauths_words(form: str, error: str) -> None:
    async with doorway() as door:
        response = await door.client.post("/oauth/token", content=form, headers=FORM)
        assert (response.status_code, response.json()["error"]) == (400, error)
        assert response.headers["content-type"] == "application/json"
        assert response.json()["error_description"].isascii()


async def test_a_form_is_a_form() -> None:
    async with doorway() as door:
        response = await door.client.post("/oauth/token", json={"grant_type": GRANT})
        assert (response.status_code, response.json()["error"]) == (415, "invalid_request")


async def test_outside_the_sandbox_there_are_no_personas() -> None:
    async with doorway(sandbox=False) as door:
        response = await door.client.get("/api/v1/sandbox/personas")
        assert (response.status_code, response.json()["reason"]) == (404, "SANDBOX_OFF")
        token = await door.client.post("/oauth/token", data={"grant_type": GRANT, "persona": "mother-1"})
        assert (token.status_code, token.json()["error"]) == (400, "unsupported_grant_type")
        assert door.gateway.personas_asked == 0
        metadata = (await door.client.get("/.well-known/oauth-authorization-server")).json()
        assert metadata["grant_types_supported"] == []


async def test_keys_and_metadata_are_public() -> None:
    async with doorway() as door:
        assert (await door.client.get("/.well-known/jwks.json")).json() == {"keys": []}
        keys = (await door.client.get("/.well-known/ledger-keys.json")).json()
        assert keys == {"identity": {"kty": "EC", "crv": "P-256", "kid": "k1"}}
        metadata = (await door.client.get("/.well-known/oauth-authorization-server")).json()
        assert metadata["issuer"] == "https://tongban.example"
        assert metadata["token_endpoint"] == "http://gateway.test/oauth/token"
        assert metadata["jwks_uri"] == "http://gateway.test/.well-known/jwks.json"
        assert metadata["grant_types_supported"] == [GRANT]
