# SPDX-License-Identifier: Apache-2.0
"""Our side of TLS towards one provider."""

import os
import ssl
from functools import cache

from services.exchange.domain.settings import TlsSettings


def context(settings: TlsSettings | None) -> ssl.SSLContext:
    """Trust the provider's authority, or the system's; show our certificate where there is one."""
    if settings is None:
        return _system()
    made = ssl.create_default_context(cadata=settings.ca or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate:
        _load(made, f"{settings.certificate}\n{settings.key}\n")
    return made


@cache
def _system() -> ssl.SSLContext:
    """Read the system's authorities once: it takes milliseconds."""
    return ssl.create_default_context()


def _load(made: ssl.SSLContext, pem: str) -> None:
    """Python reads keys from files only: this one never is on a disk."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w") as file:
        file.write(pem)
        file.flush()
        made.load_cert_chain(f"/proc/self/fd/{descriptor}")
