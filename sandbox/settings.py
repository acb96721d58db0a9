# SPDX-License-Identifier: Apache-2.0
"""Every knob of the city's departments, read from `SANDBOX_*` at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.kit.errors import StartupError

_PREFIX = "SANDBOX_"


class Settings(BaseModel):
    """Where the platform is and how big the city is."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data: Path = Field(description="Folder of the registers; one file per department.")
    pki: Path = Field(description="Folder of the certificates: agencies/<USCC> and operators/<operator>.")
    identity: str = Field(description="host:port of identity.")
    licenses: str = Field(description="host:port of licenses.")
    exchange: str = Field(description="host:port of exchange.")
    gateway: str = Field(description="host:port of the gateway's gRPC door.")
    operator: str = Field(default="platform", description="Name of the operator whose certificate seeds the platform.")
    rest_host: str = Field(default="127.0.0.1", description="Address of civil affairs' REST interface.")
    rest_port: int = Field(default=0, ge=0, le=65535, description="Its port; 0 takes a free one.")
    people: int = Field(default=200, ge=12, le=1_000_000, description="Residents of a new city; an old one stays.")
    seed: int = Field(default=1, description="Seed of a new city.")
    otlp: str = Field(default="", description="Base URL of an OTLP/HTTP receiver of traces; empty for none.")
    otlp_token: str = Field(default="", repr=False, description="Bearer token that the receiver of traces asks for.")
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="Share of new traces that are recorded.")
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: str = Field(default="", description="File that log lines are appended to; empty for standard error.")
    witness_seconds: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="How often two departments look at the ledgers and co-sign their heads.",
    )
    with_parent: bool = Field(default=False, description="End when standard input does: when the starter is gone.")

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables. Raises StartupError with one sentence that names the first bad one."""
        given = {name: value for name, value in environ.items() if name.startswith(_PREFIX)}
        known = {_PREFIX + name.upper(): name for name in cls.model_fields}
        for name in sorted(given):
            if name not in known:
                raise StartupError(f"{name} is not a setting of the sandbox.")
        try:
            return cls.model_validate({known[name]: value for name, value in given.items()}, strict=False)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise StartupError(f"{_PREFIX}{str(first['loc'][0]).upper()} is missing or malformed.") from None

    def environment(self) -> dict[str, str]:
        """The variables that `load` reads these settings from."""
        return {
            _PREFIX + name.upper(): str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in self.model_dump().items()
        }
