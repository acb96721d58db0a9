# SPDX-License-Identifier: Apache-2.0
"""Whose signature counts: document signers that a trusted root vouches for."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from services.kit.errors import Code, Refusal, StartupError

DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning (RFC 9336): without it a certificate of our root opens doors, but signs no license."""

CHAIN_MAX = 4
_COORDINATE_BYTES = 32


class CertificateMissing(Refusal):
    """The header carries no certificate that can be read (`x5c`)."""

    code = Code.INVALID_ARGUMENT


class SignatureWrong(Refusal):
    """The signature is not that of the signer's certificate over these bytes."""

    code = Code.INVALID_ARGUMENT


class ChainBroken(Refusal):
    """The certificates don't lead to a root that we trust."""

    code = Code.INVALID_ARGUMENT


class AnchorInChain(Refusal):
    """The chain brings its own root along; HAIP 1.0 forbids it, because trust must come from elsewhere."""

    code = Code.INVALID_ARGUMENT


class CertificateNotValid(Refusal):
    """A certificate was not valid when the license was signed."""

    code = Code.INVALID_ARGUMENT


class CertificateUnfit(Refusal):
    """The signer's certificate is not one for signing documents."""

    code = Code.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True)
class SignerChain:
    """The certificates of a header, the signer's first."""

    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def read(cls, x5c: object) -> "SignerChain":
        """Read `x5c` (RFC 7515, 4.1.6).

        Raises:
            CertificateMissing: It is absent, too long or not made of certificates.
        """
        if not isinstance(x5c, list) or not 1 <= len(x5c) <= CHAIN_MAX:
            raise CertificateMissing(f"The header must carry 1 to {CHAIN_MAX} certificates as x5c.")
        try:
            found = tuple(x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in x5c)
        except (ValueError, TypeError, binascii.Error) as error:
            raise CertificateMissing("A certificate of x5c can't be read.") from error
        return cls(found)

    @property
    def signer(self) -> x509.Certificate:
        """The certificate whose key signed."""
        return self.certificates[0]

    def verify(self, signed: bytes, signature: bytes) -> None:
        """Check an ES256 signature against the signer's key.

        Raises:
            CertificateUnfit: The key is not one of P-256.
            SignatureWrong: It doesn't hold.
        """
        verify_es256(self.signer.public_key(), signed, signature)

    def names(self, uri: object) -> bool:
        """Tell whether the signer's certificate names this URI."""
        try:
            names = self.signer.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return False
        return uri in names.get_values_for_type(x509.UniformResourceIdentifier)


class TrustAnchors:
    """The roots in a PEM file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._roots: tuple[x509.Certificate, ...] = ()
        self._refresh()

    def check(self, chain: SignerChain, at: datetime) -> None:
        """Check that the chain leads to a root of ours, as of the moment of signing.

        That moment counts, not today: a long-term license outlives its signer's certificate. A key stolen later
        can't backdate, because the record knows every license that was issued.

        Raises:
            AnchorInChain: The chain holds a root.
            ChainBroken: A signature, a name or a constraint in it does not hold.
            CertificateNotValid: A certificate was not valid at that moment.
            CertificateUnfit: The signer's certificate is not for documents.
        """
        self._refresh()
        _must_be_signer(chain.signer)
        root = self._root_above(chain)
        for certificate in (*chain.certificates, root):
            if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
                raise CertificateNotValid("A certificate was not valid when the license was signed.")

    def _root_above(self, chain: SignerChain) -> x509.Certificate:
        *_, last = chain.certificates
        if any(one in self._roots or one.subject == one.issuer for one in chain.certificates):
            raise AnchorInChain("The chain must not hold its own root.")
        for below, above in zip(chain.certificates, chain.certificates[1:], strict=False):
            if not _issued(above, below):
                raise ChainBroken("A certificate is not signed by the next one.")
        for root in self._roots:
            if _issued(root, last) and len(chain.certificates) - 1 <= _path_length(root):
                return root
        raise ChainBroken("The certificates lead to no root that we trust.")

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if stamp != self._stamp:
                self._roots = tuple(x509.load_pem_x509_certificates(self._path.read_bytes()))
                self._stamp = stamp
        except (OSError, ValueError) as error:
            if self._stamp is None:
                raise StartupError(f"{self._path} holds no certificate that can be read.") from error
            # A half-written file: the roots that were good a moment ago still are.


def verify_es256(key: object, signed: bytes, signature: bytes) -> None:
    """Check an ES256 signature (RFC 7518, 3.4).

    Raises:
        CertificateUnfit: The key is not one of P-256.
        SignatureWrong: It doesn't hold.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateUnfit("The signer's key is not on P-256.")
    if len(signature) != 2 * _COORDINATE_BYTES:
        raise SignatureWrong("The signature must be 64 bytes.")
    r, s = (int.from_bytes(half, "big") for half in (signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]))
    try:
        key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise SignatureWrong("The signature does not hold.") from error


def _issued(above: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        basic = above.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = above.extensions.get_extension_for_class(x509.KeyUsage).value
        below.verify_directly_issued_by(above)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return basic.ca and usage.key_cert_sign


def _path_length(root: x509.Certificate) -> int:
    length = root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    return CHAIN_MAX if length is None else length


def _must_be_signer(certificate: x509.Certificate) -> None:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise CertificateUnfit("The signer's certificate does not say what it is for.") from error
    if basic.ca or not usage.digital_signature or DOCUMENT_SIGNING not in extended:
        raise CertificateUnfit("The signer's certificate is not one for signing documents.")
