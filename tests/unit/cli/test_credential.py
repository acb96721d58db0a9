# SPDX-License-Identifier: Apache-2.0
"""The stranger's check of a credential: what holds, and everything that must not."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from services.cli.demo.credential import CredentialBroken, check
from services.kit.certificates import CertificateAuthority

NOW = datetime.now(UTC) + timedelta(hours=1)
"""Later than any certificate that a test makes, however long the tests before it took."""
USCC = "1299010000000102XJ"


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Forge:
    """Makes credentials, good ones and bad ones."""

    folder: Path
    header: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict)
    disclosures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        authority = CertificateAuthority.open(self.folder)
        signer = authority.issue_signer(USCC)
        self.root = x509.load_pem_x509_certificate((self.folder / "ca.crt").read_bytes())
        certificate = x509.load_pem_x509_certificate((signer / "signer.crt").read_bytes())
        key = serialization.load_pem_private_key((signer / "signer.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.key = key
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.header = {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": [base64.b64encode(der).decode()]}
        self.disclosures = [encoded(json.dumps(["salt", "child_name", "x"]).encode())]
        digests = [encoded(hashlib.sha256(each.encode()).digest()) for each in self.disclosures]
        self.payload = {
            "iss": "urn:x",
            "vct": "urn:y",
            "iat": int(NOW.timestamp()),
            "_sd": digests,
            "_sd_alg": "sha-256",
        }

    def made(self) -> str:
        signed = f"{encoded(json.dumps(self.header).encode())}.{encoded(json.dumps(self.payload).encode())}"
        first, second = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        token = f"{signed}.{encoded(first.to_bytes(32) + second.to_bytes(32))}"
        return "~".join([token, *self.disclosures, ""])


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path / "pki")


def test_a_good_credential_tells_its_claims(forge: Forge) -> None:
    checked = check(forge.made(), forge.root, now=NOW)
    assert (checked.vct, checked.issuer, checked.disclosed) == ("urn:y", "urn:x", 1)
    assert checked.claims["child_name"] == "x"


def test_a_disclosure_may_be_left_out_but_not_put_in(forge: Forge) -> None:
    whole = forge.disclosures
    forge.disclosures = []
    assert "child_name" not in check(forge.made(), forge.root, now=NOW).claims
    forge.disclosures = [*whole, encoded(json.dumps(["salt", "father_name", "y"]).encode())]
    with pytest.raises(CredentialBroken, match="not signed for"):
        check(forge.made(), forge.root, now=NOW)
    forge.disclosures = [*whole, *whole]
    with pytest.raises(CredentialBroken):
        check(forge.made(), forge.root, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "jwt"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"x5c": []},
        {"x5c": ["AAAA"]},
    ],
)
def test_another_header_does_not_hold(forge: Forge, change: dict[str, Any]) -> None:
    forge.header |= change
    with pytest.raises(CredentialBroken):
        check(forge.made(), forge.root, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"exp": int(NOW.timestamp()) - 1},
        {"nbf": int(NOW.timestamp()) + 3600},
        {"iat": int(NOW.timestamp()) + 3600},
        {"_sd_alg": "md5"},
    ],
)
def test_other_dates_or_digests_do_not_hold(forge: Forge, change: dict[str, Any]) -> None:
    forge.payload |= change
    with pytest.raises(CredentialBroken):
        check(forge.made(), forge.root, now=NOW)


def test_a_changed_payload_does_not_hold(forge: Forge) -> None:
    head, body, rest = forge.made().split(".", 2)
    other = encoded(json.dumps({**forge.payload, "vct": "urn:z"}).encode())
    assert body != other
    with pytest.raises(CredentialBroken):
        check(f"{head}.{other}.{rest}", forge.root, now=NOW)


def test_a_foreign_root_does_not_vouch(forge: Forge, tmp_path: Path) -> None:
    other = Forge(tmp_path / "other")
    with pytest.raises(CredentialBroken):
        check(forge.made(), other.root, now=NOW)


def test_the_certificate_must_be_valid_now(forge: Forge) -> None:
    with pytest.raises(CredentialBroken):
        check(forge.made(), forge.root, now=NOW + timedelta(days=3650))


@pytest.mark.parametrize("text", ["", "a.b.c~", "not a token", "a.b~", "ä.ö.ü~"])
def test_what_is_no_credential_is_refused(forge: Forge, text: str) -> None:
    with pytest.raises(CredentialBroken):
        check(text, forge.root, now=NOW)
