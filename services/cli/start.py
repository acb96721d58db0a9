# SPDX-License-Identifier: Apache-2.0
"""`tongban run`: checks what a person can mend, prepares the folder, starts a profile, says where things are."""

import os
import sqlite3
import sys
import time
from pathlib import Path

from services.cli.folder import Folder
from services.cli.names import SERVICES
from services.cli.options import Options, Profile
from services.cli.papers import prepare, usccs_of
from services.cli.ports import Ports
from services.cli.wiring import Stores, Wiring, embedded_stores
from services.kit.errors import StartupError
from services.kit.run import hosted

_PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.1


def run(options: Options, profile: Profile) -> None:
    """Run until a signal. Ends the process."""
    folder = Folder.of(options.data, profile)
    ports = Ports(options.host, options.http_port, options.grpc_port)

    async def main() -> None:
        with folder.in_use():
            _have(ports)
            if profile is Profile.EMBEDDED:
                await _embedded(options, folder, ports)
            else:
                await _full(options, folder, ports)

    hosted("run", main)


async def _embedded(options: Options, folder: Folder, ports: Ports) -> None:
    from services.cli.embedded import embedded  # noqa: PLC0415 - a second of imports, after the cheap checks

    _check_databases(folder)
    wiring = Wiring(options, Profile.EMBEDDED, folder, ports, embedded_stores(folder))
    prepare(folder.pki, usccs_of(wiring.agencies))
    begun = time.monotonic()
    await embedded(wiring, lambda: _announce(wiring, begun))


async def _full(options: Options, folder: Folder, ports: Ports) -> None:
    from services.cli.full import full  # noqa: PLC0415 - the embedded profile needs none of it

    begun = time.monotonic()
    made: list[Wiring] = []

    def wire(stores: Stores) -> Wiring:
        wiring = Wiring(options, Profile.FULL, folder, ports, stores)
        prepare(folder.pki, usccs_of(wiring.agencies))
        made.append(wiring)
        return wiring

    await full(wire, folder, lambda: _announce(made[0], begun))


def _have(ports: Ports) -> None:
    """Ports of an instance that was just killed come free within moments."""
    ends = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            ports.check()
        except StartupError:
            if time.monotonic() > ends:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _check_databases(folder: Folder) -> None:
    """A broken file is told by name before anything writes next to it."""
    paths = [*(folder.database(service) for service in SERVICES), folder.events, folder.traces]
    for path in paths:
        if path.exists() and not _is_database(path):
            raise StartupError(
                f"{path} is not a readable SQLite database; nothing was changed. "
                "Restore it from a copy, or set TONGBAN_DATA to another folder."
            )


def _is_database(path: Path) -> bool:
    """The header and the schema can be read; a full check would take time in proportion to the data."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=5)
        try:
            connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False
    return True


def _announce(wiring: Wiring, begun: float) -> None:
    ports = wiring.ports
    lines = [
        "",
        f"Tongban is ready after {time.monotonic() - begun:.1f} s ({wiring.profile.value} profile).",
        "",
        f"  API        {ports.url}/api/v1      its documentation {ports.url}/docs",
        f"  Console    {ports.url}/console     traces by receipt number",
        f"  gRPC       {ports.address('identity')} identity, then licenses, exchange, gateway; mutual TLS",
        f"  X-Road     https://{ports.address('xroad')}/r1   for agencies, with their certificate",
        f"  Data       {wiring.folder.root}      certificates in pki/, log files in log/",
    ]
    if wiring.profile is Profile.FULL:
        place = wiring.stores.events.rpartition("@")[2]
        lines.append(
            f"  Events     Kafka at {place}; its tools sign in with kafka/client.properties of the data folder"
        )
    if wiring.options.sandbox:
        lines += [
            f"  Sign in    {_command()} token --persona mother-1{_at(ports)}",
            "             mother-1 to mother-6, father-1, clerk-civil-affairs, operator-1: made-up people, no password",
        ]
    lines += [
        "  Stop       " + ("Ctrl-C" if wiring.profile is Profile.EMBEDDED else "tongban stack stop, or Ctrl-C"),
        "",
    ]
    print("\n".join(lines), flush=True)


def _command() -> str:
    """How the person at this terminal can call us: the way they just did."""
    program = Path(sys.argv[0])
    if program.name != "tongban":
        return "tongban"
    near = os.path.relpath(program)
    return str(program) if near.startswith("..") else near


def _at(ports: Ports) -> str:
    return "" if ports.url == "http://127.0.0.1:8080" else f" --url {ports.url}"
