# SPDX-License-Identifier: Apache-2.0
"""Wraps handlers whose responses are a stream. Streams need no deadline: some live as long as the process."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from services.kit.errors import Unavailable
from services.kit.rpc.unit import Door, Plan, Unit, abort

Take = Callable[[Any, Any], Awaitable[Any]]
"""Gives a handler its request, or requests, from gRPC's stream of bodies and the context."""


class Stream:
    """One method that streams: its handler either yields responses, or writes them to the context (gRPC's own do)."""

    def __init__(self, door: Door, plan: Plan, behavior: Callable[[Any, Any], Any], take: Take) -> None:
        self._door = door
        self._plan = plan
        self._attributes = plan.attributes
        self._behavior = behavior
        self._take = take

    @property
    def handler(self) -> Callable[[Any, Any], Any]:
        """Give the wrapped handler, of the same kind as the one inside."""
        return self._yielding if inspect.isasyncgenfunction(self._behavior) else self._writing

    async def _yielding(self, bodies: Any, context: Any) -> AsyncIterator[Any]:
        unit = Unit(self._door, self._plan, self._attributes)
        task = self._begun()
        try:
            await self._let_in(unit, context)
            async for response in self._behavior(await self._take(bodies, context), context):
                await unit.readmit()
                yield response
        except BaseException as error:
            await self._refuse(unit, error, context)
            raise
        finally:
            self._leave(unit, task)

    async def _writing(self, bodies: Any, context: Any) -> None:
        unit = Unit(self._door, self._plan, self._attributes)
        task = self._begun()
        try:
            await self._let_in(unit, context)
            await self._behavior(await self._take(bodies, context), context)
        except BaseException as error:
            await self._refuse(unit, error, context)
            raise
        finally:
            self._leave(unit, task)

    def _begun(self) -> "asyncio.Task[Any]":
        task = _task()
        self._door.ongoing.add(task)
        return task

    async def _let_in(self, unit: Unit, context: Any) -> None:
        if self._plan.opened:
            unit.enter(context)
            return
        await unit.admit(context)
        unit.opened()

    async def _refuse(self, unit: Unit, error: BaseException, context: Any) -> None:
        """Answer with a status; returns where gRPC itself must see the exception."""
        status = unit.failed(self._drained(error))
        if status is not None:
            await abort(context, status)

    def _drained(self, error: BaseException) -> BaseException:
        """Tell a client whose stream the drain ended to come again; its own cancellation stays what it is."""
        if isinstance(error, asyncio.CancelledError) and _task() not in self._door.ongoing:
            _task().uncancel()
            return Unavailable(f"The {self._door.service} service is stopping.", retry_after_seconds=1)
        return error

    def _leave(self, unit: Unit, task: "asyncio.Task[Any]") -> None:
        """Let go of the task that began: a stream that is cut may be closed from another."""
        self._door.ongoing.discard(task)
        unit.leave()


def _task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None, "gRPC runs every handler in a task"
    return task
