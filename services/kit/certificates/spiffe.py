# SPDX-License-Identifier: Apache-2.0
"""Names of processes: `spiffe://tongban/<service|agency|operator>/<name>`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

TRUST_DOMAIN = "tongban"
_SPIFFE = re.compile(
    r"spiffe://tongban/(service/[a-z][a-z0-9-]{0,39}|agency/[0-9A-Z]{18}|operator/[a-z0-9][a-z0-9-]{0,39})"
)
_FOLDERS = {"service": "services", "agency": "agencies", "operator": "operators"}


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """A name of our trust domain, taken apart: kind is `service`, `agency` or `operator`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"spiffe://{TRUST_DOMAIN}/{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a SPIFFE id apart. Raises ValueError where it is foreign or malformed."""
        if _SPIFFE.fullmatch(text) is None:
            raise ValueError("not a SPIFFE id of this trust domain")
        kind, _, name = text.removeprefix(f"spiffe://{TRUST_DOMAIN}/").partition("/")
        return cls(kind, name)

    def folder(self, pki: Path) -> Path:
        """Say where its certificate lies below the folder of the authority."""
        return pki / _FOLDERS[self.kind] / self.name


def host_of(kind: str, name: str) -> str:
    """Give the DNS name that only this process's certificate has: clients ask for it, whatever address they dial."""
    return f"{name}.{kind}.{TRUST_DOMAIN}.internal".lower()
