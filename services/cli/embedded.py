# SPDX-License-Identifier: Apache-2.0
"""The embedded profile: the four services in this process, the departments in a second one."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib import import_module

from services.cli.names import SERVICES
from services.cli.supervisor import Supervisor
from services.cli.wiring import Wiring
from services.kit import logs
from services.kit.run import Serving, serving, until_told

_LOOK_SECONDS = 0.1


async def embedded(wiring: Wiring, announce: Callable[[], None]) -> None:
    """Serve until a signal; `announce` is called once everything can be used."""
    first = wiring.settings("identity")
    logs.configure(first.log_format, first.log_level, first.log_file)
    supervisor = Supervisor(wiring.folder.tell_processes)
    async with AsyncExitStack() as stack:
        if wiring.options.sandbox:
            # At once: they take as long to start as the services do, and wait for them by themselves.
            supervisor.keep(wiring.city())
        stack.push_async_callback(supervisor.stop)
        services = [await _serving(stack, wiring, name) for name in SERVICES]
        stack.push_async_callback(supervisor.stop)  # before the services: what is in hand is still answered
        announcing = asyncio.create_task(_announce(wiring, services[-1], announce))
        stack.callback(announcing.cancel)
        await until_told(*services)


async def _serving(stack: AsyncExitStack, wiring: Wiring, name: str) -> Serving:
    running = import_module(f"services.{name}.app").running
    return await stack.enter_async_context(serving(wiring.settings(name), running))


async def _announce(wiring: Wiring, gateway: Serving, announce: Callable[[], None]) -> None:
    """Wait for every readiness check, and for the departments."""
    # The checks ask others, over the wire or another process: nothing here could set an event.
    while await gateway.problems() or (wiring.options.sandbox and not wiring.folder.city_is_ready()):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)
    announce()
