# SPDX-License-Identifier: Apache-2.0
"""The only place where the objects of the licenses service meet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from tongban.licenses.v1.licenses_service_pb2_grpc import add_LicensesServiceServicer_to_server

from services.kit.envelope import topic_of
from services.kit.ledger.rpc import LedgerRpc
from services.kit.runtime import App, Runtime
from services.licenses.config import Settings
from services.licenses.credentials.signers import SignerFolder
from services.licenses.credentials.trust import TrustAnchors
from services.licenses.credentials.vc import Examiner
from services.licenses.events import LicensesEvents, to_wire
from services.licenses.rpc import LicensesRpc
from services.licenses.service import Changing, Ending, Issuing, Reading, Steps, Verifying
from services.licenses.store import SqlLicensesStore, read_catalogue


@asynccontextmanager
async def running(settings: Settings, runtime: Runtime) -> AsyncIterator[App]:
    """Open the store and wire the use cases to their doorways."""
    catalogue = read_catalogue(settings.types)
    signers = SignerFolder(settings.pki / "signers")
    trust = TrustAnchors(settings.pki / "ca.crt")
    examiner = Examiner(trust, catalogue, skew_seconds=settings.clock_skew_seconds)
    async with SqlLicensesStore.open(runtime, encode=to_wire) as store:
        issuing = Issuing(store, catalogue, signers, clock=runtime.clock)
        licenses = LicensesRpc(
            issuing,
            Changing(store, clock=runtime.clock),
            Reading(store, clock=runtime.clock),
            Verifying(store, catalogue, examiner, clock=runtime.clock),
        )
        steps = Steps(store, issuing, clock=runtime.clock)
        yield App(
            name="licenses",
            rpc=[
                (add_LicensesServiceServicer_to_server, licenses),
                (add_LedgerServiceServicer_to_server, LedgerRpc(store.ledger)),
            ],
            store=store,
            routes=LicensesEvents(steps, Ending(store, clock=runtime.clock), runtime.peer("gateway")).routes,
            topics=[topic_of(StepRequested)],
        )
