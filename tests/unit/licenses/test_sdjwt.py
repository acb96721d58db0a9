# SPDX-License-Identifier: Apache-2.0
"""RFC 9901: its own vectors, and everything that must be refused."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk, jws

from services.licenses.credentials import sdjwt
from services.licenses.credentials.encoding import CredentialMalformed, decode_bytes, encode_bytes, read_json
from services.licenses.credentials.sdjwt import (
    AlgorithmRefused,
    ClaimTwice,
    DigestDuplicate,
    DisclosureUnreferenced,
    SdJwt,
)
from services.licenses.credentials.trust import SignatureWrong, verify_es256

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "rfc9901_sdjwt_vectors.json").read_text())
ISSUER = jwk.ECKey.import_key(VECTORS["issuer_key"])


def vector(name: str) -> dict[str, Any]:
    return next(one for one in VECTORS["vectors"] if one["name"] == name)


NAMES = [one["name"] for one in VECTORS["vectors"]]


@pytest.mark.parametrize("name", NAMES)
def test_the_vectors_of_the_rfc_give_their_payloads(name: str) -> None:
    credential = SdJwt.parse(vector(name)["sd_jwt"])
    assert dict(credential.header) == vector(name)["header"]
    assert len(credential.disclosures) == vector(name)["n_disclosures"]
    assert credential.claims() == vector(name)["processed_payload"]


@pytest.mark.parametrize("name", NAMES)
def test_the_signatures_of_the_rfc_hold_and_joserfc_agrees(name: str) -> None:
    credential = SdJwt.parse(vector(name)["sd_jwt"])
    verify_es256(ISSUER.public_key, credential.signed, credential.signature)
    jws.deserialize_compact(credential.jwt, ISSUER, algorithms=["ES256"])


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("Kb")])
def test_a_key_binding_names_what_was_presented(name: str) -> None:
    credential = SdJwt.parse(vector(name)["sd_jwt"])
    binding = read_json(decode_bytes(credential.key_binding.split(".")[1]))
    assert credential.binding_digest == binding["sd_hash"] == vector(name)["kb_jwt"]["payload"]["sd_hash"]


def test_a_changed_byte_breaks_the_signature() -> None:
    credential = SdJwt.parse(vector("Section51SdJwt")["sd_jwt"])
    with pytest.raises(SignatureWrong):
        verify_es256(ISSUER.public_key, credential.signed + b"A", credential.signature)
    with pytest.raises(SignatureWrong):
        verify_es256(ISSUER.public_key, credential.signed, credential.signature[:-1])


# What follows is made by hand; the signature plays no part in reading.


def disclosure(*parts: Any) -> str:
    return encode_bytes(json.dumps(parts).encode())


def digest(text: str, algorithm: str = "sha256") -> str:
    return encode_bytes(hashlib.new(algorithm, text.encode()).digest())


def made(payload: Mapping[str, Any], *disclosures: str, header: Mapping[str, Any] | None = None) -> str:
    head = header if header is not None else {"alg": "ES256", "typ": "dc+sd-jwt"}
    parts = [encode_bytes(json.dumps(one).encode()) for one in (head, payload)]
    return "~".join((".".join((*parts, encode_bytes(b"\0" * 64))), *disclosures, ""))


NAME = disclosure("c2FsdA", "name", "n")
AGE = disclosure("c2FsdB", "age", 3)


def test_a_withheld_claim_leaves_no_trace() -> None:
    text = made({"iss": "x", "_sd": [digest(NAME), digest(AGE)], "_sd_alg": "sha-256"}, AGE)
    assert SdJwt.parse(text).claims() == {"iss": "x", "age": 3}


def test_digests_of_other_known_algorithms_are_followed() -> None:
    text = made({"_sd": [digest(NAME, "sha512")], "_sd_alg": "sha-512"}, NAME)
    assert SdJwt.parse(text).claims() == {"name": "n"}


def test_disclosures_within_disclosures_and_arrays_are_followed() -> None:
    inner = disclosure("s1", "street", "x")
    outer = disclosure("s2", "address", {"_sd": [digest(inner)]})
    element = disclosure("s3", "DE")
    hidden = digest("nobody knows")
    payload = {"_sd": [digest(outer)], "countries": ["FR", {"...": digest(element)}, {"...": hidden}]}
    claims = SdJwt.parse(made(payload, inner, outer, element)).claims()
    assert claims == {"address": {"street": "x"}, "countries": ["FR", "DE"]}


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "ES384", "RS256", "", None, 7])
def test_no_algorithm_but_es256_is_taken(algorithm: object) -> None:
    with pytest.raises(AlgorithmRefused):
        SdJwt.parse(made({}, header={"alg": algorithm, "typ": "dc+sd-jwt"}))


def test_digests_of_an_unknown_algorithm_are_refused() -> None:
    with pytest.raises(AlgorithmRefused):
        SdJwt.parse(made({"_sd_alg": "md5"})).claims()
    with pytest.raises(AlgorithmRefused):
        SdJwt.parse(made({"_sd_alg": ["sha-256"]})).claims()


def test_a_disclosure_that_nothing_vouches_for_is_refused() -> None:
    with pytest.raises(DisclosureUnreferenced):
        SdJwt.parse(made({"_sd": [digest(NAME)]}, NAME, AGE)).claims()


def test_a_tampered_disclosure_is_not_vouched_for() -> None:
    with pytest.raises(DisclosureUnreferenced):
        SdJwt.parse(made({"_sd": [digest(NAME)]}, disclosure("c2FsdA", "name", "m"))).claims()


@pytest.mark.parametrize(
    ("payload", "disclosures"),
    [
        ({"_sd": [digest(NAME), digest(NAME)]}, [NAME]),
        ({"_sd": [digest("x"), digest("x")]}, []),
        ({"_sd": [digest(NAME)], "a": {"_sd": [digest(NAME)]}}, [NAME]),
        ({"a": [{"...": digest("x")}, {"...": digest("x")}]}, []),
        ({"_sd": [digest(NAME)]}, [NAME, NAME]),
    ],
)
def test_a_digest_or_disclosure_that_comes_twice_is_refused(payload: dict[str, Any], disclosures: list[str]) -> None:
    with pytest.raises(DigestDuplicate):
        SdJwt.parse(made(payload, *disclosures)).claims()


@pytest.mark.parametrize("name", ["name", "_sd", "...", "_sd_alg"])
def test_a_disclosure_may_not_take_a_name_that_is_there_or_reserved(name: str) -> None:
    one = disclosure("s", name, "x")
    with pytest.raises(ClaimTwice):
        SdJwt.parse(made({"name": "there", "_sd": [digest(one)]}, one)).claims()


@pytest.mark.parametrize(
    ("payload", "disclosures"),
    [
        ({"_sd": "no array"}, []),
        ({"_sd": [1]}, []),
        ({"a": {"...": digest("x")}}, []),
        ({"a": [{"...": digest("x"), "b": 1}]}, []),
        ({"a": [{"...": 1}]}, []),
        ({"a": {"_sd_alg": "sha-256"}}, []),
        ({"_sd": [digest(disclosure("s", "x"))]}, [disclosure("s", "x")]),
        ({"a": [{"...": digest(NAME)}]}, [NAME]),
        ({"_sd": [digest(disclosure(1, "x", 2))]}, [disclosure(1, "x", 2)]),
        ({"_sd": [digest(disclosure("s", 1, 2))]}, [disclosure("s", 1, 2)]),
        ({"_sd": [digest(encode_bytes(b"{}"))]}, [encode_bytes(b"{}")]),
        ({"_sd": [digest(encode_bytes(b'["s","a",NaN]'))]}, [encode_bytes(b'["s","a",NaN]')]),
        ({"_sd": [digest(encode_bytes(b'["s","a",{"b":1,"b":2}]'))]}, [encode_bytes(b'["s","a",{"b":1,"b":2}]')]),
        ({"_sd": [digest(encode_bytes(b'["s","a","\\ud800"]'))]}, [encode_bytes(b'["s","a","\\ud800"]')]),
        ({"_sd": [digest(encode_bytes(b"\xff"))]}, [encode_bytes(b"\xff")]),
    ],
)
def test_digests_and_disclosures_must_be_what_they_are_said_to_be(payload: Any, disclosures: list[str]) -> None:
    with pytest.raises(CredentialMalformed):
        SdJwt.parse(made(payload, *disclosures)).claims()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "a.b~",
        "a.b.c",
        made({})[:-1],
        made({}, ""),
        made({}).replace(".", ".=", 1),
        made({}).replace("e", "é", 1),
        made({}, header={"alg": "ES256", "crit": ["b64"], "b64": False}),
        made({}, *["AA"] * 300),
        "A" * 70_000,
        made([]),  # type: ignore[arg-type]
        made({}, header=[]),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_credential_is_malformed(text: str) -> None:
    with pytest.raises(CredentialMalformed):
        SdJwt.parse(text)


@pytest.mark.parametrize("depth", [300, 900, 12_000])
def test_deep_nesting_is_refused_not_fallen_into(depth: int) -> None:
    raw = b'{"alg":' + b"[" * depth + b"]" * depth + b"}"
    body = encode_bytes(b'{"a":' + b"[" * depth + b"]" * depth + b"}")
    head = encode_bytes(b'{"alg":"ES256"}')
    with pytest.raises((CredentialMalformed, AlgorithmRefused)):
        SdJwt.parse(f"{encode_bytes(raw)}.{head}.AA~")
    try:
        SdJwt.parse(f"{head}.{body}.AA~").claims()
    except CredentialMalformed:
        assert depth > 300


def test_unused_bits_of_base64url_are_no_second_way_to_write() -> None:
    assert decode_bytes("AA") == b"\0"
    for text in ("AB", "AA==", "A", "A+", "A A"):
        with pytest.raises(CredentialMalformed):
            decode_bytes(text)


def test_what_is_written_is_read_back_and_hides_what_it_should() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signatures: list[bytes] = []

    def sign(message: bytes) -> bytes:
        signatures.append(message)
        return b"\1" * 64

    text = sdjwt.write({"typ": "t"}, {"open": 1}, {"a": "secret", "b": 2}, sign=sign, digests_min=5)
    credential = SdJwt.parse(text)
    assert credential.signed == signatures[0]
    assert len(credential.payload["_sd"]) == 5
    assert credential.payload["_sd"] == sorted(credential.payload["_sd"])
    assert b"secret" not in json.dumps(dict(credential.payload)).encode()
    assert credential.claims() == {"open": 1, "a": "secret", "b": 2}
    salts = [read_json(decode_bytes(one))[0] for one in credential.disclosures]
    assert all(len(decode_bytes(salt)) == 16 for salt in salts)
    assert len(set(salts)) == 2
    with pytest.raises(SignatureWrong):
        verify_es256(key.public_key(), credential.signed, credential.signature)
