# SPDX-License-Identifier: Apache-2.0
"""What witnesses sign: that a head only adds to what they signed before, or that it does not. Readable with nothing of ours running.

A statement is a compact JWS (ES256) whose header carries `typ` and `x5c` with the agency's certificate, whose URI names the witness.
The rules are those of C2SP tlog-witness: consistency is checked from the last head signed, and what was signed is durable before it is told.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from services.kit.crypto import SigningKey

HEAD_TYPE: Final = "tongban-head+jwt"
COSIGNATURE_TYPE: Final = "tongban-cosignature+jwt"
FORK_TYPE: Final = "tongban-fork+jwt"
FORK_KINDS: Final = ("forked", "cut", "inconsistent", "key")
_WITH_CERTIFICATE: Final = jws.JWSRegistry(algorithms=["ES256"])
_WITH_CERTIFICATE.max_header_length = 4096
CLOCK_SKEW: Final = timedelta(minutes=1)


class StatementInvalid(ValueError):  # noqa: N818 - it states what is so
    """A statement that can't be read, or is not signed by whom it names."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a head promises."""

    log: str
    size: int
    root: bytes
    time: datetime


@dataclass(frozen=True, slots=True)
class Statement:
    """A witness's word, its signature checked; whether the certificate is one of ours is `issued_by`."""

    witness: str
    claims: Mapping[str, Any]
    certificate: x509.Certificate

    def issued_by(self, root: x509.Certificate) -> bool:
        """Whether this authority issued the certificate, and it was valid when the witness signed."""
        try:
            self.certificate.verify_directly_issued_by(root)
            signed = datetime.fromisoformat(str(self.claims["time"]))
        except (ValueError, TypeError, KeyError, InvalidSignature):
            return False
        return self.certificate.not_valid_before_utc <= signed <= self.certificate.not_valid_after_utc


def open_head(token: str, key: ECKey) -> Head:
    """Read a head signed with this key. Raises StatementInvalid."""
    try:
        opened = jws.deserialize_compact(token, key, algorithms=["ES256"])
        claims = json.loads(opened.payload)
        if opened.headers().get("typ") != HEAD_TYPE:
            raise StatementInvalid("This is no head.")
        return Head(
            str(claims["log"]),
            int(claims["size"]),
            bytes.fromhex(claims["root"]),
            datetime.fromisoformat(str(claims["time"])),
        )
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise StatementInvalid("A head is not signed with the ledger's key.") from error


def state(kind: str, claims: Mapping[str, object], key: SigningKey, certificate: x509.Certificate) -> str:
    """Sign a statement as the agency of this certificate."""
    payload = json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    return key.sign_jws(payload, {"typ": kind, "x5c": [der]})


def open_statement(token: str, kind: str) -> Statement:
    """Read a statement and check that the certificate it carries signed it and names the witness. Raises StatementInvalid."""
    try:
        header = jws.extract_compact(token.encode(), registry=_WITH_CERTIFICATE).headers()
        certificate = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0], validate=True))
        pem = certificate.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        opened = jws.deserialize_compact(token, ECKey.import_key(pem), registry=_WITH_CERTIFICATE)
        claims = json.loads(opened.payload)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        [witness] = names.get_values_for_type(x509.UniformResourceIdentifier)
        if opened.headers().get("typ") != kind or claims["witness"] != witness:
            raise StatementInvalid("The statement is of another kind, or somebody else's.")
        return Statement(witness, claims, certificate)
    except (JoseError, ValueError, KeyError, TypeError, IndexError, x509.ExtensionNotFound) as error:
        raise StatementInvalid("The statement can't be read, or is not signed by its witness.") from error


def evidence_id(claims: Mapping[str, Any]) -> str:
    """The same find again is the same evidence, whenever and with whatever proof."""
    named = {name: claims[name] for name in ("first", "kind", "log", "second", "witness")}
    return hashlib.sha256(json.dumps(named, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def proven_by_itself(claims: Mapping[str, Any]) -> bool:
    """Whether the two signed heads of a piece of evidence convict the ledger without any leaf.

    False for what else may be the witness's mistake: then an export that holds both heads to its leaves decides.
    """
    try:
        key = ECKey.import_key({**claims["key"]})
        first, second = open_head(claims["first"], key), open_head(claims["second"], key)
    except (StatementInvalid, JoseError, ValueError, TypeError, KeyError):
        return False
    if claims["log"] != first.log or first.log != second.log:
        return False
    if first.size == second.size:
        return first.root != second.root
    return second.size < first.size and second.time > first.time + CLOCK_SKEW
