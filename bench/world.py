# SPDX-License-Identifier: Apache-2.0
"""The small world around the exchange under test: broker, database, identity, certificates, one agency, one resident, one grant."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import Struct
from tongban.exchange.v1 import exchange_pb2, exchange_service_pb2, exchange_service_pb2_grpc
from tongban.identity.v1 import identity_pb2, identity_service_pb2, identity_service_pb2_grpc

from bench.processes import Worker, cores, worker
from sandbox.agencies import load as agencies_of_the_city
from sandbox.city import generate
from sandbox.numbers import REGION
from services.cli.kafka import Kafka
from services.cli.papers import OPERATOR, prepare
from services.cli.ports import Ports, free_ports
from services.cli.postgres import Postgres
from services.cli.wiring import environment
from services.exchange.config import Settings as ExchangeSettings
from services.identity.config import Settings as IdentitySettings
from services.kit.certificates import Identity
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

RESOURCE = "307002/000001"
PURPOSE = "birth"
GRANTED = ("household_number", "relation")
"""Two of the provider's four fields: the mask has something to take away."""
RIGHTS = {"public_security": ["identity.register", "exchange.provide"], "hospital": ["exchange.query"]}


@dataclass(frozen=True)
class World:
    """What a loader needs to know."""

    pki: Path
    exchange: Worker
    exchange_address: str
    hospital: str
    subject_id: str
    number: str
    token: str
    settings: ExchangeSettings
    operator: Peer

    def another(self, *, core: int | None, port: int = 0, **extras: str) -> AbstractAsyncContextManager[Worker]:
        """One more exchange process on the same store: behind the same port, or one of its own; `extras` are variables."""
        settings = self.settings.model_copy(update={"grpc_port": port or self.settings.grpc_port})
        return _exchange(settings, self.subject_id, self.number, core=core, **extras)


@asynccontextmanager
async def _exchange(
    settings: ExchangeSettings, subject_id: str, number: str, *, core: int | None, **extras: str
) -> AsyncIterator[Worker]:
    told = {"BENCH_SUBJECT_ID": subject_id, "BENCH_NUMBER": number, **extras}
    async with worker("bench.exchange_server", core=core, environment=environment("exchange", settings) | told) as one:
        await one.line()
        yield one


def free_port() -> int:
    """A port that nobody has right now."""
    return free_ports().http


@asynccontextmanager
async def world(folder: Path, *, pinned: bool = True) -> AsyncIterator[World]:
    """Everything running and seeded; `pinned`: the exchange alone on the first core, everything else on the last."""
    server_core, other_core = (cores()[0], cores()[-1]) if pinned else (None, None)
    async with AsyncExitStack() as stack:
        kafka = await asyncio.to_thread(Kafka.start, folder / "kafka")
        stack.callback(kafka.stop)
        postgres = await asyncio.to_thread(Postgres.start, folder / "postgres")
        stack.callback(postgres.stop)
        if other_core is not None:
            for pid in (kafka.pid, postgres.pid):
                os.sched_setaffinity(pid, {other_core})
        ports = free_ports()
        pki = folder / "pki"
        usccs = {key: each.uscc for key, each in agencies_of_the_city().items()}
        prepare(pki, usccs.values())
        telemetry = Telemetry("bench")
        stack.callback(telemetry.close)

        async def peer(service: str, spiffe: str) -> Peer:
            opening = Peer.open(
                ports.address(service), Identity.open(pki, f"spiffe://tongban/{spiffe}"), telemetry, server_name=service
            )
            return await stack.enter_async_context(opening)

        identity_settings = IdentitySettings(
            **await _common("identity", folder=folder, ports=ports, postgres=postgres, kafka=kafka),
            sandbox=True,
            token_seconds=3600,
        )
        await stack.enter_async_context(
            worker("services.identity", core=other_core, environment=environment("identity", identity_settings))
        )
        operator = await peer("identity", f"operator/{OPERATOR}")
        await _until_serving(operator)
        for key, rights in RIGHTS.items():
            await operator.call(
                operator.stub(identity_service_pb2_grpc.AgencyServiceStub).PutAgency,
                identity_service_pb2.PutAgencyRequest(
                    uscc=usccs[key], name_zh=key, name_en=key, rights=rights, active=True
                ),
            )
        police = await peer("identity", f"agency/{usccs['public_security']}")
        mother = generate(people=12, seed=1).families[0].mother
        registered = await police.call(
            police.stub(identity_service_pb2_grpc.IdentityServiceStub).RegisterPersons,
            identity_service_pb2.RegisterPersonsRequest(
                request_id=new_id(),
                persons=[
                    identity_service_pb2.NewPerson(
                        number_kind=identity_pb2.NUMBER_KIND_CITIZEN,
                        number=mother.number,
                        name=mother.name,
                        region=REGION,
                    )
                ],
            ),
        )
        subject_id = registered.persons[0].subject_id
        tokens = operator.stub(identity_service_pb2_grpc.TokenServiceStub)
        await operator.call(
            tokens.PutPersonas,
            identity_service_pb2.PutPersonasRequest(
                personas=[
                    identity_pb2.Persona(
                        key="mother",
                        role="citizen",
                        subject_id=subject_id,
                        title_zh="母亲",
                        title_en="Mother",
                        samples_json="{}",
                    )
                ]
            ),
        )
        gateway = await peer("identity", "service/gateway")
        issued = await gateway.call(
            gateway.stub(identity_service_pb2_grpc.TokenServiceStub).IssueToken,
            identity_service_pb2.IssueTokenRequest(
                grant_type="urn:tongban:params:oauth:grant-type:persona", persona="mother"
            ),
        )
        settings = ExchangeSettings(
            **await _common("exchange", folder=folder, ports=ports, postgres=postgres, kafka=kafka),
            sample_ratio=0.01,
            own_queries_per_day=1_000_000,
            reuse_port=True,
        )
        exchange = await stack.enter_async_context(_exchange(settings, subject_id, mother.number, core=server_core))
        operator_here = await peer("exchange", f"operator/{OPERATOR}")
        await share(operator_here, code=RESOURCE, provider=usccs["public_security"], grantee=usccs["hospital"])
        yield World(
            pki=pki,
            exchange=exchange,
            exchange_address=ports.address("exchange"),
            hospital=usccs["hospital"],
            subject_id=subject_id,
            number=mother.number,
            token=issued.access_token,
            settings=settings,
            operator=operator_here,
        )


async def _common(service: str, *, folder: Path, ports: Ports, postgres: Postgres, kafka: Kafka) -> dict[str, Any]:
    return {
        "database": await postgres.create_database(f"bench_{service}"),
        "events": kafka.url,
        "grpc_port": ports.grpc_of(service),
        "peers": {name: ports.address(name) for name in ("identity", "licenses", "exchange", "gateway")},
        "pki": folder / "pki",
        "keys": folder / "keys" / service,
        "log_file": str(folder / f"{service}.log"),
    }


async def share(operator: Peer, *, code: str, provider: str, grantee: str) -> None:
    """Put a resource of four fields into the catalogue, and grant two of them."""
    catalogue = operator.stub(exchange_service_pb2_grpc.CatalogueServiceStub)
    settings = Struct()
    settings.update({"url": "sqlite:////nowhere.sqlite", "statement": "SELECT 1 WHERE :subject_key = ''"})
    names = ("household_number", "address", "head_name", "relation")
    resource = exchange_pb2.Resource(
        code=code,
        name_zh="户口登记",
        name_en="Household register",
        provider=provider,
        sharing_class=exchange_pb2.SHARING_CLASS_CONDITIONAL,
        sharing_reason="For the birth of a child.",
        fields=[
            exchange_pb2.ResourceField(
                name=name, label_zh=name, label_en=name, sensitivity=exchange_pb2.SENSITIVITY_PERSONAL
            )
            for name in names
        ],
        adapter=exchange_pb2.ADAPTER_KIND_SQL,
        adapter_settings=settings,
        timeout_ms=1000,
        region=REGION,
    )
    await operator.call(catalogue.PutResource, exchange_service_pb2.PutResourceRequest(resource=resource))
    grant = exchange_pb2.Grant(
        resource=code,
        grantee=grantee,
        purposes=[PURPOSE],
        fields=GRANTED,
        verify_fields=["head_name"],
        basis="PIPL art. 13(1)(3)",
    )
    grant.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    await operator.call(
        catalogue.CreateGrant, exchange_service_pb2.CreateGrantRequest(request_id=new_id(), grant=grant)
    )


async def _until_serving(peer: Peer) -> None:
    """Wait until identity answers."""
    async with asyncio.timeout(60):
        while True:
            try:
                await peer.call(
                    peer.stub(identity_service_pb2_grpc.AgencyServiceStub).ListAgencies,
                    identity_service_pb2.ListAgenciesRequest(),
                )
            except Exception as error:
                if type(error).__name__ != "Unavailable":
                    raise
                await asyncio.sleep(0.2)
            else:
                return


assert sys.platform == "linux", "Benchmarks pin processes to cores."
