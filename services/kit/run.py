# SPDX-License-Identifier: Apache-2.0
"""The process around a service: settings, loop, signals, exit code. One place decides how processes start and stop."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import uvloop

from services.kit import logs
from services.kit.ending import leave
from services.kit.errors import StartupError, Unavailable
from services.kit.runtime import App, Runtime
from services.kit.serving import Running, Serving, SettingsT, serving

__all__ = ["App", "Runtime", "Serving", "StartupError", "hosted", "leave", "run", "serving", "until_told"]

_FIRST_SECONDS = 2.0
_GARBAGE_THRESHOLD = 20_000


def run(name: str, settings_class: type[SettingsT], running: Running[SettingsT]) -> NoReturn:
    """Be the process of one service: read `<NAME>_*`, serve until SIGINT or SIGTERM, drain, exit."""

    async def main() -> None:
        settings = settings_class.load(name, os.environ)
        logs.configure(settings.log_format, settings.log_level, settings.log_file)
        async with serving(settings, running, name=name) as service:
            await until_told(service)

    hosted(name, main)


async def until_told(*services: Serving) -> None:
    """Wait for SIGINT or SIGTERM, or for the failure of a service, which is raised; then let all drain.

    The last one given goes first, for two seconds at most: the doors of the others stay open for what it has in hand.
    """
    _spare_the_collector()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(service.failure()) for service in services]
    waiting.append(asyncio.create_task(told.wait()))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await _all_stopped(services)
    for task in waiting[:-1]:
        if task.done() and not task.cancelled():
            raise task.result()


def _spare_the_collector() -> None:
    """Leave what the start has made to itself, and look for garbage less often: a tenth of a busy server's time.

    Nothing is collected first: the door is open, and its handshakes would wait for longer than callers do.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)


async def _all_stopped(services: Sequence[Serving]) -> None:
    *others, first = services
    first.stop()
    if others:
        with suppress(TimeoutError):
            await asyncio.wait_for(first.ended.wait(), _FIRST_SECONDS)
    for service in others:
        service.stop()


def hosted(name: str, main: Callable[[], Awaitable[None]]) -> NoReturn:
    """Run `main` on uvloop and exit: 0, or a sentence on standard error and the code that belongs to it."""

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(_noted)
        await main()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(watched())
        code = 0
    except Exception as error:  # noqa: BLE001 - this is the last place
        code = error.exit_code if isinstance(error, StartupError) else 1
        logs.flush()
        sys.stderr.write(f"tongban {name}: {_sentence(error)}\n")
    except KeyboardInterrupt:
        code = 130
    leave(code)


def _sentence(error: Exception) -> str:
    """Say what a person can mend in one sentence; anything else with the place where it happened."""
    if isinstance(error, StartupError | Unavailable):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename or 'the system said no'}."
    if type(error).__module__.startswith("sqlalchemy"):
        cause = getattr(error, "orig", None) or error
        return f"The database can't be used: {cause}."
    return "It broke.\n" + "\n".join(logs.stack_of(error))


def _noted(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what a task or callback broke with, without its message, which may hold values."""
    error = context.get("exception")
    logs.get_logger().error("task_broke", exc_info=error if isinstance(error, BaseException) else None)
