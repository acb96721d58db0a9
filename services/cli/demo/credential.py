# SPDX-License-Identifier: Apache-2.0
"""Checks an SD-JWT VC as a stranger would: the standard, the root certificate, and none of the platform's code.

RFC 9901 (SD-JWT), SD-JWT VC draft (`typ`, `vct`), RFC 7515 4.1.6 (`x5c`). Uses the cryptography library alone.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

_HALF_BYTES = 32
_DISCLOSURE_PARTS = 3


class CredentialBroken(Exception):  # noqa: N818 - it states what is so
    """The credential does not hold; the message says what does not, and never what stands in it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a credential proves."""

    vct: str
    issuer: str
    claims: dict[str, Any]
    """Registered claims and disclosed ones together."""
    disclosed: int


def check(credential: str, root: x509.Certificate, *, now: datetime) -> Checked:
    """Check signature, chain, dates and every disclosure. Raises CredentialBroken."""
    token, *disclosures = credential.split("~")
    if not disclosures or disclosures.pop() != "":
        raise CredentialBroken("It has no disclosures, or ends with a key binding that nobody asked for.")
    header, payload = _signed(token, root, now)
    if header.get("typ") != "dc+sd-jwt":
        raise CredentialBroken("Its type is not dc+sd-jwt.")
    if payload.get("_sd_alg", "sha-256") != "sha-256":
        raise CredentialBroken("Its digests are not SHA-256.")
    _check_dates(payload, now)
    claims = _disclosed(payload, disclosures)
    return Checked(str(payload.get("vct", "")), str(payload.get("iss", "")), claims, len(disclosures))


def _signed(token: str, root: x509.Certificate, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a JWS whose signer the root has signed."""
    try:
        head, body, signature = token.split(".")
        header, payload, raw = _json(head), _json(body), _bytes(signature)
        signer = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CredentialBroken("It is not a signed token with a certificate.") from error
    key = signer.public_key()
    if header.get("alg") != "ES256" or not isinstance(key, ec.EllipticCurvePublicKey) or len(raw) != 2 * _HALF_BYTES:
        raise CredentialBroken("It is not signed with ES256.")
    if len(header["x5c"]) != 1 or signer == root:
        raise CredentialBroken("Its chain is not one certificate below the root.")
    halves = int.from_bytes(raw[:_HALF_BYTES]), int.from_bytes(raw[_HALF_BYTES:])
    try:
        signer.verify_directly_issued_by(root)
        key.verify(encode_dss_signature(*halves), f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, TypeError) as error:
        raise CredentialBroken("Its signature, or that of its certificate, does not hold.") from error
    if not signer.not_valid_before_utc <= now <= signer.not_valid_after_utc:
        raise CredentialBroken("Its signer's certificate is not valid now.")
    return header, payload


def _check_dates(payload: dict[str, Any], now: datetime) -> None:
    stamp = now.astimezone(UTC).timestamp()
    skew = 60
    if payload.get("nbf", 0) > stamp + skew or payload.get("iat", 0) > stamp + skew:
        raise CredentialBroken("It is not valid yet.")
    if payload.get("exp", stamp + 1) <= stamp:
        raise CredentialBroken("It has expired.")


def _disclosed(payload: dict[str, Any], disclosures: list[str]) -> dict[str, Any]:
    """All claims; each disclosure must be signed for by exactly one digest."""
    open_digests = set(_digests(payload))
    claims = {name: value for name, value in payload.items() if name not in {"_sd", "_sd_alg"}}
    for disclosure in disclosures:
        digest = base64.urlsafe_b64encode(hashlib.sha256(disclosure.encode()).digest()).rstrip(b"=").decode()
        if digest not in open_digests:
            raise CredentialBroken("A disclosure is not signed for.")
        open_digests.discard(digest)
        parts = json.loads(_bytes(disclosure))
        if not isinstance(parts, list) or len(parts) != _DISCLOSURE_PARTS or parts[1] in claims:
            raise CredentialBroken("A disclosure is malformed.")
        claims[parts[1]] = parts[2]
        open_digests |= set(_digests(parts[2]))
    return claims


def _digests(value: Any) -> Iterator[str]:
    """Every digest in a payload, however deep."""
    if isinstance(value, dict):
        yield from (digest for digest in value.get("_sd", []) if isinstance(digest, str))
        for name, each in value.items():
            if name != "_sd":
                yield from _digests(each)
    elif isinstance(value, list):
        for each in value:
            yield from _digests(each)


def _json(part: str) -> dict[str, Any]:
    document = json.loads(_bytes(part))
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
