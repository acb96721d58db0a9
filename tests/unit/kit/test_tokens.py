# SPDX-License-Identifier: Apache-2.0
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.kit.caller import CallerKind
from services.kit.crypto import SigningKey, base64url
from services.kit.errors import Unavailable
from services.kit.tokens import KeySet, TokenExpired, TokenInvalid, TokenVerifier

ISSUER = "urn:tongban:test"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Issuer:
    def __init__(self, folder: Path) -> None:
        self.key = SigningKey.open(folder, "token")
        self.asked = 0
        self.away = False
        self.now = NOW
        self.verifier = TokenVerifier(self.fetch, clock=lambda: self.now)

    async def fetch(self) -> KeySet:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        return KeySet(ISSUER, json.dumps({"keys": [self.key.public_jwk()]}))

    def token(self, **claims: Any) -> str:
        seconds = int(self.now.timestamp())
        body = {"iss": ISSUER, "sub": "s", "aud": ["tongban"], "iat": seconds, "exp": seconds + 60, "role": "clerk"}
        return self.key.sign_jws(json.dumps({**body, **claims}).encode(), {"typ": "at+jwt"})


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


async def test_a_token_says_who_it_is_for(issuer: Issuer) -> None:
    claims = await issuer.verifier.verify(issuer.token(rights=["a.b", "*"], agency="11990100000001011X"))
    assert (claims.kind, claims.subject, claims.agency) == (CallerKind.CLERK, "s", "11990100000001011X")
    assert claims.rights == {"a.b"}


async def test_a_remembered_token_ends_at_its_second(issuer: Issuer) -> None:
    token = issuer.token()
    await issuer.verifier.verify(token)
    issuer.now = NOW + timedelta(seconds=59)
    await issuer.verifier.verify(token)
    issuer.now = NOW + timedelta(seconds=60)
    with pytest.raises(TokenExpired):
        await issuer.verifier.verify(token)


async def test_a_token_outlives_its_withdrawn_key_by_minutes_at_most(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token(exp=int(NOW.timestamp()) + 36_000)
    await issuer.verifier.verify(token)
    issuer.key = SigningKey.open(tmp_path / "new", "token")
    later = time.monotonic() + 301
    monkeypatch.setattr("services.kit.tokens.time.monotonic", lambda: later)
    assert issuer.verifier.remembered(token) is None
    with pytest.raises(TokenInvalid):
        await issuer.verifier.verify(token)


async def test_without_the_issuers_keys_no_token_holds(issuer: Issuer) -> None:
    issuer.away = True
    with pytest.raises(Unavailable):
        await issuer.verifier.verify(issuer.token())
    issuer.away = False
    await issuer.verifier.verify(issuer.token())


async def test_a_remembered_token_holds_while_the_issuer_is_away(issuer: Issuer) -> None:
    token = issuer.token()
    await issuer.verifier.verify(token)
    issuer.away = True
    await issuer.verifier.verify(token)
    assert issuer.asked == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": ""},
        {"sub": 5},
        {"exp": "soon"},
        {"exp": None},
        {"aud": []},
        {"aud": "other"},
        {"aud": None},
        {"iss": "other"},
        {"role": ""},
        {"rights": [5]},
        {"rights": 5},
    ],
)
async def test_a_token_that_lacks_what_ours_have_is_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        await issuer.verifier.verify(issuer.token(**claims))


@pytest.mark.parametrize(
    "head",
    [
        {"alg": "none"},
        {"alg": "HS256", "kid": "k"},
        {"alg": "ES256"},
        {"alg": "ES256", "kid": 5},
        [],
        "x",
    ],
)
async def test_another_algorithm_or_none_is_refused_before_a_key_is_asked_for(issuer: Issuer, head: Any) -> None:
    token = f"{base64url(json.dumps(head).encode())}.{base64url(b'{}')}."
    with pytest.raises(TokenInvalid):
        await issuer.verifier.verify(token)
    assert issuer.asked == 0


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "\x00", "eyJ.eyJ.x", "x" * 8193])
async def test_text_that_is_no_token_is_refused(issuer: Issuer, token: str) -> None:
    with pytest.raises(TokenInvalid):
        await issuer.verifier.verify(token)
