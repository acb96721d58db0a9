# SPDX-License-Identifier: Apache-2.0
"""Who signs: one document signer for each issuing agency, read from `signers/<USCC>/signer.{crt,key}`."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.kit.crypto import SigningKey
from services.kit.errors import Refusal, StartupError


class SignerMissing(Refusal):
    """The issuing agency has no document signer on this node."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key and the certificate that vouches for it.

    Attributes:
        uri: The agency's name in the certificate; `iss` of its credentials.
        x5c: Certificates for the header, without the root.
        sign: Signs bytes with ES256; 64 bytes of r and s.
    """

    uri: str
    x5c: tuple[str, ...]
    sign: Callable[[bytes], bytes]


class Signers(Protocol):
    """Where signers come from: files now, a signing device later."""

    def of(self, uscc: str) -> Signer:
        """Find an agency's signer. Raises SignerMissing."""


class SignerFolder:
    """Signers as files; read once, and again when they change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[object, Signer]] = {}

    def of(self, uscc: str) -> Signer:
        """Find an agency's signer.

        Raises:
            SignerMissing: There is none, or its files can't be read or don't belong together.
        """
        folder = self._folder / uscc
        try:
            stamp = _stamp(folder / "signer.crt"), _stamp(folder / "signer.key")
            known = self._known.get(uscc)
            if known is None or known[0] != stamp:
                known = self._known[uscc] = stamp, _read(folder)
        except (OSError, ValueError, StartupError, x509.ExtensionNotFound) as error:
            raise SignerMissing(
                f"The agency {uscc} has no document signer here.", remedy="The certificate authority must issue one."
            ) from error
        return known[1]


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(folder: Path) -> Signer:
    certificates = x509.load_pem_x509_certificates((folder / "signer.crt").read_bytes())
    key = SigningKey.read(folder / "signer.key")
    if certificates[0].public_key() != key.private.public_key():
        raise ValueError("Certificate and key don't belong together.")
    names = certificates[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    [uri] = names.get_values_for_type(x509.UniformResourceIdentifier)
    x5c = tuple(
        base64.b64encode(one.public_bytes(Encoding.DER)).decode("ascii")
        for one in certificates
        if one.subject != one.issuer
    )
    return Signer(uri=uri, x5c=x5c, sign=key.sign)
