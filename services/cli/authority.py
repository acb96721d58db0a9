# SPDX-License-Identifier: Apache-2.0
"""`tongban ca`: the certificates of a local system. Services take up renewed files without a restart."""

from collections.abc import Callable
from pathlib import Path

from sandbox.agencies import PATH as CITY_AGENCIES
from services.cli.folder import Folder
from services.cli.options import Options, Profile
from services.cli.papers import prepare, usccs_of
from services.kit.certificates import CertificateAuthority
from services.kit.errors import StartupError


def init(options: Options) -> None:
    """Make root and certificates; what is there and fresh stays."""
    pki = Folder.of(options.data, Profile.EMBEDDED).pki
    agencies = options.agencies or (CITY_AGENCIES if options.sandbox else None)
    _or_sentence(pki, lambda: prepare(pki, usccs_of(agencies) if agencies else ()))
    print(f"Root: {pki / 'ca.crt'}. Keep {pki / 'ca.key'} where nobody reads it.")


def issue(options: Options, spiffe_id: str, out: Path | None, days: int) -> None:
    """Issue one certificate."""
    pki = Folder.of(options.data, Profile.EMBEDDED).pki
    made: list[Path] = []

    def write() -> None:
        try:
            made.append(CertificateAuthority.open(pki).issue(spiffe_id, out, days=days))
        except ValueError:
            raise StartupError(
                "The name must be spiffe://tongban/service/<name>, .../agency/<USCC> or .../operator/<name>."
            ) from None

    _or_sentence(pki, write)
    print(f"{made[0] / 'tls.crt'} and tls.key, valid for {days} days.")


def _or_sentence(pki: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise StartupError(f"The folder {pki} can't be written: {error.strerror}.") from error
