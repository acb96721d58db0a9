# SPDX-License-Identifier: Apache-2.0
"""One process that hosts all departments: each with its own register, certificate, protocol and trace name."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tongban.identity.v1 import identity_pb2, identity_service_pb2, identity_service_pb2_grpc

from sandbox import agencies as directory
from sandbox import catalogue, opendata, shared
from sandbox.agencies import Agency
from sandbox.cast import peopled
from sandbox.city import City, generate
from sandbox.connector import Connector
from sandbox.departments.civil_affairs import CivilAffairs, rest
from sandbox.departments.department import Department
from sandbox.departments.disease_control import DiseaseControl
from sandbox.departments.health import Health
from sandbox.departments.hospital import Hospital
from sandbox.departments.human_resources import HumanResources
from sandbox.departments.market_regulation import Announce, Firm, MarketRegulation
from sandbox.departments.medical_insurance import MedicalInsurance
from sandbox.departments.public_security import Newborn, PublicSecurity, Registrar
from sandbox.departments.tax import Tax
from sandbox.numbers import REGION
from sandbox.office import Office, OfficeFile, offices
from sandbox.register import Register
from sandbox.seed import Doors, Seeder, Shared
from sandbox.settings import Settings
from sandbox.work import Operation
from sandbox.worker import TaskWorker
from services.kit.certificates import Identity, SpiffeId
from services.kit.clock import Clock, utc_now
from services.kit.errors import RemoteRefusal, StartupError
from services.kit.http import HttpServer
from services.kit.ids import derived_id
from services.kit.ledger.witness import Witness
from services.kit.logs import get_logger
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

log = get_logger()

_TASKS_ONLY: tuple[type[Department], ...] = (Hospital, DiseaseControl, HumanResources, Tax, Health)
_WITH_CODE = {
    *(kind.key for kind in _TASKS_ONLY),
    PublicSecurity.key,
    MedicalInsurance.key,
    CivilAffairs.key,
    MarketRegulation.key,
}
_LEDGERS = ("identity", "licenses", "exchange", "gateway")
_WITNESSES = ("health", "tax")
READY = "ready"
_REGISTER_SECONDS = 10.0
_DRAIN_SECONDS = 1.0

Background = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Host:
    """The departments while they are open."""

    seeder: Seeder
    doors: Doors
    background: tuple[Background, ...]
    rest_port: int
    ready: Path
    """Gets this process's id once every register is open and the city is known."""

    async def work(self) -> None:
        """Run until cancelled. What breaks ends all of it, and the process, which is then started again.

        Agencies and resources come first: a certificate or a line that the platform doesn't know would be refused.
        """
        await self.seeder.announce(self.doors)
        async with asyncio.TaskGroup() as group:
            for work in self.background:
                group.create_task(work())
            await self.seeder.run(self.doors)
            _write_whole(self.ready, str(os.getpid()))
            await self.seeder.open(self.doors)


@asynccontextmanager
async def hosting(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Host]:
    """Open every department; `work` is what they then do."""
    async with AsyncExitStack() as stack:
        yield await _Opening(settings, clock, stack).host()


class _Opening:
    """Opens department after department on one exit stack."""

    def __init__(self, settings: Settings, clock: Clock, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._clock = clock
        self._stack = stack
        self._agencies = directory.load()
        self._city = _city(settings)
        self._offices = offices()
        self._background: list[Background] = []
        self._telemetry: dict[str, Telemetry] = {}

    async def host(self) -> Host:
        for kind in _TASKS_ONLY:
            register = await self._register(kind.key, kind.schema)
            await self._open(kind(register, self._clock))
        for key in self._offices.keys() - _WITH_CODE:
            await self._work(key, await self._register(key))
        police = await self._police()
        await self._market_regulation()
        await self._medical_insurance()
        for key in _WITNESSES:
            await self._witness(key)
        rest_port, api_key = await self._civil_affairs()
        registers = police.register.path.resolve()
        resources = catalogue.resources(
            self._agencies,
            police=registers,
            rest_url=f"http://{self._settings.rest_host}:{rest_port}",
            api_key=api_key,
        )
        resources += shared.resources(self._agencies, self._offices.values(), folder=registers.parent)
        doors = await self._doors()
        opendata.drop_firms(self._city, self._settings.data / "drops")
        resources += opendata.resources(self._agencies, police=registers)
        grants = catalogue.grants(self._agencies) + shared.grants(self._agencies, self._offices.values())
        papers = {key: office.issued for key, office in self._offices.items() if office.issued}
        shares = Shared(resources, grants, opendata.datasets(police=registers), papers, self._firms())
        seeder = Seeder(self._city, self._agencies, shares, self._clock)
        return Host(seeder, doors, tuple(self._background), rest_port, self._settings.data / READY)

    async def _police(self) -> Department:
        register = await self._register(PublicSecurity.key, PublicSecurity.schema)
        identity = await self._peer("identity", PublicSecurity.key)
        police = PublicSecurity(register, self._clock, _registrar(identity))
        await self._open(police)
        return police

    def _firms(self) -> list[identity_service_pb2.NewOrganization]:
        """Those that market regulation's file tells of."""
        rows = self._office(MarketRegulation.key).file.tables["firms"].rows
        return [identity_service_pb2.NewOrganization(uscc=str(row["uscc"]), name=str(row["firm_name"])) for row in rows]

    async def _market_regulation(self) -> None:
        key = MarketRegulation.key
        register = await self._register(key)
        own = self._office(key).operations(register, self._clock)
        market = MarketRegulation(own, _announcer(await self._peer("identity", key)))
        await self._work(key, register, market.operations)

    async def _medical_insurance(self) -> None:
        register = await self._register(MedicalInsurance.key, MedicalInsurance.schema)
        insurance = MedicalInsurance(register, self._clock)
        await self._open(insurance)
        exchange = await self._peer("exchange", insurance.key)
        lookups = {catalogue.INSURANCE: insurance.enrollment}
        self._background.append(Connector(exchange, self._tracing(insurance.key), lookups).run)

    async def _civil_affairs(self) -> tuple[int, str]:
        register = await self._register(CivilAffairs.key, CivilAffairs.schema)
        civil_affairs = CivilAffairs(register, self._clock)
        await self._open(civil_affairs)
        api_key = _api_key(self._settings.data)
        application = rest(civil_affairs, api_key, self._tracing(civil_affairs.key))
        server = HttpServer(application, self._settings.rest_host, self._settings.rest_port)
        port = await server.start()
        self._stack.push_async_callback(server.drain, _DRAIN_SECONDS)
        return port, api_key

    async def _witness(self, key: str) -> None:
        """Let a department co-sign the heads of every ledger."""
        identity = Identity.open(self._settings.pki, _spiffe_id(self._agencies[key]))
        peers = {log: await self._peer(log, key) for log in _LEDGERS}
        witness = Witness(peers, identity, self._settings.data / "witness" / key, clock=self._clock)
        self._background.append(partial(witness.run, self._settings.witness_seconds))

    async def _open(self, department: Department) -> None:
        await department.load(self._city)
        await self._work(department.key, department.register, department.operations)

    async def _work(self, key: str, register: Register, operations: Mapping[str, Operation] | None = None) -> None:
        """Take a department's tasks: those that its file tells, and those that its code does. Clerks take theirs from the inbox."""
        does = {**self._office(key).operations(register, self._clock), **(operations or {})}
        if does and not self._agencies[key].clerks:
            gateway = await self._peer("gateway", key)
            self._background.append(TaskWorker(key, gateway, self._tracing(key), does, self._clock).run)

    async def _register(self, key: str, schema: str = "") -> Register:
        told = self._office(key)
        path = self._settings.data / f"{key}.sqlite"
        register = await self._stack.enter_async_context(Register(path, schema + told.schema))
        await register.write(told.load)
        return register

    def _office(self, key: str) -> Office:
        return self._offices.get(key) or Office(key, OfficeFile())

    async def _doors(self) -> Doors:
        operator = f"spiffe://tongban/operator/{self._settings.operator}"
        telemetry = self._tracing("city")
        return Doors(
            identity=await self._dial("identity", operator, telemetry),
            exchange=await self._dial("exchange", operator, telemetry),
            identity_of_police=await self._peer("identity", PublicSecurity.key),
            identity_of_market=await self._peer("identity", "market_regulation"),
            licenses={key: await self._peer("licenses", key) for key, office in self._offices.items() if office.issued},
        )

    async def _peer(self, service: str, key: str) -> Peer:
        """A way to a service with a department's certificate."""
        return await self._dial(service, _spiffe_id(self._agencies[key]), self._tracing(key))

    async def _dial(self, service: str, spiffe_id: str, telemetry: Telemetry) -> Peer:
        identity = Identity.open(self._settings.pki, spiffe_id)
        address: str = getattr(self._settings, service)
        return await self._stack.enter_async_context(Peer.open(address, identity, telemetry, server_name=service))

    def _tracing(self, key: str) -> Telemetry:
        """The department's own tracer."""
        if key not in self._telemetry:
            telemetry = Telemetry(
                f"department.{key}",
                otlp=self._settings.otlp,
                otlp_token=self._settings.otlp_token,
                sample_ratio=self._settings.sample_ratio,
            )
            self._stack.callback(telemetry.close)
            self._telemetry[key] = telemetry
        return self._telemetry[key]


def _spiffe_id(agency: Agency) -> str:
    return str(SpiffeId("agency", agency.uscc))


def _registrar(identity: Peer) -> Registrar:
    """Tells identity of a newborn, as the police; the request id is the case's, so that a repeat changes nothing."""
    stub = identity.stub(identity_service_pb2_grpc.IdentityServiceStub)

    async def register(newborn: Newborn) -> str:
        request = identity_service_pb2.RegisterPersonsRequest(
            request_id=derived_id("newborn", newborn.case_id),
            persons=[
                identity_service_pb2.NewPerson(
                    number_kind=identity_pb2.NUMBER_KIND_CITIZEN,
                    number=newborn.number,
                    name=newborn.name,
                    address=newborn.address,
                    region=REGION,
                )
            ],
            case_id=newborn.case_id,
        )
        response = await identity.call(stub.RegisterPersons, request, timeout_seconds=_REGISTER_SECONDS)
        return str(response.persons[0].subject_id)

    return register


def _announcer(identity: Peer) -> Announce:
    """Tells identity of firms, as market regulation."""
    stub = identity.stub(identity_service_pb2_grpc.IdentityServiceStub)

    async def announce(firm: Firm) -> None:
        if firm.name:
            await identity.call(
                stub.RegisterOrganizations,
                identity_service_pb2.RegisterOrganizationsRequest(
                    request_id=derived_id("firm", firm.case_id),
                    organizations=[identity_service_pb2.NewOrganization(uscc=firm.uscc, name=firm.name)],
                ),
                timeout_seconds=_REGISTER_SECONDS,
            )
            return
        request = identity_service_pb2.DeregisterOrganizationRequest(
            request_id=derived_id("firm-end", firm.case_id), uscc=firm.uscc
        )
        try:
            await identity.call(stub.DeregisterOrganization, request, timeout_seconds=_REGISTER_SECONDS)
        except RemoteRefusal as refusal:
            if refusal.reason != "ORGANIZATION_NOT_FOUND":  # What the platform never knew needs no end there.
                raise

    return announce


def _city(settings: Settings) -> City:
    """The city of this data folder: what it was founded with wins over today's settings."""
    path = settings.data / "city.json"
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        founded = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if founded is None:
            founded = {"people": settings.people, "seed": settings.seed}
            _write_whole(path, json.dumps(founded))
        return peopled(generate(int(founded["people"]), int(founded["seed"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupError(f"The city in {settings.data} can't be read or written: {type(error).__name__}.") from error


def _api_key(folder: Path) -> str:
    """The key that the broker shows to civil affairs; made once."""
    path = folder / "civil_affairs.key"
    if not path.exists():
        _write_whole(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="ascii").strip()


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
