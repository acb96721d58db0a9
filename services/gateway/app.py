# SPDX-License-Identifier: Apache-2.0
"""The only place where the objects of the gateway meet."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from tongban.gateway.v1 import gateway_events_pb2
from tongban.gateway.v1.clocks_service_pb2_grpc import add_ClockServiceServicer_to_server
from tongban.gateway.v1.engine_service_pb2_grpc import (
    add_OperatorServiceServicer_to_server,
    add_SignalServiceServicer_to_server,
)
from tongban.gateway.v1.gateway_service_pb2_grpc import (
    add_StepServiceServicer_to_server,
    add_TaskServiceServicer_to_server,
)
from tongban.gateway.v1.matters_events_pb2 import MatterActivated
from tongban.gateway.v1.matters_service_pb2_grpc import add_MatterServiceServicer_to_server
from tongban.identity.v1.identity_events_pb2 import AgencyChanged
from tongban.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server

from services.gateway.clients import (
    ClamScanner,
    ConsentsClient,
    CorrectionsClient,
    EicarScanner,
    ExchangeClient,
    IdentityClient,
    LedgerClient,
    LicensesClient,
    MailSender,
    MailServer,
    NamesClient,
    OpenDataClient,
)
from services.gateway.config import Settings
from services.gateway.console.routes import LARGER_BODIES, console_routes
from services.gateway.console.store import TraceStore
from services.gateway.domain.bounds import Bounds
from services.gateway.domain.contacts import Channel
from services.gateway.events import OWNERS, GatewayEvents, to_wire
from services.gateway.rest.app import build_app
from services.gateway.rest.limits import Buckets, Limits
from services.gateway.rpc import ClockRpc, MatterRpc, OperatorRpc, SignalRpc, StepRpc, TaskRpc
from services.gateway.service import GatewayService
from services.gateway.service.accesses import LOGS
from services.gateway.service.activations import ActivationDesk
from services.gateway.service.bell import Bell
from services.gateway.service.clock_desk import ClockDesk
from services.gateway.service.contacts import ContactDesk
from services.gateway.service.corrections import RecallDesk
from services.gateway.service.dealing import DealingDesk
from services.gateway.service.drafts import Drafts
from services.gateway.service.engine import Engine
from services.gateway.service.inbox import Inbox
from services.gateway.service.life import Life, MaterialDesk
from services.gateway.service.materials import Scanner
from services.gateway.service.notices import NoticeDesk, PostDesk, SandboxSender, Sender
from services.gateway.service.operating import OperatorDesk
from services.gateway.service.outside import OutsideDesk
from services.gateway.service.prefill import Prefiller
from services.gateway.service.resident import Sources
from services.gateway.service.statistics import StatisticDesk
from services.gateway.service.steps import StepDesk
from services.gateway.service.tasks import TaskDesk
from services.gateway.service.timers import TimerDesk
from services.gateway.service.voices import Voices
from services.gateway.service.webhooks import WebhookDesk
from services.gateway.store import SqlGatewayStore
from services.gateway.workflows import clock_rules, load_workflows
from services.kit.envelope import Envelope, topic_of
from services.kit.errors import Unavailable
from services.kit.ledger.rpc import LedgerRpc
from services.kit.rpc.peer import Peer
from services.kit.runtime import App, Runtime

_FORGET_EVERY_SECONDS = 3600
_HEALTH_SECONDS = 1.5


@asynccontextmanager
async def running(settings: Settings, runtime: Runtime) -> AsyncIterator[App]:
    """Load the matters, open the stores and wire the use cases to their doorways."""
    workflows = load_workflows(settings.matters, settings.agencies, clock_rules(settings.limits, settings.region))
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqlGatewayStore.open(runtime, encode=to_wire))
        async with store.transaction() as tx:
            await tx.found_roster(clerk for agency in workflows.agencies for clerk in agency.clerks)
        traces = await stack.enter_async_context(TraceStore.open(settings.traces))
        identity = IdentityClient(runtime.peer("identity"))
        exchange = ExchangeClient(runtime.peer("exchange"))
        bell = Bell()
        engine = Engine(store, workflows, bell, runtime.telemetry, clock=runtime.clock, tries_max=settings.tries_max)
        prefiller = Prefiller(identity, exchange, workflows)
        licenses = LicensesClient(runtime.peer("licenses"), workflows)
        bounds = Bounds(
            drafts=settings.drafts_max,
            draft_days=settings.draft_days,
            open_cases=settings.open_cases_max,
            submissions_per_day=settings.submissions_per_day,
            draft_bytes=settings.draft_bytes_max,
        )
        materials = MaterialDesk(engine, licenses, bounds, _scanner(settings))
        service = GatewayService(
            engine,
            Drafts(engine, prefiller, bounds, materials),
            Sources(
                identity,
                licenses,
                LedgerClient(
                    {log: runtime.peer(log) for log in LOGS},
                    workflows,
                    NamesClient(runtime.peer("identity"), runtime.peer("exchange")),
                ),
                CorrectionsClient(runtime.peer("exchange"), workflows),
                ConsentsClient(runtime.peer("exchange"), workflows),
            ),
            poll_seconds=settings.poll_seconds,
            sandbox=settings.sandbox,
        )
        activations = ActivationDesk(engine, store)
        await activations.load()
        steps = StepDesk(engine, exchange)
        tasks = TaskDesk(engine, lease_seconds=settings.lease_seconds, poll_seconds=settings.poll_seconds)
        dealings = DealingDesk(engine, store, lease_seconds=settings.lease_seconds)
        clocks = ClockDesk(engine)
        timers = TimerDesk(engine, poll_seconds=settings.poll_seconds)
        webhooks = WebhookDesk(
            store, clock=runtime.clock, hosts=settings.webhook_hosts, poll_seconds=settings.poll_seconds
        )
        senders = _senders(settings, store, engine)
        voices = Voices(NoticeDesk(store, engine), ContactDesk(store, senders, clock=runtime.clock))
        posts = PostDesk(store, engine, senders, public_url=settings.public_url, poll_seconds=settings.poll_seconds)
        statistics = StatisticDesk(store, workflows)
        events = GatewayEvents(steps, RecallDesk(engine), webhooks, statistics, bell)
        sign_ins = settings.sign_ins_per_minute
        console = console_routes(
            service,
            runtime.tokens,
            traces,
            Buckets(Limits(per_second=sign_ins / 60, burst=sign_ins)),
            sandbox=settings.sandbox,
            traces_token=settings.traces_token,
            outbox=voices.notices if settings.sandbox else None,
        )

        async def on_activated(_fact: MatterActivated, _envelope: Envelope) -> None:
            """Another process, or this one, confirmed a version: offer it here, too."""
            await activations.load()

        async def forget_keys() -> None:
            while True:
                with suppress(Unavailable):  # The next round catches up.
                    await store.forget_keys(runtime.clock() - timedelta(days=settings.key_days))
                    await webhooks.forget_old()
                    await voices.contacts.forget_old()
                await asyncio.sleep(_FORGET_EVERY_SECONDS)

        yield App(
            name="gateway",
            rpc=[
                (add_StepServiceServicer_to_server, StepRpc(steps)),
                (add_SignalServiceServicer_to_server, SignalRpc(OutsideDesk(engine))),
                (add_OperatorServiceServicer_to_server, OperatorRpc(OperatorDesk(engine))),
                (add_LedgerServiceServicer_to_server, LedgerRpc(store.ledger)),
                (add_TaskServiceServicer_to_server, TaskRpc(tasks, dealings)),
                (add_ClockServiceServicer_to_server, ClockRpc(clocks)),
                (add_MatterServiceServicer_to_server, MatterRpc(activations)),
            ],
            store=store,
            routes=events.routes,
            topics=events.topics,
            hears_all={**events.wakes, AgencyChanged: runtime.rights.on_agency_changed, MatterActivated: on_activated},
            all_topics=(topic_of(gateway_events_pb2.CaseSubmitted), topic_of(AgencyChanged)),
            background=[timers.run, clocks.run, webhooks.run, posts.run, forget_keys],
            http=build_app(
                service,
                runtime.tokens,
                webhooks=webhooks,
                statistics=statistics,
                voices=voices,
                open_data=OpenDataClient(runtime.peer("exchange")),
                inbox=Inbox(engine, store),
                life=Life(engine, prefiller, materials),
                telemetry=runtime.telemetry,
                ready=runtime.readiness.problems,
                limits=Limits(
                    per_second=settings.requests_per_second,
                    burst=settings.requests_burst,
                    in_flight_max=settings.requests_in_flight_max,
                    streams_max=settings.streams_max,
                ),
                sandbox=settings.sandbox,
                sample_ratio=settings.sample_ratio,
                clock=runtime.clock,
                console=console,
                larger_bodies=LARGER_BODIES,
            ),
            http_host=settings.http_host,
            http_port=settings.http_port,
            ready=_checks(settings, runtime, identity),
        )


def _senders(settings: Settings, store: SqlGatewayStore, engine: Engine) -> dict[Channel, Sender]:
    """Mail by SMTP where there is a server; in a sandbox everything else goes to its outbox."""
    senders: dict[Channel, Sender] = {}
    if settings.sandbox:
        senders = {channel: SandboxSender(store, channel, engine) for channel in Channel}
    if settings.mail_host:
        server = MailServer(
            settings.mail_host,
            settings.mail_port,
            settings.mail_from,
            settings.mail_user,
            settings.mail_password,
            starttls=settings.mail_starttls,
        )
        senders[Channel.MAIL] = MailSender(server, clock=engine.clock)
    return senders


def _scanner(settings: Settings) -> Scanner | None:
    """ClamAV where there is one; in a sandbox a part that knows a test string; else none, and no file is taken."""
    if settings.scanner:
        return ClamScanner(settings.scanner)
    return EicarScanner() if settings.sandbox else None


def _checks(settings: Settings, runtime: Runtime, identity: IdentityClient) -> dict[str, Callable[[], Awaitable[None]]]:
    """What `/readyz` looks at beside database and event log: the services behind, and in a sandbox its people."""
    checks: dict[str, Callable[[], Awaitable[None]]] = {name: _serves(runtime.peer(name)) for name in OWNERS}

    async def city() -> None:
        if not await identity.personas():
            raise Unavailable("The sandbox city has not moved in yet.")

    if settings.sandbox:
        checks["city"] = city
    return checks


def _serves(peer: Peer) -> Callable[[], Awaitable[None]]:
    """Whether another service says of itself that it serves (grpc.health.v1)."""
    stub = peer.stub(HealthStub)

    async def check() -> None:
        answer = await peer.call(stub.Check, HealthCheckRequest(), timeout_seconds=_HEALTH_SECONDS)
        if answer.status != HealthCheckResponse.SERVING:
            raise Unavailable(f"The {peer.service} service does not serve yet.")

    return check
