# SPDX-License-Identifier: Apache-2.0
"""The data folder: where what lies, and who uses it now."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.cli.options import Profile
from services.kit.errors import StartupError


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of one profile: the two don't share data, and may lie in one TONGBAN_DATA."""

    root: Path

    @classmethod
    def of(cls, data: Path, profile: Profile) -> Self:
        """The profile's own folder."""
        return cls(data if profile is Profile.EMBEDDED else data / "full")

    @property
    def pki(self) -> Path:
        """Certificates."""
        return self.root / "pki"

    @property
    def city(self) -> Path:
        """The departments' registers."""
        return self.root / "city"

    @property
    def logs(self) -> Path:
        """Log files, one per process."""
        return self.root / "log"

    @property
    def processes(self) -> Path:
        """Table of the running processes: name to process id."""
        return self.root / "processes.json"

    @property
    def traces(self) -> Path:
        """The console's trace store."""
        return self.root / "db" / "traces.sqlite"

    def city_is_ready(self) -> bool:
        """Whether the departments that run now have opened their registers and the city is known."""
        try:
            said = (self.city / "ready").read_text(encoding="ascii")
        except OSError:
            return False
        return said == str(self.known_processes().get("departments", ""))

    def database(self, service: str) -> Path:
        """A service's SQLite file."""
        return self.root / "db" / f"{service}.sqlite"

    @property
    def events(self) -> Path:
        """The embedded event log."""
        return self.root / "db" / "events.sqlite"

    def keys(self, service: str) -> Path:
        """A service's data keys."""
        return self.root / "keys" / service

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Make the folder and hold it: one system per folder. The lock goes with the process, however it ends."""
        try:
            for path in (self.root, self.root / "db", self.logs, self.city):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.root / "lock").open("a+", encoding="ascii")
        except OSError as error:
            raise StartupError(
                f"The data folder {self.root} can't be written: {error.strerror}. Set TONGBAN_DATA to another."
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise StartupError(
                    f"Another instance (process {holder}) is running on {self.root}; stop it, or set TONGBAN_DATA."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            self.tell_processes({})
            try:
                yield
            finally:
                with suppress(OSError):
                    self.processes.unlink()

    @property
    def holder(self) -> int | None:
        """Process id of the instance that runs on this folder, if one does."""
        try:
            with (self.root / "lock").open("r", encoding="ascii") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    text = lock.read().strip()
                    return int(text) if text.isdigit() else None
        except OSError:
            pass
        return None

    def tell_processes(self, processes: Mapping[str, int]) -> None:
        """Write the table of processes, whole or not at all."""
        draft = self.processes.with_suffix(".new")
        draft.write_text(json.dumps(dict(processes), indent=1), encoding="ascii")
        draft.replace(self.processes)

    def known_processes(self) -> dict[str, int]:
        """Read the table; empty where nothing runs."""
        try:
            table: dict[str, int] = json.loads(self.processes.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return {}
        return table
