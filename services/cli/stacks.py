# SPDX-License-Identifier: Apache-2.0
"""`tongban stack`: the full profile in the background, and its end."""

import os
import signal
import subprocess
import sys
import time

from services.cli.folder import Folder
from services.cli.options import Options, Profile
from services.cli.supervisor import tail
from services.kit.errors import StartupError

_READY_SECONDS = 150.0
_STOP_SECONDS = 45.0
_LOOK_SECONDS = 0.2
_READY = "Tongban is ready"


def start(options: Options) -> None:
    """Start it in a session of its own and wait until it says that it is ready."""
    folder = Folder.of(options.data, Profile.FULL)
    if (holder := folder.holder) is not None:
        raise StartupError(f"The full profile is running already (process {holder}); `tongban stack stop` ends it.")
    try:
        folder.logs.mkdir(parents=True, exist_ok=True)
        log = folder.logs / "stack.log"
        log.write_text("", encoding="utf-8")
    except OSError as error:
        raise StartupError(f"The data folder {folder.root} can't be written: {error.strerror}.") from error
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli.main", "run", "--profile", Profile.FULL.value],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    print("Starting Kafka, PostgreSQL, the services and the departments ...", flush=True)
    ends = time.monotonic() + _READY_SECONDS
    while _READY not in (said := tail(log)):
        if process.poll() is not None:
            raise StartupError(f"It ended while starting. {said.removeprefix('tongban run: ')}")
        if time.monotonic() > ends:
            process.send_signal(signal.SIGTERM)
            raise StartupError(f"It was not ready within {_READY_SECONDS:.0f} s; see {folder.logs}.")
        time.sleep(_LOOK_SECONDS)
    print(said)


def stop(options: Options) -> None:
    """Ask it to stop and wait until it has."""
    folder = Folder.of(options.data, Profile.FULL)
    holder = folder.holder
    if holder is None:
        print("The full profile is not running.")
        return
    os.kill(holder, signal.SIGTERM)
    ends = time.monotonic() + _STOP_SECONDS
    while folder.holder is not None:
        if time.monotonic() > ends:
            raise StartupError(f"It did not stop within {_STOP_SECONDS:.0f} s; see {folder.logs}.")
        time.sleep(_LOOK_SECONDS)
    print("Stopped; its data stays.")
