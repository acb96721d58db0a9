# SPDX-License-Identifier: Apache-2.0
"""The few variables that the command itself reads; everything else is settled from them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from services.cli.names import SERVICES
from services.kit.errors import StartupError

_PORT_MAX = 65535
_PEOPLE_MIN, _PEOPLE_MAX = 12, 1_000_000
_SERVICES = tuple(f"TONGBAN_{service.upper()}_" for service in SERVICES)
LogLevel = Literal["debug", "info", "warning", "error"]
_LEVELS: dict[str, LogLevel] = {"debug": "debug", "info": "info", "warning": "warning", "error": "error"}
_TRUE, _FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}


class Profile(StrEnum):
    """How the system is put together."""

    EMBEDDED = "embedded"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Options:
    """Read from TONGBAN_*."""

    data: Path
    """TONGBAN_DATA: where everything is kept; `./var`."""
    host: str
    """TONGBAN_HOST: address to listen on; loopback."""
    http_port: int
    """TONGBAN_HTTP_PORT: the public door; 8080."""
    grpc_port: int
    """TONGBAN_GRPC_PORT: first of a row: identity, licenses, exchange, gateway, the sandbox's REST register, the X-Road door; 50051."""
    sandbox: bool
    """TONGBAN_SANDBOX: 1 for the synthetic city and its accounts."""
    people: int
    """TONGBAN_PEOPLE: residents of a new city; 200."""
    seed: int
    """TONGBAN_SEED: seed of a new city; 1."""
    agencies: Path | None
    """TONGBAN_AGENCIES: YAML list of agencies, needed where the sandbox is off."""
    log_level: LogLevel
    """TONGBAN_LOG_LEVEL: debug, info, warning, error."""
    sample_ratio: float
    """TONGBAN_SAMPLE_RATIO: share of traces that are recorded, 0 to 1; 1."""
    services: Mapping[str, str] = field(default_factory=dict, repr=False)
    """TONGBAN_<SERVICE>_<SETTING>, e.g. TONGBAN_GATEWAY_LEASE_SECONDS: any setting of one service, see its config.py."""

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read them. Raises StartupError with one sentence that names the bad one."""
        given = os.environ if environ is None else environ
        agencies = given.get("TONGBAN_AGENCIES", "")
        return cls(
            data=Path(given.get("TONGBAN_DATA") or "var").absolute(),
            host=given.get("TONGBAN_HOST") or "127.0.0.1",
            http_port=_number(given, "TONGBAN_HTTP_PORT", 8080, 1, _PORT_MAX),
            grpc_port=_number(given, "TONGBAN_GRPC_PORT", 50051, 1, _PORT_MAX - 5),
            sandbox=_switch(given, "TONGBAN_SANDBOX"),
            people=_number(given, "TONGBAN_PEOPLE", 200, _PEOPLE_MIN, _PEOPLE_MAX),
            seed=_number(given, "TONGBAN_SEED", 1, 0, 2**31),
            agencies=Path(agencies).absolute() if agencies else None,
            log_level=_level(given, "TONGBAN_LOG_LEVEL"),
            sample_ratio=_ratio(given, "TONGBAN_SAMPLE_RATIO"),
            services={name: value for name, value in given.items() if name.startswith(_SERVICES)},
        )


def _number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise StartupError(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def _switch(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "").lower()
    if text not in _TRUE | _FALSE:
        raise StartupError(f"{name} must be 1 or 0.")
    return text in _TRUE


def _level(given: Mapping[str, str], name: str) -> LogLevel:
    level = _LEVELS.get(given.get(name) or "info")
    if level is None:
        raise StartupError(f"{name} must be one of {', '.join(_LEVELS)}.")
    return level


def _ratio(given: Mapping[str, str], name: str) -> float:
    try:
        ratio = float(given.get(name) or 1)
    except ValueError:
        ratio = -1
    if not 0 <= ratio <= 1:
        raise StartupError(f"{name} must be a number from 0 to 1.")
    return ratio
