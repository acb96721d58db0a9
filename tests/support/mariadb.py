# SPDX-License-Identifier: Apache-2.0
"""A real MariaDB, one throw-away server for the whole test session; every test gets a database of its own.

It runs on an empty folder without privilege tables: nothing is installed, it starts in a second, and every user may
enter. What tests ask of it (sessions that only read) rests on no privilege.
"""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncmy
import pytest

from tests.support.mesh import free_port
from tests.support.missing import missing
from tests.support.scratch import scratch

NOBODY = 65534
START_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class MariaDb:
    """A running server on a loopback port."""

    port: int

    def url(self, database: str) -> str:
        """Where a department's database is."""
        return f"mariadb://reader:secret@127.0.0.1:{self.port}/{database}"

    async def run(self, *statements: str, database: str | None = None) -> None:
        """Run statements as their owner would."""
        connection = await asyncmy.connect(host="127.0.0.1", port=self.port, user="owner", db=database, autocommit=True)
        try:
            async with connection.cursor() as cursor:
                for each in statements:
                    await cursor.execute(each)
        finally:
            await connection.ensure_closed()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        missing("MariaDB is not installed here: apt-get install mariadb-server-core.")
    folder = scratch("tongban-mariadb-")
    port = free_port()
    arguments = [
        program,
        "--no-defaults",
        "--skip-grant-tables",
        "--skip-networking=0",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        f"--datadir={folder}",
        f"--socket={folder}/s",
        f"--pid-file={folder}/pid",
        f"--log-error={folder}/server.err",
        "--innodb-buffer-pool-size=16M",
        "--innodb-log-file-size=4M",
    ]
    user: dict[str, object] = {}
    if os.geteuid() == 0:  # It refuses to run as root, and rightly.
        os.chown(folder, NOBODY, NOBODY)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)  # type: ignore[call-overload]
    try:
        _until_ready(folder, process)
        yield MariaDb(port)
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def mariadb_database(server: MariaDb) -> AsyncIterator[str]:
    """The name of an empty database; dropped at the end."""
    name = f"t_{uuid.uuid4().hex}"
    await server.run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield name
    finally:
        await server.run(f"DROP DATABASE {name}")


def _until_ready(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + START_SECONDS_MAX
    while "ready for connections" not in _log(folder):
        if process.poll() is not None or time.monotonic() > ends:
            pytest.fail(f"MariaDB does not start: {_log(folder)[-2000:]}")
        time.sleep(0.05)


def _log(folder: Path) -> str:
    path = folder / "server.err"
    return path.read_text(encoding="utf-8") if path.exists() else ""
