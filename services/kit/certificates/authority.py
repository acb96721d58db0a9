# SPDX-License-Identifier: Apache-2.0
"""The authority: a root and what it signs."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.kit.certificates.files import read_certificate, read_key
from services.kit.certificates.spiffe import TRUST_DOMAIN, SpiffeId, host_of
from services.kit.clock import Clock, utc_now
from services.kit.crypto import create_once, private_pem, replace_file
from services.kit.errors import StartupError

_ROOT_DAYS = 3650
_SIGNER_DAYS = 1825
_LEAF_DAYS = 90
_RENEW_DAYS = 30
_SKEW = timedelta(minutes=5)
_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning (RFC 9336). TLS libraries take a certificate without extended key usages for any use."""


class CertificateAuthority:
    """A root and what it signs: ECDSA on P-256, private files 0600, each file written whole or not at all."""

    def __init__(self, folder: Path, key: ec.EllipticCurvePrivateKey, root: x509.Certificate, clock: Clock) -> None:
        self.folder = folder
        self._key = key
        self._root = root
        self._clock = clock

    @classmethod
    def open(cls, folder: Path, *, clock: Clock = utc_now) -> Self:
        """Open the authority of a folder, and make its root on first use.

        The key file is created first and only once; two processes that start at once sign with the same key.
        """
        folder = Path(folder)
        key_path, root_path = folder / "ca.key", folder / "ca.crt"
        if not key_path.exists():
            create_once(key_path, private_pem(ec.generate_private_key(ec.SECP256R1())))
        key = read_key(key_path)
        if not root_path.exists():
            create_once(root_path, _root(key, clock()).public_bytes(serialization.Encoding.PEM), mode=0o644)
        root = read_certificate(root_path)
        if root.public_key() != key.public_key():
            raise StartupError(f"{root_path} and {key_path} don't belong together.")
        return cls(folder, key, root, clock)

    def issue(self, spiffe_id: str, folder: Path | None = None, *, days: int = _LEAF_DAYS) -> Path:
        """Write `tls.key` and `tls.crt` for a process; both new. Give the folder.

        Processes listen on loopback unless told otherwise: hence localhost, 127.0.0.1 and ::1 besides its own names.
        """
        name = SpiffeId.parse(spiffe_id)
        folder = folder or name.folder(self.folder)
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [
            x509.UniformResourceIdentifier(spiffe_id),
            x509.DNSName(host_of(name.kind, name.name)),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = self._sign(key, name.name, alternatives, usages, days)
        replace_file(folder / "tls.key", private_pem(key), mode=0o600)
        replace_file(folder / "tls.crt", certificate)
        return folder

    def ensure(self, spiffe_id: str, folder: Path | None = None) -> Path:
        """Issue where there is no certificate of this root, or where it ends within 30 days."""
        folder = folder or SpiffeId.parse(spiffe_id).folder(self.folder)
        if not self._fresh(folder / "tls.crt", folder / "tls.key"):
            self.issue(spiffe_id, folder)
        return folder

    def issue_signer(self, uscc: str, folder: Path | None = None, *, days: int = _SIGNER_DAYS) -> Path:
        """Write `signer.key` and `signer.crt` with which an agency's licenses are signed; kept where already there.

        A signer can't open a door: its extended key usage is document signing alone, and its URI no SPIFFE id.
        """
        folder = folder or self.folder / "signers" / SpiffeId.parse(f"spiffe://{TRUST_DOMAIN}/agency/{uscc}").name
        if self._fresh(folder / "signer.crt", folder / "signer.key"):
            return folder
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.UniformResourceIdentifier(f"urn:{TRUST_DOMAIN}:agency:{uscc}")]
        certificate = self._sign(key, uscc, alternatives, [_DOCUMENT_SIGNING], days)
        replace_file(folder / "signer.key", private_pem(key), mode=0o600)
        replace_file(folder / "signer.crt", certificate)
        return folder

    def _sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        alternatives: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        days: int,
    ) -> bytes:
        now = self._clock()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(min(now + timedelta(days=days), self._root.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _fresh(self, certificate_path: Path, key_path: Path) -> bool:
        if not certificate_path.exists() or not key_path.exists():
            return False
        certificate, key = read_certificate(certificate_path), read_key(key_path)
        try:
            certificate.verify_directly_issued_by(self._root)
        except (ValueError, TypeError, InvalidSignature):
            return False
        ends = certificate.not_valid_after_utc - timedelta(days=_RENEW_DAYS)
        return certificate.public_key() == key.public_key() and self._clock() < ends


def _root(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _name("Tongban root")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=_ROOT_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tongban"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )
