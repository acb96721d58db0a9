# SPDX-License-Identifier: Apache-2.0
"""Where the objects of identity meet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tongban.gateway.v1 import gateway_service_pb2 as gateway_service
from tongban.gateway.v1.gateway_service_pb2_grpc import StepServiceStub
from tongban.identity.v1.identity_service_pb2_grpc import (
    add_AgencyServiceServicer_to_server,
    add_IdentityServiceServicer_to_server,
    add_TokenServiceServicer_to_server,
)
from tongban.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server

from services.identity.config import Settings
from services.identity.events import IdentityEvents, to_wire
from services.identity.rpc import AgencyRpc, IdentityRpc, TokenRpc
from services.identity.service.agencies import AgenciesService
from services.identity.service.organizations import OrganizationsService
from services.identity.service.persons import PersonsService
from services.identity.service.tokens import TokenKeys, TokensService
from services.identity.service.verification import VerificationService
from services.identity.store import IdentityStore, UseLedger
from services.kit.crypto import SigningKey
from services.kit.envelope import service_topic
from services.kit.errors import Unavailable
from services.kit.ids import new_id
from services.kit.ledger import LedgerRpc
from services.kit.runtime import App, Runtime

_FORGET_EVERY_SECONDS = 3600


@asynccontextmanager
async def running(settings: Settings, runtime: Runtime) -> AsyncIterator[App]:
    """Identity with its store open; the kit serves what it gives and closes it afterwards."""
    async with IdentityStore.open(runtime, encode=to_wire) as store:
        clock, digest = runtime.clock, runtime.keyring.digest
        ledger = UseLedger(store.ledger)
        persons = PersonsService(store, ledger, clock=clock, new_id=new_id, digest=digest)
        verification = VerificationService(store, ledger, clock=clock)
        organizations = OrganizationsService(store, clock=clock, new_id=new_id, digest=digest)
        tokens = TokensService(
            store,
            TokenKeys(lambda name: SigningKey.open(settings.keys, name), clock=clock, days=settings.token_key_days),
            clock=clock,
            new_id=new_id,
            issuer=settings.issuer,
            token_seconds=settings.token_seconds,
            sandbox=settings.sandbox,
        )

        async def step_input(request: gateway_service.GetStepInputRequest) -> gateway_service.GetStepInputResponse:
            gateway = runtime.peer("gateway")
            return await gateway.call(gateway.stub(StepServiceStub).GetStepInput, request)

        async def forget_requests() -> None:
            while True:
                with suppress(Unavailable):  # The next round catches up.
                    async with store.transaction() as tx:
                        await tx.forget_requests(days=settings.request_days)
                await asyncio.sleep(_FORGET_EVERY_SECONDS)

        yield App(
            name="identity",
            rpc=[
                (add_IdentityServiceServicer_to_server, IdentityRpc(persons, verification, organizations)),
                (add_AgencyServiceServicer_to_server, AgencyRpc(AgenciesService(store))),
                (add_TokenServiceServicer_to_server, TokenRpc(tokens)),
                (add_LedgerServiceServicer_to_server, LedgerRpc(store.ledger)),
            ],
            store=store,
            routes=IdentityEvents(verification, step_input).routes,
            topics=[service_topic("gateway")],
            background=[forget_requests],
        )
