# SPDX-License-Identifier: Apache-2.0
"""From the command's few options to the settings of every process."""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from sandbox.agencies import PATH as CITY_AGENCIES
from sandbox.catalogue import CASES as CITY_CASES
from sandbox.settings import Settings as CitySettings
from services.cli.folder import Folder
from services.cli.names import SERVICES
from services.cli.options import Options, Profile
from services.cli.papers import OPERATOR
from services.cli.ports import Ports
from services.cli.supervisor import Program
from services.kit.config import Common
from services.kit.errors import StartupError

WORKERS = {"licenses": 2}
"""Processes of a service in the full profile; 1 where nothing is said."""

_SHARED = {"open_cases_max": 100, "submissions_per_day": 1000}
"""The sandbox's few residents stand for everybody who tries it."""

_TOLD_TO_ONE = frozenset({"sample_ratio", "log_level", "traces_token", *_SHARED})
"""What the wiring says and one service may have otherwise. All else others were told too: they would look in the wrong place."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where rows and events live: `databases` has a URL per service."""

    databases: Mapping[str, str]
    events: str = field(repr=False)


def embedded_stores(folder: Folder) -> Stores:
    """SQLite files in the data folder."""
    return Stores(
        databases={service: f"sqlite:///{folder.database(service)}" for service in SERVICES},
        events=f"sqlite:///{folder.events}",
    )


@dataclass(frozen=True, slots=True)
class Wiring:
    """One system: who listens where, keeps what where, and knows whom."""

    options: Options
    profile: Profile
    folder: Folder
    ports: Ports
    stores: Stores
    _made_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def traces_token(self) -> str:
        """What senders of traces show at the console's receiver: one for each start, unless the person set one."""
        return self.options.services.get("TONGBAN_GATEWAY_TRACES_TOKEN") or self._made_token

    @property
    def agencies(self) -> Path:
        """The list of agencies: the sandbox's own, or the one that the options name."""
        if self.options.agencies:
            return self.options.agencies
        if self.options.sandbox:
            return CITY_AGENCIES
        raise StartupError(
            "TONGBAN_AGENCIES must name a YAML list of agencies, or TONGBAN_SANDBOX=1 ask for the synthetic city."
        )

    def settings(self, service: str, worker: int = 1) -> Common:
        """The settings of one process of a service."""
        kind: type[Common] = import_module(f"services.{service}.config").Settings
        values: dict[str, Any] = {
            "database": self.stores.databases[service],
            "events": self.stores.events,
            "grpc_host": self.ports.host,
            "grpc_port": self.ports.grpc_of(service),
            "peers": {peer: self.ports.address(peer) for peer in SERVICES},
            "pki": self.folder.pki,
            "keys": self.folder.keys(service),
            "otlp": self.ports.url,
            "otlp_token": self.traces_token,
            "sample_ratio": self.options.sample_ratio,
            "log_level": self.options.log_level,
            "log_file": str(self.log(service, worker)),
            "sandbox": self.options.sandbox,
            "worker": str(worker),
            "reuse_port": WORKERS.get(service, 1) > 1 and self.profile is Profile.FULL,
            **self._own(service),
        }
        prefix = f"tongban_{service}"
        for name in sorted(values.keys() - _TOLD_TO_ONE):
            if (variable := f"{prefix}_{name}".upper()) in self.options.services:
                raise StartupError(f"{variable} can't be told: where things are is settled for all services at once.")
        return kind.load(prefix, self.options.services, values)

    def log(self, service: str, worker: int = 1) -> Path:
        """Log file of a process; the embedded services share one."""
        if self.profile is Profile.EMBEDDED:
            return self.folder.logs / "tongban.log"
        return self.folder.logs / f"{_process(service, worker)}.log"

    def programs(self) -> list[Program]:
        """The services as processes of their own."""
        return [self._program(service, worker) for service in SERVICES for worker in range(1, _workers(service) + 1)]

    def city(self) -> Program:
        """The departments as a process of their own."""
        log = self.folder.logs / "departments.log"
        settings = CitySettings(
            data=self.folder.city,
            pki=self.folder.pki,
            identity=self.ports.address("identity"),
            exchange=self.ports.address("exchange"),
            licenses=self.ports.address("licenses"),
            gateway=self.ports.address("gateway"),
            operator=OPERATOR,
            rest_host=self.ports.host,
            rest_port=self.ports.grpc_of("registers"),
            people=self.options.people,
            seed=self.options.seed,
            otlp=self.ports.url,
            otlp_token=self.traces_token,
            sample_ratio=self.options.sample_ratio,
            log_level=self.options.log_level,
            log_file=str(log),
            with_parent=True,
        )
        return Program("departments", (sys.executable, "-m", "sandbox"), settings.environment(), log, on_pipe=True)

    def _own(self, service: str) -> dict[str, Any]:
        """What only one service has."""
        if service == "gateway":
            return {
                "http_host": self.ports.host,
                "http_port": self.ports.http,
                "agencies": self.agencies,
                "traces": str(self.folder.traces),
                "traces_token": self.traces_token,
                **(_SHARED if self.options.sandbox else {}),
            }
        if service == "identity":
            return {"issuer": self.ports.url}
        if service == "exchange":
            return {
                "http_host": self.ports.host,
                "http_port": self.ports.grpc_of("xroad"),
                "public_url": self.ports.url,
                **({"drops": self.folder.city / "drops", "cases": CITY_CASES} if self.options.sandbox else {}),
            }
        return {}

    def _program(self, service: str, worker: int) -> Program:
        return Program(
            name=_process(service, worker),
            command=(sys.executable, "-m", f"services.{service}"),
            environment=environment(service, self.settings(service, worker)),
            log=self.log(service, worker),
        )


def environment(prefix: str, settings: Common) -> dict[str, str]:
    """Settings as the variables that a process reads them from; what is default is left out."""
    told = settings.model_dump(exclude_defaults=True)
    return {f"{prefix.upper()}_{name.upper()}": _text(value) for name, value in told.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{name}={each}" for name, each in value.items())
    return str(value)


def _workers(service: str) -> int:
    return WORKERS.get(service, 1)


def _process(service: str, worker: int) -> str:
    return f"{service}-{worker}" if _workers(service) > 1 else service
