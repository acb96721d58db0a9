# SPDX-License-Identifier: Apache-2.0
"""Reading keys and certificates; what is wrong with a file is one sentence at the start."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.kit.certificates.spiffe import SpiffeId
from services.kit.errors import StartupError


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key in PEM. Raises StartupError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise StartupError(f"{path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise StartupError(f"{path} is not a private key.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise StartupError(f"{path} is not a private key on an elliptic curve.")
    return key


def read_certificate(path: Path) -> x509.Certificate:
    """Read a certificate in PEM. Raises StartupError."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise StartupError(f"{path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise StartupError(f"{path} is not a certificate.") from error


def spiffe_id_of(certificate: x509.Certificate, path: Path) -> str:
    """Give the one name of our trust domain in a certificate. Raises StartupError."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        [uri] = uris
        return str(SpiffeId.parse(uri))
    except (x509.ExtensionNotFound, ValueError) as error:
        raise StartupError(f"{path} has not exactly one SPIFFE id of this trust domain.") from error


def stamp_of(path: Path) -> tuple[int, int, int]:
    """Give inode, size and time: a rename changes the first even within one tick of the clock."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)
