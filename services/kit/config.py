# SPDX-License-Identifier: Apache-2.0
"""Settings: a frozen model, read once from `<SERVICE>_*` at start; what it can't read stops the start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from services.kit.errors import StartupError


class SettingsInvalid(StartupError):  # noqa: N818 - it states what is so
    """A variable is unknown, missing or malformed. Its value is never repeated: it may be a secret."""

    exit_code: ClassVar[int] = 2


class Common(BaseModel, frozen=True):
    """The knobs that every service has."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, validate_default=True)

    database: str = Field(
        repr=False, description="Where rows live: sqlite:////abs/path.sqlite or postgresql://user@host/name."
    )
    events: str = Field(
        repr=False, description="The event log: sqlite:////abs/events.sqlite or kafka://user:password@127.0.0.1:9092."
    )
    grpc_host: str = Field(default="127.0.0.1", description="Address to listen on; loopback unless told otherwise.")
    grpc_port: int = Field(default=0, ge=0, le=65535, description="Port of the gRPC door; 0 takes a free one.")
    peers: dict[str, str] = Field(
        default_factory=dict, description="Where the other services are: identity=127.0.0.1:50051,licenses=..."
    )
    pki: Path = Field(description="Folder of the certificates: ca.crt and services/<name>/tls.{crt,key}.")
    keys: Path = Field(description="Folder of this service's data keys; nobody else may read it.")
    otlp: str = Field(default="", description="Base URL of an OTLP/HTTP receiver of traces; empty for none.")
    otlp_token: str = Field(
        default="", max_length=200, repr=False, description="Bearer token that the receiver of traces asks for."
    )
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="Share of new traces that are recorded, 0 to 1.")
    log_format: Literal["json", "console"] = Field(default="json", description="One JSON object per line, or text.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level written.")
    log_file: str = Field(default="", description="File that log lines are appended to; empty for standard error.")
    sandbox: bool = Field(default=False, description="True only in a sandbox: made-up accounts exist.")
    region: str = Field(default="990100", pattern="^[0-9]{6}$", description="The region that this node serves.")
    drain_seconds_max: float = Field(default=5, gt=0, le=60, description="Seconds from the signal to the end, at most.")
    worker: str = Field(
        default="1", pattern="^[A-Za-z0-9_-]{1,32}$", description="Instance number, unique per process of a service."
    )
    reuse_port: bool = Field(default=False, description="True where several processes share the gRPC port.")
    rpc_in_flight_max: int = Field(default=1000, ge=1, description="Unary calls at once; more are refused for a while.")
    rpc_in_flight_max_per_caller: int = Field(
        default=200, ge=1, description="The same of one caller; the services of the system have no such bound."
    )
    rpc_streams_max: int = Field(default=1000, ge=1, description="Open streams at once; more are refused for a while.")
    rpc_streams_max_per_caller: int = Field(
        default=100, ge=1, description="The same of one caller; the services of the system have no such bound."
    )

    @classmethod
    def load(cls, prefix: str, environ: Mapping[str, str], known: Mapping[str, Any] | None = None) -> Self:
        """Read `<PREFIX>_*` over what is `known`. Raises SettingsInvalid with one sentence that names the first bad variable."""
        start = f"{prefix.upper()}_"
        values: dict[str, Any] = dict(known or {})
        for variable in sorted(environ):
            if not variable.startswith(start):
                continue
            name = variable.removeprefix(start).lower()
            if name not in cls.model_fields or variable != start + name.upper():
                service = prefix.lower().rpartition("_")[2]
                raise SettingsInvalid(f"{variable} is not a setting of the {service} service.")
            values[name] = environ[variable]
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsInvalid(_sentence(start, error)) from None

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, values: Any) -> Any:
        """Read `a=1,b=2` into a mapping and `a,b` into a list; other types read their text themselves."""
        if not isinstance(values, dict):
            return values
        return {name: _parsed(cls._kind(name), value) for name, value in values.items()}

    @classmethod
    def _kind(cls, name: str) -> Any:
        field = cls.model_fields.get(name)
        return None if field is None else get_origin(field.annotation) or field.annotation

    @field_validator("database")
    @classmethod
    def _database(cls, value: str) -> str:
        return _one_of(value, "sqlite:///", "postgresql://")

    @field_validator("events")
    @classmethod
    def _events(cls, value: str) -> str:
        return _one_of(value, "sqlite:///", "kafka://")

    @field_validator("otlp")
    @classmethod
    def _otlp(cls, value: str) -> str:
        return _one_of(value, "http://", "https://").rstrip("/") if value else value


def _one_of(value: str, *starts: str) -> str:
    if not value.startswith(starts) or value in starts:
        raise ValueError(f"must start with {' or '.join(starts)} and name a place")
    return value


def _parsed(kind: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if kind is dict:
        pairs = [part.partition("=") for part in parts]
        if not all(separator and name for name, separator, _ in pairs):
            return value  # Pydantic then says that it isn't a mapping, and names the setting.
        return {name.strip(): rest.strip() for name, _, rest in pairs}
    return parts if kind in {list, tuple, set, frozenset} else value


def _sentence(start: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    variable = start + str(first["loc"][0]).upper() if first["loc"] else f"{start}*"
    if first["type"] == "missing":
        return f"{variable} must be set."
    message = first["msg"].removeprefix("Value error, ")
    return f"{variable} is malformed: {message[:1].lower()}{message[1:].rstrip('.')}."
