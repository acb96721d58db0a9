# SPDX-License-Identifier: Apache-2.0
"""`python -m sandbox`: all departments in one process, until a signal or, with a parent, the end of standard input."""

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

import uvloop

from sandbox.host import hosting
from sandbox.settings import Settings
from services.kit import logs
from services.kit.ending import leave
from services.kit.errors import StartupError

_PIPE_BYTES = 4096


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    if settings.with_parent:
        _watch_parent(loop, stopping)
    async with hosting(settings) as host:
        logs.get_logger().info("departments_open", rest_port=host.rest_port)
        work = asyncio.create_task(host.work())
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if work.done():
            await work
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


def _watch_parent(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    """Stop when the pipe from the starter breaks: it has no other way to say that it was killed."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, _PIPE_BYTES):
                pass
        with suppress(RuntimeError):  # the loop may be closed by then
            loop.call_soon_threadsafe(stopping.set)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main() -> NoReturn:
    """Read the settings, serve, exit."""
    try:
        settings = Settings.load(os.environ)
        logs.configure(settings.log_format, settings.log_level, settings.log_file)
        uvloop.run(_serve(settings))
    except StartupError as error:
        sys.stderr.write(f"{error}\n")
        leave(error.exit_code)
    leave(0)


if __name__ == "__main__":
    main()
