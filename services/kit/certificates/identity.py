# SPDX-License-Identifier: Apache-2.0
"""The certificate of this process as credentials that follow the files on disk."""

import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self, cast

import grpc

from services.kit.certificates.files import read_certificate, read_key, spiffe_id_of, stamp_of
from services.kit.certificates.spiffe import SpiffeId
from services.kit.errors import StartupError


class Identity:
    """The certificate of this process, read again when its files change. The key never leaves this object."""

    def __init__(self, folder: Path, ca: Path) -> None:
        self.folder = Path(folder)
        self._ca = Path(ca)
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._files = self._read()
        self.spiffe_id = spiffe_id_of(read_certificate(self.folder / "tls.crt"), self.folder / "tls.crt")

    @classmethod
    def open(cls, pki: Path, spiffe_id: str) -> Self:
        """Open the certificate of a SPIFFE id below the folder of the authority."""
        identity = cls(SpiffeId.parse(spiffe_id).folder(Path(pki)), Path(pki) / "ca.crt")
        if identity.spiffe_id != spiffe_id:
            raise StartupError(f"{identity.folder / 'tls.crt'} is the certificate of somebody else.")
        return identity

    def server_credentials(self) -> grpc.ServerCredentials:
        """Give credentials that ask every client for a certificate of our root, and follow the files on disk."""
        served = self._stamp

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            """Give a new configuration only when the files changed; gRPC asks at every handshake, on its own thread."""
            nonlocal served
            with self._lock:
                if not self._renewed(served):
                    return None
                served = self._stamp
                return self._configuration()

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            cast(Callable[[], grpc.ServerCertificateConfiguration], fetch),  # The stub forgets that None is allowed.
            require_client_authentication=True,
        )

    def server_context(self) -> ssl.SSLContext:
        """Give the same for an HTTP door: TLS 1.2 or newer, a certificate of our root from every client."""
        served, current = self._stamp, self._context()

        def renewed(connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
            """Take up new files; OpenSSL asks at every handshake, whether the client names a server or not."""
            nonlocal served, current
            with self._lock:
                if self._renewed(served):
                    with suppress(OSError):  # Replaced again this very moment: the next handshake sees both files.
                        served, current = self._stamp, self._context()
            connection.context = current

        first = current
        first.sni_callback = renewed
        return first

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Give credentials for one channel; `stamp` tells when a new channel is due."""
        with self._lock:
            self._renewed(self._stamp)
            ca, key, certificate = self._files
        return grpc.ssl_channel_credentials(ca, key, certificate)

    @property
    def stamp(self) -> object:
        """Give what changes when the files change. Reads the disk: three `stat` calls."""
        return self._stamped()

    def _renewed(self, known: object) -> bool:
        """Read the files again if they changed; a half-written pair is left alone until it is whole."""
        stamp = self._stamped()
        if stamp != self._stamp:
            try:
                files = self._read()
            except StartupError:
                return False
            self._files, self._stamp = files, stamp
        return self._stamp != known

    def _context(self) -> ssl.SSLContext:
        ca, key, certificate = self._paths()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
        context.load_cert_chain(certificate, key)
        return context

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        ca, key, certificate = self._files
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=ca)

    def _stamped(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(stamp_of(path) for path in self._paths())

    def _paths(self) -> tuple[Path, Path, Path]:
        return self._ca, self.folder / "tls.key", self.folder / "tls.crt"

    def _read(self) -> tuple[bytes, bytes, bytes]:
        ca_path, key_path, certificate_path = self._paths()
        if read_key(key_path).public_key() != read_certificate(certificate_path).public_key():
            raise StartupError(f"{certificate_path} and {key_path} don't belong together.")
        read_certificate(ca_path)
        return ca_path.read_bytes(), key_path.read_bytes(), certificate_path.read_bytes()
