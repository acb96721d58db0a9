# SPDX-License-Identifier: Apache-2.0
"""Ports: the row that a system takes, whether it can be had, and free rows for throw-away systems."""

import random
import socket
from dataclasses import dataclass

from services.kit.errors import StartupError

ROW = ("identity", "licenses", "exchange", "gateway", "registers", "xroad")
"""Who takes which port of the row, from the first on; `registers` is the sandbox's REST register, `xroad` the exchange's door for neighbors."""

_LOW, _HIGH = 20_000, 32_000
"""Below the range from which systems give out ports of their own (32768 and up on Linux)."""
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Ports:
    """The public port and the first of the row."""

    host: str
    http: int
    grpc: int

    def grpc_of(self, name: str) -> int:
        """The port of a service."""
        return self.grpc + ROW.index(name)

    def address(self, name: str) -> str:
        """Where peers reach a service: loopback, where it listens on every address."""
        return f"{_reachable(self.host)}:{self.grpc_of(name)}"

    @property
    def url(self) -> str:
        """Base of the public door."""
        return f"http://{_reachable(self.host)}:{self.http}"

    def check(self) -> None:
        """Refuse with one sentence where a port is taken."""
        if not _free(self.host, self.http):
            raise StartupError(f"Port {self.http} on {self.host} is in use; set TONGBAN_HTTP_PORT to another.")
        for name in ROW:
            if not _free(self.host, self.grpc_of(name)):
                raise StartupError(
                    f"Port {self.grpc_of(name)} on {self.host} is in use; set TONGBAN_GRPC_PORT to the first of "
                    f"{len(ROW)} free ones."
                )


def free_ports(host: str = "127.0.0.1") -> Ports:
    """A free public port and a free row; somebody may still take one of them before we do."""
    for _ in range(_TRIES):
        first = random.randrange(_LOW, _HIGH, len(ROW) + 1)  # noqa: S311 - spreads, hides nothing
        if all(_free(host, first + offset) for offset in range(len(ROW) + 1)):
            return Ports(host=host, http=first, grpc=first + 1)
    raise StartupError("No row of free ports was found.")


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
