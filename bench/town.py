# SPDX-License-Identifier: Apache-2.0
"""The whole system in the full profile, with as many signed-in residents and clerks as a benchmark needs."""

import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tongban.identity.v1 import identity_pb2, identity_service_pb2, identity_service_pb2_grpc

from bench.processes import Worker, worker
from sandbox.agencies import load as agencies_of_the_city
from sandbox.city import generate
from sandbox.numbers import REGION
from services.cli.papers import OPERATOR
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from tests.support.system import System

HOTLINE = "hotline"
_SEED = 1
_BATCH = 100
EachT = TypeVar("EachT")
_GRANT = "urn:tongban:params:oauth:grant-type:persona"
_ENVIRONMENT = {
    "TONGBAN_SAMPLE_RATIO": "0.01",
    "TONGBAN_SEED": str(_SEED),
    "TONGBAN_IDENTITY_TOKEN_SECONDS": "3600",
    # A benchmark's few hundred people file what a city files.
    "TONGBAN_GATEWAY_REQUESTS_PER_SECOND": "1000",
    "TONGBAN_GATEWAY_REQUESTS_BURST": "3000",
    "TONGBAN_GATEWAY_DRAFTS_MAX": "10000",
    "TONGBAN_GATEWAY_OPEN_CASES_MAX": "10000",
    "TONGBAN_GATEWAY_SUBMISSIONS_PER_DAY": "100000",
}


@dataclass(frozen=True)
class Town:
    """What a benchmark needs to know."""

    system: System
    citizens: Sequence[str]
    """Access tokens."""
    clerks: Sequence[str]
    """Access tokens of clerks of the hotline, all of them at the queue of complaints."""
    subjects: Sequence[str]
    """Subject ids of the residents."""

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time used so far, user and system, by process; PostgreSQL with its children."""
        return {name: _cpu_seconds(pid, children=name == "postgres") for name, pid in self.system.processes().items()}

    @asynccontextmanager
    async def people(self, **plan: Any) -> AsyncIterator[Worker]:
        """The loader: the residents and clerks at the public door, in a process of their own."""
        told = {"url": self.system.url, "citizens": list(self.citizens), "clerks": list(self.clerks), **plan}
        async with worker("bench.people", core=None) as loader:
            loader.tell(json.dumps(told))
            await loader.line()
            yield loader


@asynccontextmanager
async def town(folder: Path, *, citizens: int, clerks: int = 0, **environ: str) -> AsyncIterator[Town]:
    """Everything running, the people on record and signed in."""
    told = {**_ENVIRONMENT, "TONGBAN_PEOPLE": str(max(60, citizens)), **environ}
    async with System.running("full", folder, told) as system:
        subjects = await _registered(system, citizens)
        names = [f"bench-clerk-{number}" for number in range(clerks)]
        await _put_on_roster(system, names)
        hotline = agencies_of_the_city()[HOTLINE].uscc
        accounts = [_account(f"bench-citizen-{at}", "citizen", subject_id=one) for at, one in enumerate(subjects)]
        accounts += [_account(name, "clerk", agency=hotline, rights=["gateway.tasks"]) for name in names]
        tokens = await _signed_in(system, accounts)
        yield Town(system, tokens[:citizens], tokens[citizens:], subjects)


async def _registered(system: System, count: int) -> list[str]:
    """Subject ids of the city's first residents: who is on record keeps their own."""
    police = agencies_of_the_city()["public_security"].uscc
    residents = list(islice(generate(people=max(60, count), seed=_SEED).residents, count))
    found: list[str] = []
    async with system.peer("identity", f"spiffe://tongban/agency/{police}") as peer:
        stub = peer.stub(identity_service_pb2_grpc.IdentityServiceStub)
        for some in _batches(residents):
            persons = [
                identity_service_pb2.NewPerson(
                    number_kind=identity_pb2.NUMBER_KIND_CITIZEN, number=one.number, name=one.name, region=REGION
                )
                for one in some
            ]
            asked = identity_service_pb2.RegisterPersonsRequest(request_id=new_id(), persons=persons)
            found += [one.subject_id for one in (await peer.call(stub.RegisterPersons, asked)).persons]
    return found


async def _put_on_roster(system: System, names: Sequence[str]) -> None:
    async with system.resident("supervisor-hotline") as supervisor:
        for name in names:
            entry = {"name_zh": name, "name_en": name, "region": REGION[:4], "skills": ["complaints"], "active": True}
            (await supervisor.send("PUT", f"/api/v1/clerks/{name}", entry)).raise_for_status()


async def _signed_in(system: System, accounts: Sequence[identity_pb2.Persona]) -> list[str]:
    async with system.peer("identity", f"spiffe://tongban/operator/{OPERATOR}") as operator:
        tokens = operator.stub(identity_service_pb2_grpc.TokenServiceStub)
        for some in _batches(accounts):
            await operator.call(tokens.PutPersonas, identity_service_pb2.PutPersonasRequest(personas=some))
    async with system.peer("identity", "spiffe://tongban/service/gateway") as gateway:
        return [await _token(gateway, each.key) for each in accounts]


async def _token(gateway: Peer, key: str) -> str:
    stub = gateway.stub(identity_service_pb2_grpc.TokenServiceStub)
    asked = identity_service_pb2.IssueTokenRequest(grant_type=_GRANT, persona=key)
    return str((await gateway.call(stub.IssueToken, asked)).access_token)


def _account(key: str, role: str, **more: Any) -> identity_pb2.Persona:
    return identity_pb2.Persona(key=key, role=role, title_zh=key, title_en=key, samples_json="{}", **more)


def _batches(rows: Sequence[EachT]) -> Iterator[Sequence[EachT]]:
    for at in range(0, len(rows), _BATCH):
        yield rows[at : at + _BATCH]


def _cpu_seconds(pid: int, *, children: bool = False) -> float:
    """A process's own time and that of children that have ended; of those that live where they are wanted, too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        living = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split() if children else []
    except OSError:  # it ended between two looks
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(_cpu_seconds(int(one)) for one in living)
