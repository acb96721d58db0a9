# SPDX-License-Identifier: Apache-2.0
"""Where the exchange's objects meet."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import date
from functools import partial
from typing import Any

from tongban.exchange.v1 import exchange_service_pb2_grpc as doors
from tongban.exchange.v1.applications_service_pb2_grpc import add_ApplicationServiceServicer_to_server
from tongban.exchange.v1.batches_service_pb2_grpc import add_BatchServiceServicer_to_server
from tongban.exchange.v1.catalogue_service_pb2_grpc import add_EntryServiceServicer_to_server
from tongban.exchange.v1.changes_service_pb2_grpc import add_ChangeServiceServicer_to_server
from tongban.exchange.v1.consents_service_pb2_grpc import (
    add_ConsentServiceServicer_to_server,
    add_PreviewServiceServicer_to_server,
)
from tongban.exchange.v1.corrections_service_pb2_grpc import add_CorrectionServiceServicer_to_server
from tongban.exchange.v1.demands_service_pb2_grpc import add_DemandServiceServicer_to_server
from tongban.exchange.v1.documents_service_pb2_grpc import add_DocumentServiceServicer_to_server
from tongban.exchange.v1.drops_service_pb2_grpc import add_FileDropServiceServicer_to_server
from tongban.exchange.v1.grants_service_pb2_grpc import add_GrantServiceServicer_to_server
from tongban.exchange.v1.lines_service_pb2_grpc import add_LineServiceServicer_to_server
from tongban.exchange.v1.opendata_service_pb2_grpc import add_OpenDataServiceServicer_to_server
from tongban.exchange.v1.providers_service_pb2_grpc import add_ProviderServiceServicer_to_server
from tongban.exchange.v1.requests_service_pb2_grpc import add_DataRequestServiceServicer_to_server
from tongban.exchange.v1.search_service_pb2_grpc import add_SearchServiceServicer_to_server
from tongban.exchange.v1.subscriptions_service_pb2_grpc import add_SubscriptionServiceServicer_to_server
from tongban.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server

from services.exchange.adapters.drop import read_file
from services.exchange.adapters.folder import WatchedFolder, keep_looking
from services.exchange.adapters.kinds import adapters as known_adapters
from services.exchange.adapters.opendata.dcat import DcatWriter
from services.exchange.adapters.opendata.producer import ReleaseProducer
from services.exchange.adapters.watched import watched
from services.exchange.clients import MembersClient, PersonsClient, ProcessesClient, StepsClient
from services.exchange.config import Settings
from services.exchange.domain.xroad import instance_of
from services.exchange.events import (
    ALL_TOPICS,
    TOPICS,
    CallEvents,
    CorrectionEvents,
    ExchangeEvents,
    ProviderEvents,
    RulebookEvents,
    encode,
    together,
)
from services.exchange.rest.xroad import XroadDoor
from services.exchange.rest.xroad.meta import MetaCalls
from services.exchange.rest.xroad.services import ResourceCalls
from services.exchange.rpc import (
    ApplicationRpc,
    BatchRpc,
    CatalogueRpc,
    ChangeRpc,
    ConnectorRpc,
    ConsentRpc,
    CorrectionRpc,
    DataRequestRpc,
    DemandRpc,
    DocumentRpc,
    EntryRpc,
    ExchangeRpc,
    FileDropRpc,
    GrantRpc,
    LineRpc,
    OpenDataRpc,
    PreviewRpc,
    ProviderRpc,
    SearchRpc,
    SubscriptionRpc,
)
from services.exchange.service.applications import ApplicationService
from services.exchange.service.batch_asking import Asker
from services.exchange.service.batches import BatchService
from services.exchange.service.bell import Bell
from services.exchange.service.broker import Broker
from services.exchange.service.catalogue import CatalogueService
from services.exchange.service.change_stream import ChangeStreams
from services.exchange.service.changes import ChangeService
from services.exchange.service.connectors import ConnectorHub
from services.exchange.service.consents import ConsentService
from services.exchange.service.corrections import ClaimService, Disputes, RecallService
from services.exchange.service.demands import DemandService
from services.exchange.service.documents import DocumentService
from services.exchange.service.drops import DropService
from services.exchange.service.entries import EntryService
from services.exchange.service.explaining import Explainer
from services.exchange.service.grants import GrantService
from services.exchange.service.lines import Elsewhere, keep_said
from services.exchange.service.opencatalogue import OpenCatalogue
from services.exchange.service.opendata import OpenDataService
from services.exchange.service.ports import Adapters, Persons, Steps
from services.exchange.service.previews import PreviewService
from services.exchange.service.providers import Limits, Providers, Terms
from services.exchange.service.providers.desk import ProviderDesk
from services.exchange.service.providers.health import ProviderWatch, keep_watch
from services.exchange.service.queries import QueryService
from services.exchange.service.quotas import Quotas
from services.exchange.service.requests import RequestService
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.search import SearchService
from services.exchange.service.steps import StepService
from services.exchange.service.subjects import Subjects
from services.exchange.service.subscriptions import SubscriptionService
from services.exchange.service.upkeep import keep_clean, keep_cleared, keep_fresh, keep_indexed
from services.exchange.service.xroad import NeighborService
from services.exchange.store import ExchangeStore
from services.kit import logs
from services.kit.calendar import Calendar, Deadlines, published, read_limits
from services.kit.errors import Unavailable
from services.kit.ledger import LedgerRpc
from services.kit.rpc.admission import Doorkeeper
from services.kit.rpc.gate import Gate
from services.kit.runtime import App, Runtime
from services.kit.store.lead import leading


@asynccontextmanager
async def running(
    settings: Settings,
    runtime: Runtime,
    *,
    adapters: Adapters | None = None,
    persons: Persons | None = None,
    steps: Steps | None = None,
) -> AsyncIterator[App]:
    """Open the exchange and close it again.

    Args:
        settings: every knob.
        runtime: what the kit has opened.
        adapters: other ways to reach providers, e.g. a register in memory for a benchmark; the three kinds if left out.
        persons: something else than identity to find persons at.
        steps: something else than the gateway to read steps' inputs from.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(ExchangeStore.open(runtime, encode=encode))
        calendars = published()
        is_working_day = partial(_works, calendars.of(settings.region))
        rulebook = Rulebook(
            store,
            clock=runtime.clock,
            monotonic=time.monotonic,
            age_seconds_max=settings.grants_age_seconds_max,
            pairs_max=settings.grants_cached_max,
            is_working_day=is_working_day,
        )
        await rulebook.refresh()
        quotas = Quotas(store, own_per_day=settings.own_queries_per_day, clock=runtime.clock, monotonic=time.monotonic)
        stack.push_async_callback(_returned, quotas)
        hub, elsewhere = _lines(settings, runtime, store, stack)
        kinds = (
            known_adapters(hub, store, settings.cases if settings.sandbox else None) if adapters is None else adapters
        )
        terms = Terms(runtime.clock)
        await terms.refresh(store)
        providers = Providers(
            {kind: watched(factory, runtime.telemetry) for kind, factory in kinds.items()},
            monotonic=time.monotonic,
            limits=Limits(
                in_flight_max=settings.provider_in_flight_max,
                failures_max=settings.provider_failures_max,
                open_seconds=settings.provider_rest_seconds,
                kept_bytes_max=settings.kept_answers_bytes_max,
            ),
            terms=terms,
        )
        drops = DropService(store, read_file, clock=runtime.clock)
        watch = ProviderWatch(store, providers, terms, clock=runtime.clock)
        desk = ProviderDesk(store, terms, clock=runtime.clock, notice_hours=settings.maintenance_notice_hours)
        stack.push_async_callback(providers.close)
        stack.callback(hub.close)
        people = PersonsClient(runtime.peer("identity")) if persons is None else persons
        subjects = Subjects(people, store, monotonic=time.monotonic)
        consents = ConsentService(store, rulebook, clock=runtime.clock, age_seconds_max=settings.grants_age_seconds_max)
        broker = Broker(rulebook, subjects, quotas, providers, consents, clock=runtime.clock)
        disputes = Disputes(store, clock=runtime.clock)
        await disputes.refresh()
        queries = QueryService(store, rulebook, subjects, broker, disputes=disputes, clock=runtime.clock)
        explainer = Explainer(store, rulebook, quotas, clock=runtime.clock, is_working_day=is_working_day)
        answering = StepService(
            store,
            rulebook,
            subjects,
            broker,
            StepsClient(runtime.peer("gateway")) if steps is None else steps,
            disputes=disputes,
            clock=runtime.clock,
            answer_days=settings.answer_days,
        )
        entries = EntryService(store, clock=runtime.clock)
        catalogue = CatalogueService(store, rulebook, clock=runtime.clock, region=settings.region)
        grants = GrantService(store, rulebook, clock=runtime.clock)
        deadlines = Deadlines(store, calendars)
        limits = read_limits(settings.limits)
        logs.get_logger().info("limits_read", unverified=limits.unverified())
        search = SearchService(store)
        demands = DemandService(store, search, deadlines, limits, clock=runtime.clock, region=settings.region)
        changes = ChangeService(store, rulebook, deadlines, limits, clock=runtime.clock, region=settings.region)
        documents = DocumentService(store, changes, rulebook, clock=runtime.clock, region=settings.region)
        recalls = RecallService(
            store, subjects, deadlines, limits, clock=runtime.clock, recall_days=settings.recall_days
        )
        claims = ClaimService(
            store,
            subjects,
            recalls=recalls,
            disputes=disputes,
            deadlines=deadlines,
            limits=limits,
            clock=runtime.clock,
        )
        applications = ApplicationService(
            store, rulebook, deadlines, limits, clock=runtime.clock, region=settings.region
        )
        asker = Asker(rulebook, subjects, broker, disputes=disputes, digest=store.digest)
        stack.push_async_callback(asker.close)
        batches = BatchService(store, asker, clock=runtime.clock, hours=settings.batch_hours)
        previews = PreviewService(
            store,
            rulebook,
            subjects,
            broker,
            disputes=disputes,
            clock=runtime.clock,
            days=settings.preview_days,
        )
        bell = Bell()
        subscriptions = SubscriptionService(
            store, rulebook, subjects, bell, clock=runtime.clock, days=settings.change_days
        )
        requests = RequestService(
            store,
            rulebook,
            subjects,
            quotas,
            consents,
            disputes=disputes,
            deadlines=deadlines,
            limits=limits,
            region=settings.region,
            clock=runtime.clock,
            days=settings.request_days,
        )
        yield App(
            name="exchange",
            rpc=[
                (doors.add_ExchangeServiceServicer_to_server, ExchangeRpc(queries, answering)),
                (doors.add_CatalogueServiceServicer_to_server, CatalogueRpc(catalogue, grants, entries)),
                (add_ChangeServiceServicer_to_server, ChangeRpc(changes)),
                (add_DemandServiceServicer_to_server, DemandRpc(demands)),
                (add_DocumentServiceServicer_to_server, DocumentRpc(documents)),
                (add_EntryServiceServicer_to_server, EntryRpc(entries)),
                (add_SearchServiceServicer_to_server, SearchRpc(search)),
                (add_ApplicationServiceServicer_to_server, ApplicationRpc(applications)),
                (add_GrantServiceServicer_to_server, GrantRpc(queries, explainer)),
                (doors.add_ConnectorServiceServicer_to_server, ConnectorRpc(hub, rulebook)),
                (add_LineServiceServicer_to_server, LineRpc(hub)),
                (add_BatchServiceServicer_to_server, BatchRpc(batches)),
                (add_ConsentServiceServicer_to_server, ConsentRpc(consents, rulebook)),
                (add_DataRequestServiceServicer_to_server, DataRequestRpc(requests)),
                (add_PreviewServiceServicer_to_server, PreviewRpc(previews, rulebook)),
                (
                    add_SubscriptionServiceServicer_to_server,
                    SubscriptionRpc(subscriptions, ChangeStreams(store, rulebook, broker, bell, disputes=disputes)),
                ),
                (add_CorrectionServiceServicer_to_server, CorrectionRpc(claims, recalls)),
                (add_FileDropServiceServicer_to_server, FileDropRpc(drops, bytes_max=settings.drop_bytes_max)),
                (add_ProviderServiceServicer_to_server, ProviderRpc(desk, watch)),
                (add_OpenDataServiceServicer_to_server, _open_data(settings, runtime, store)),
                (add_LedgerServiceServicer_to_server, LedgerRpc(store.ledger)),
            ],
            store=store,
            routes=ExchangeEvents(answering).routes,
            topics=TOPICS,
            hears_all=together(
                RulebookEvents(rulebook).routes,
                CallEvents(consents, bell).routes,
                CorrectionEvents(disputes).routes,
                ProviderEvents(watch, providers).routes,
            ),
            all_topics=ALL_TOPICS,
            background=[
                partial(keep_fresh, rulebook, age_seconds_max=settings.grants_age_seconds_max),
                partial(
                    keep_clean, [each.drop_expired for each in (answering, batches, previews, requests, subscriptions)]
                ),
                partial(keep_cleared, drops),
                partial(keep_said, hub, elsewhere, store, clock=runtime.clock),
                *_watching(settings, runtime, store, drops),
                partial(keep_watch, watch, probe_seconds=settings.provider_probe_seconds),
                deadlines.run,
                quotas.keep_counted,
                disputes.keep,
                partial(keep_indexed, store),
            ],
            http=_xroad(settings, runtime, store, rulebook, queries),
            http_host=settings.http_host,
            http_port=settings.http_port,
            http_mutual=True,
            reached=elsewhere.reached,
            ready={"grants": rulebook.ready},
        )


def _lines(
    settings: Settings, runtime: Runtime, store: ExchangeStore, stack: AsyncExitStack
) -> tuple[ConnectorHub, Elsewhere]:
    """Lines of connectors: those of this process, and the way to those of the others."""
    processes = ProcessesClient(runtime.identity, runtime.telemetry)
    stack.push_async_callback(processes.close)
    host = settings.reached_at or settings.grpc_host
    elsewhere = Elsewhere(store, processes, host=host, clock=runtime.clock, monotonic=time.monotonic)
    hub = ConnectorHub(clock=runtime.clock, in_flight_max=settings.connector_in_flight_max)
    hub.others = elsewhere
    return hub, elsewhere


def _open_data(settings: Settings, runtime: Runtime, store: ExchangeStore) -> OpenDataRpc:
    catalogue = OpenCatalogue(
        store,
        MembersClient(runtime.peer("identity")),
        DcatWriter(settings.public_url).write,
        clock=runtime.clock,
        monotonic=time.monotonic,
    )
    return OpenDataRpc(OpenDataService(store, ReleaseProducer(settings.drops), clock=runtime.clock), catalogue)


def _xroad(
    settings: Settings, runtime: Runtime, store: ExchangeStore, rulebook: Rulebook, queries: QueryService
) -> XroadDoor:
    """The door for neighbors; it lets in as many as the gRPC door does, each with its share."""
    neighbors = NeighborService(store, MembersClient(runtime.peer("identity")), clock=runtime.clock)
    return XroadDoor(
        ResourceCalls(queries, rulebook),
        MetaCalls(neighbors, instance_of(settings.region)),
        keeper=Doorkeeper(runtime.tokens, runtime.rights),
        gate=Gate(settings.rpc_in_flight_max, settings.rpc_in_flight_max_per_caller),
        telemetry=runtime.telemetry,
    )


def _watching(
    settings: Settings, runtime: Runtime, store: ExchangeStore, drops: DropService
) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
    """Look at the folder of drops, where there is one; one process of the service at a time."""
    if settings.drops is None:
        return ()
    folder = WatchedFolder(drops, settings.drops, runtime.itself, bytes_max=settings.drop_bytes_max)

    async def look() -> None:
        while True:
            with suppress(Unavailable):
                async with leading(store, "drops") as lead:
                    await lead.while_leading(keep_looking(folder))
            await asyncio.sleep(1)

    return (look,)


def _works(calendar: Calendar, day: date) -> bool:
    return calendar.day(day).works


async def _returned(quotas: Quotas) -> None:
    """Give back calls that were counted ahead; where the database is gone, they count as made."""
    with suppress(Unavailable):
        await quotas.close()
