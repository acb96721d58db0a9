# SPDX-License-Identifier: Apache-2.0
"""Brings a database to the schema of this release. Alembic is imported only where something is to do: it costs 0.8 s."""

import asyncio
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, inspect, text
from sqlalchemy import exc as errors

import services
from services.kit.errors import StartupError
from services.kit.store.engine import Engines, connected, open_engines

_LOCK_KEY: Final = 0x746F6E67  # one migration at a time in a PostgreSQL database
# Alembic's `op` is one for the whole process, and the embedded profile starts four services in it.
_turns: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]" = WeakKeyDictionary()


class SchemaTooNew(StartupError):  # noqa: N818 - it states what is so
    """A newer release has written this database; this one does not know what its rows mean."""


class DatabaseBroken(StartupError):  # noqa: N818 - it states what is so
    """What is there is no database of ours, or can't be written."""


async def upgrade(url: str, service: str, migrations: Path | None = None) -> None:
    """Run the migrations that this database lacks. Processes that start together wait for each other.

    Args:
        url: the service's database.
        service: whose migrations: `services/<service>/migrations/versions/NNNN_<what>.py`, revision = file name without `.py`.
        migrations: another folder that holds `versions/`.

    Raises:
        Unavailable: the database does not answer.
        SchemaTooNew: it is ahead of this release.
        DatabaseBroken: it can't be read or written.
    """
    folder = migrations or Path(next(iter(services.__path__))) / service / "migrations"
    known = revisions(folder)
    engines = open_engines(url, application=f"{service}-migrate")
    try:
        _make_folder(engines)
        if await _current(engines) == known[-1]:
            return
        turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with turn, connected(engines.writing) as connection, connection.begin():
            await connection.run_sync(_run, folder, known)
    except errors.DatabaseError as broken:
        if isinstance(broken, errors.ProgrammingError | errors.IntegrityError | errors.DataError):
            raise
        raise DatabaseBroken(f"The database of {service} can't be used: {type(broken.orig).__name__}.") from broken
    except PermissionError as refused:
        raise DatabaseBroken(f"The folder of the database of {service} can't be written.") from refused
    finally:
        await engines.close()


def revisions(folder: Path) -> list[str]:
    """The revisions that this release knows, in order of their numbers."""
    found = sorted(file.stem for file in (folder / "versions").glob("[0-9]*.py"))
    if not found:
        raise StartupError(f"There are no migrations in {folder}.")
    return found


def _make_folder(engines: Engines) -> None:
    if engines.dialect == "sqlite":
        Path(str(engines.writing.url.database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)


async def _current(engines: Engines) -> str | None:
    async with connected(engines.writing) as connection:
        return await connection.run_sync(_version)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _run(connection: Connection, folder: Path, known: list[str]) -> None:
    """All or nothing, in one transaction, which on SQLite is the lock as well."""
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    current = _version(connection)
    if current is not None and current not in known:
        raise SchemaTooNew(f"The database is at {current}; this release knows no schema after {known[-1]}.")
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs(known[-1], revision)  # noqa: SLF001 - what `alembic upgrade` itself calls

    with EnvironmentContext(config, scripts, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
