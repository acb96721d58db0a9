# SPDX-License-Identifier: Apache-2.0
"""Certificates of a local system: made on first start, renewed before they end."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from services.cli.names import SERVICES
from services.kit.certificates import CertificateAuthority
from services.kit.errors import StartupError
from services.kit.yaml import YAMLError, load_yaml

OPERATOR = "platform"
"""The operator whose certificate seeds and exports."""


def prepare(pki: Path, usccs: Iterable[str]) -> None:
    """Certificates of the services, the operator and every agency, and a document signer for each agency."""
    authority = CertificateAuthority.open(pki)
    for service in SERVICES:
        authority.ensure(f"spiffe://tongban/service/{service}")
    authority.ensure(f"spiffe://tongban/operator/{OPERATOR}")
    for uscc in usccs:
        authority.ensure(f"spiffe://tongban/agency/{uscc}")
        authority.issue_signer(uscc)


def usccs_of(agencies: Path) -> list[str]:
    """The USCCs of a YAML list of agencies."""
    try:
        listing: Any = load_yaml(agencies.read_text(encoding="utf-8"))
        rows: list[Mapping[str, Any]] = listing["agencies"]
        return [str(row["uscc"]) for row in rows]
    except (OSError, YAMLError, KeyError, TypeError) as error:
        raise StartupError(f"The list of agencies {agencies} can't be read.") from error
