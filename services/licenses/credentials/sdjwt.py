# SPDX-License-Identifier: Apache-2.0
"""Selective disclosure for JWTs (RFC 9901): writing, reading and the processing rules of section 7."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from services.kit.errors import Code, Refusal
from services.licenses.credentials.encoding import (
    CredentialMalformed,
    decode_bytes,
    encode_bytes,
    read_json,
    read_object,
    write_json,
)

ALGORITHM = "ES256"
CHARACTERS_MAX = 65536
DISCLOSURES_MAX = 256
SALT_BYTES = 16

_HASHES = {"sha-256": hashlib.sha256, "sha-384": hashlib.sha384, "sha-512": hashlib.sha512}
_SD, _SD_ALG, _ELEMENT = "_sd", "_sd_alg", "..."
_JWT_PARTS = 3
_PROPERTY, _ARRAY_ELEMENT = 3, 2

Sign: TypeAlias = Callable[[bytes], bytes]
"""Signs the bytes given with ES256; returns r and s, 64 bytes."""


class AlgorithmRefused(Refusal):
    """Signed with another algorithm than ES256, or not at all; or digests of an algorithm we don't take."""

    code = Code.INVALID_ARGUMENT


class DigestDuplicate(Refusal):
    """One digest stands in two places."""

    code = Code.INVALID_ARGUMENT


class DisclosureUnreferenced(Refusal):
    """A disclosure comes along that no digest vouches for."""

    code = Code.INVALID_ARGUMENT


class ClaimTwice(Refusal):
    """A disclosure repeats a claim that stands beside it, or takes a reserved name."""

    code = Code.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True)
class SdJwt:
    """An SD-JWT as it was read; nothing in it is verified yet.

    Attributes:
        header: Header of the issuer-signed JWT.
        payload: Its payload, with digests.
        signed: The bytes that the signature covers.
        signature: The signature, raw.
        jwt: The issuer-signed JWT as text.
        disclosures: Disclosures as they came, base64url.
        key_binding: The key binding JWT; empty where there is none.
    """

    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    signed: bytes
    signature: bytes
    jwt: str
    disclosures: tuple[str, ...]
    key_binding: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take an SD-JWT apart.

        Raises:
            CredentialMalformed: It isn't one: a bare JWT (no tilde), an empty disclosure, strange characters, too long.
            AlgorithmRefused: The header names another algorithm than ES256 (`none` above all).
        """
        if len(text) > CHARACTERS_MAX:
            raise CredentialMalformed(f"A credential has at most {CHARACTERS_MAX} characters.")
        jwt, *rest = text.split("~")
        parts = jwt.split(".")
        if not rest or len(parts) != _JWT_PARTS:
            raise CredentialMalformed("A credential is a JWT and disclosures, joined and ended by tildes.")
        *disclosures, key_binding = rest
        if len(disclosures) > DISCLOSURES_MAX or not all(disclosures):
            raise CredentialMalformed(f"A credential has at most {DISCLOSURES_MAX} disclosures, none of them empty.")
        header = read_object(decode_bytes(parts[0]))
        if header.get("alg") != ALGORITHM:
            raise AlgorithmRefused(f"A credential must be signed with {ALGORITHM}.")
        if "crit" in header or "b64" in header:
            raise CredentialMalformed("The header asks for extensions that we don't follow.")
        return cls(
            header=header,
            payload=read_object(decode_bytes(parts[1])),
            signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
            signature=decode_bytes(parts[2]),
            jwt=jwt,
            disclosures=tuple(disclosures),
            key_binding=key_binding,
        )

    @property
    def binding_digest(self) -> str:
        """What a key binding JWT must name as `sd_hash` (RFC 9901, 4.3.1): the digest of all before it."""
        presented = "~".join((self.jwt, *self.disclosures, ""))
        return encode_bytes(_hash_of(self.payload)(presented.encode("ascii")).digest())

    def claims(self) -> dict[str, Any]:
        """Put the disclosed claims in their places (RFC 9901, 7.1, step 3 on).

        Raises:
            CredentialMalformed: A disclosure or a digest is not what it must be.
            AlgorithmRefused: `_sd_alg` is unknown.
            DigestDuplicate: A digest occurs twice, in the JWT or within disclosures.
            DisclosureUnreferenced: A disclosure that nothing refers to.
            ClaimTwice: A disclosed claim is there already.
        """
        digest = _hash_of(self.payload)
        by_digest = {
            encode_bytes(digest(one.encode("ascii")).digest()): read_json(decode_bytes(one)) for one in self.disclosures
        }
        if len(by_digest) != len(self.disclosures):
            raise DigestDuplicate("A disclosure comes twice.")
        walk = _Walk(by_digest)
        plain = {name: value for name, value in self.payload.items() if name != _SD_ALG}
        try:
            claims: dict[str, Any] = walk.value(plain)
        except RecursionError as error:
            raise CredentialMalformed("The claims are nested too deeply.") from error
        if walk.unused:
            raise DisclosureUnreferenced("A disclosure is not vouched for by any digest.")
        return claims


@dataclass
class _Walk:
    """One pass over payload and disclosures; remembers every digest that was met."""

    by_digest: Mapping[str, Any]
    met: set[str] = field(default_factory=set)

    @property
    def unused(self) -> bool:
        return bool(self.by_digest.keys() - self.met)

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(one) for element in value for one in self._element(element)]
        return self._object(value) if isinstance(value, dict) else value

    def _object(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if _ELEMENT in value or _SD_ALG in value:
            raise CredentialMalformed("A reserved name stands where it may not.")
        claims = {name: self.value(one) for name, one in value.items() if name != _SD}
        for digest in _digests(value.get(_SD, [])):
            disclosure = self._meet(digest)
            if disclosure is None:
                continue
            name, one = _pair(disclosure)
            if name in claims:
                raise ClaimTwice("A disclosure repeats a claim.")
            claims[name] = self.value(one)
        return claims

    def _element(self, element: Any) -> list[Any]:
        if not isinstance(element, dict) or _ELEMENT not in element:
            return [element]
        if len(element) != 1 or not isinstance(element[_ELEMENT], str):
            raise CredentialMalformed("An array element's digest must stand alone.")
        disclosure = self._meet(element[_ELEMENT])
        if disclosure is None:
            return []
        if not isinstance(disclosure, list) or len(disclosure) != _ARRAY_ELEMENT or not isinstance(disclosure[0], str):
            raise CredentialMalformed("A disclosure of an array element must be salt and value.")
        return [disclosure[1]]

    def _meet(self, digest: str) -> Any:
        if digest in self.met:
            raise DigestDuplicate("A digest occurs twice.")
        self.met.add(digest)
        return self.by_digest.get(digest)


def _digests(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise CredentialMalformed("Digests must be an array of texts.")
    return value


def _pair(disclosure: Any) -> tuple[str, Any]:
    if (
        not isinstance(disclosure, list)
        or len(disclosure) != _PROPERTY
        or not isinstance(disclosure[0], str)
        or not isinstance(disclosure[1], str)
    ):
        raise CredentialMalformed("A disclosure of a claim must be salt, name and value.")
    if disclosure[1] in {_SD, _SD_ALG, _ELEMENT}:
        raise ClaimTwice("A disclosure takes a reserved name.")
    return disclosure[1], disclosure[2]


def _hash_of(payload: Mapping[str, Any]) -> Callable[[bytes], Any]:
    name = payload.get(_SD_ALG, "sha-256")
    if not isinstance(name, str) or name not in _HASHES:
        raise AlgorithmRefused("The digests are of an algorithm that we don't take.")
    return _HASHES[name]


def write(
    header: Mapping[str, Any],
    payload: Mapping[str, Any],
    disclosable: Mapping[str, Any],
    *,
    sign: Sign,
    digests_min: int = 0,
) -> str:
    """Sign an SD-JWT with every disclosure attached.

    Args:
        header: JOSE header; `alg` is added.
        payload: Claims that everybody sees.
        disclosable: Claims that only their disclosures tell.
        sign: Signs with ES256.
        digests_min: Decoys fill up to this many digests, so that their number doesn't tell which claims exist.
    """
    disclosures = [
        encode_bytes(write_json([encode_bytes(secrets.token_bytes(SALT_BYTES)), name, value]))
        for name, value in disclosable.items()
    ]
    digests = [_sha256(one.encode("ascii")) for one in disclosures]
    digests += [_sha256(secrets.token_bytes(32)) for _ in range(digests_min - len(digests))]
    whole = {**payload, _SD: sorted(digests), _SD_ALG: "sha-256"}
    head = encode_bytes(write_json({"alg": ALGORITHM, **header}))
    signed = f"{head}.{encode_bytes(write_json(whole))}"
    jwt = f"{signed}.{encode_bytes(sign(signed.encode('ascii')))}"
    return "~".join((jwt, *disclosures, ""))


def _sha256(raw: bytes) -> str:
    return encode_bytes(hashlib.sha256(raw).digest())
