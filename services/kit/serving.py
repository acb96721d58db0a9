# SPDX-License-Identifier: Apache-2.0
"""The life of one service: open, serve, drain, close. Used by the process of a service, by all-in-one, and by tests.

Each service lives in a task of its own, so that its log fields, its caller and its spans are no other service's, even
where four of them share a process.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from structlog.contextvars import bind_contextvars
from tongban.identity.v1.identity_events_pb2 import AgencyChanged

from services.kit import logs
from services.kit.caller import acting_as
from services.kit.clock import Clock, utc_now
from services.kit.config import Common
from services.kit.consumer import Consumer, Listener, Routes
from services.kit.envelope import Envelope, service_topic
from services.kit.errors import StartupError
from services.kit.health import keep_health
from services.kit.http import HttpServer
from services.kit.opening import open_runtime
from services.kit.outbox import Relay
from services.kit.rpc.admission import Doorkeeper
from services.kit.rpc.server import Server
from services.kit.runtime import App, Runtime

SettingsT = TypeVar("SettingsT", bound=Common)
Running = Callable[[SettingsT, Runtime], AbstractAsyncContextManager[App]]
Work = Callable[[], Coroutine[Any, Any, None]]

# Shares of `drain_seconds_max`; what is left is for closing the store, the event log and the tracer.
_FINISH_SHARE = 0.4
_ANSWER_SHARE = 0.3


class Serving:
    """A service that serves. `ended` is set once it has drained and closed."""

    def __init__(self, runtime: Runtime, app: App, server: Server, http: HttpServer | None) -> None:
        self.runtime = runtime
        self.app = app
        self.name = app.name
        self._server = server
        self._http = http
        self._stop = asyncio.Event()
        self.ended = asyncio.Event()
        self._work: dict[str, asyncio.Task[None]] = {}
        self._broken: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    @property
    def grpc_port(self) -> int:
        """Give the port of the gRPC door."""
        return self._server.port

    @property
    def http_port(self) -> int:
        """Give the port of the HTTP door; 0 where there is none."""
        return 0 if self._http is None else self._http.port

    async def problems(self) -> Mapping[str, str]:
        """Give what is wrong by name; empty when ready."""
        return await self.runtime.readiness.problems()

    async def failure(self) -> BaseException:
        """Wait until something that must not end has broken, and give its exception."""
        return await asyncio.shield(self._broken)

    def stop(self) -> None:
        """Begin to drain. The `serving` block ends it; several services can drain at once this way."""
        self._stop.set()

    async def until_stopped(self) -> None:
        """Wait for `stop`."""
        await self._stop.wait()

    def begin(self, name: str, work: Work) -> None:
        """Run a task until the drain, as the service itself; one that breaks is the service's failure."""
        with acting_as(self.runtime.itself):
            task = asyncio.create_task(_named(work), name=f"{self.name}-{name}")
        self._work[name] = task
        task.add_done_callback(self._ended)

    async def drain(self, seconds: float) -> None:
        """Take nothing new; finish what is in hand; close the doors. Takes at most the shares of `seconds`."""
        self.runtime.readiness.draining()
        await self._server.health.enter_graceful_shutdown()
        relay = self._work.pop("relay", None)
        finishing = [self._ended_by(task, seconds * _FINISH_SHARE) for task in self._work.values()]
        await asyncio.gather(*finishing, self._close_http(seconds * _FINISH_SHARE))
        await self._server.drain(seconds * _ANSWER_SHARE)
        if relay is not None:
            await self._ended_by(relay, seconds * _ANSWER_SHARE)

    async def _close_http(self, seconds: float) -> None:
        """Send the spans first: in the embedded profile their receiver is behind this very door."""
        if self._http is not None:
            await asyncio.to_thread(self.runtime.telemetry.flush, seconds / 4)
            await self._http.drain(seconds * 3 / 4)

    async def _ended_by(self, task: "asyncio.Task[None]", seconds: float) -> None:
        task.cancel()
        await asyncio.wait({task}, timeout=seconds)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logs.get_logger().error("work_broke", service=self.name, work=task.get_name(), exc_info=error)
            if not self._broken.done():
                self._broken.set_result(error)


@asynccontextmanager
async def serving(
    settings: SettingsT, running: Running[SettingsT], *, name: str = "", clock: Clock = utc_now
) -> AsyncIterator[Serving]:
    """Serve inside the block; drain and close when it ends.

    Args:
        settings: the service's own.
        running: the service's `app.running`.
        name: the service's name; by default that of its package (`services.<name>.config`).
        clock: what time it is.

    Raises:
        StartupError: something that a person must mend, in one sentence.
        Unavailable: database or event log don't answer.
    """
    name = name or _name_of(type(settings))
    started: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
    life = asyncio.create_task(_live(name, settings, running, clock, started), name=f"{name}-life")
    try:
        either: list[asyncio.Future[Any]] = [life, started]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()
            raise StartupError(f"The {name} service ended before it started.")
        yield started.result()
    finally:
        if started.done() and not started.cancelled():
            started.result().stop()
        else:
            life.cancel()
        await asyncio.wait({life})
        if not life.cancelled() and (error := life.exception()) is not None and started.done():
            logs.get_logger().error("close_broke", service=name, exc_info=error)


async def _live(
    name: str,
    settings: SettingsT,
    running: Running[SettingsT],
    clock: Clock,
    started: "asyncio.Future[Serving]",
) -> None:
    begun = time.monotonic()
    bind_contextvars(service=name)
    async with AsyncExitStack() as stack:
        runtime = await open_runtime(stack, name, settings, clock)
        with acting_as(runtime.itself):
            app = await stack.enter_async_context(running(settings, runtime))
        await runtime.eventlog.ensure_topics(_topics(app))
        server = Server(name, settings, runtime.identity, runtime.telemetry, Doorkeeper(runtime.tokens, runtime.rights))
        server.add(app.rpc)
        http = _http_door(app, runtime)
        service = Serving(runtime, app, server, http)
        try:
            await server.start()
            if app.reached is not None:
                app.reached(server.own_port)
            if http is not None:
                await http.start()
            _set_to_work(service, server)
            runtime.readiness.opened()
            logs.get_logger().info("started", grpc_port=server.port, http_port=service.http_port, ms=_since(begun))
            started.set_result(service)
            await service.until_stopped()
        finally:
            begun = time.monotonic()
            await service.drain(settings.drain_seconds_max)
        logs.get_logger().info("drained", ms=_since(begun))
    service.ended.set()
    logs.get_logger().info("stopped", ms=_since(begun))


def _http_door(app: App, runtime: Runtime) -> HttpServer | None:
    if app.http is None:
        return None
    identity = runtime.identity if app.http_mutual else None
    return HttpServer(app.http, app.http_host, app.http_port, identity=identity, shared=runtime.settings.reuse_port)


def _set_to_work(service: Serving, server: Server) -> None:
    app, runtime, settings = service.app, service.runtime, service.runtime.settings
    readiness = runtime.readiness
    readiness.add("events", runtime.eventlog.ready)
    for name, check in app.ready.items():
        readiness.add(name, check)
    if app.store is not None:
        readiness.add("database", app.store.ready)
        service.begin("relay", Relay(app.store, runtime.eventlog).run)
        if app.topics:
            consumer = Consumer(
                store=app.store,
                eventlog=runtime.eventlog,
                telemetry=runtime.telemetry,
                routes=app.routes,
                topics=app.topics,
                worker=settings.worker,
                drain_seconds=settings.drain_seconds_max * _FINISH_SHARE * 0.8,
            )
            readiness.add("consumer", consumer.ready)
            service.begin("consumer", consumer.run)
    listener = Listener(
        service=app.name,
        eventlog=runtime.eventlog,
        telemetry=runtime.telemetry,
        routes=_heard_by_all(app, runtime),
        topics=sorted({service_topic("identity"), *app.all_topics}),
        opened=runtime.rights.forget_all,
    )
    service.begin("listener", listener.run)
    for number, work in enumerate(app.background):
        service.begin(f"background-{number}", work)
    service.begin("health", lambda: keep_health(server.health, readiness, app.name))


def _heard_by_all(app: App, runtime: Runtime) -> Routes:
    """Every service forgets an agency's rights when they change; what a service hears itself comes on top."""
    own = app.hears_all.get(AgencyChanged)
    if own is None:
        return {AgencyChanged: runtime.rights.on_agency_changed, **app.hears_all}

    async def both(fact: AgencyChanged, envelope: Envelope) -> None:
        await runtime.rights.on_agency_changed(fact, envelope)
        await own(fact, envelope)

    return {**app.hears_all, AgencyChanged: both}


def _topics(app: App) -> list[str]:
    return sorted({service_topic(app.name), service_topic("identity"), *app.topics, *app.all_topics})


async def _named(work: Work) -> None:
    await work()


def _name_of(settings: type[Common]) -> str:
    parts = settings.__module__.split(".")
    if len(parts) < 2 or parts[0] != "services":  # noqa: PLR2004 - services.<name>
        raise StartupError("The service has no name.")
    return parts[1]


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
