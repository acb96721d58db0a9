# SPDX-License-Identifier: Apache-2.0
"""What comes in wrongly: each a clear, coded refusal; nothing stored, nothing leaked, nothing stopped."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from grpc import aio
from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.gateway.v1.gateway_service_pb2 import TakeTasksRequest
from tongban.gateway.v1.gateway_service_pb2_grpc import TaskServiceStub
from tongban.identity.v1 import identity_pb2
from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import AgencyServiceStub, IdentityServiceStub

from services.cli.demo.resident import Resident
from services.kit.crypto import SigningKey
from services.kit.envelope import service_topic
from services.kit.errors import Code, RemoteRefusal
from services.kit.eventlog import Record, open_eventlog
from services.kit.ids import new_id
from services.kit.rpc.peer import Peer
from tests.e2e.test_command import tongban
from tests.support.eventually import eventually
from tests.support.invariants import events_url
from tests.support.system import System

POLICE = "spiffe://tongban/agency/11990100000001046G"
HOUSING = "spiffe://tongban/agency/1199010000000110X9"
STRANGER = "spiffe://tongban/agency/91990100MA000000XX"
SECRET = "990100188001010019"


@pytest.fixture
async def mother(system: System) -> AsyncIterator[Resident]:
    async with system.resident("mother-1") as mother:
        yield mother


async def refused(mother: Resident, body: Any, status: int, reason: str = "") -> dict[str, Any]:
    """Nothing may come of it: no case more than before, and no value of the request in the answer."""
    before = (await mother.get("/api/v1/cases"))["cases"]
    response = await mother.send("POST", "/api/v1/cases", body, headers={"idempotency-key": new_id()})
    assert response.status_code == status, response.text
    problem: dict[str, Any] = response.json()
    assert response.headers["content-type"].startswith("application/problem+json")
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", problem["reason"])
    assert reason in {"", problem["reason"]}
    assert SECRET not in response.text
    assert (await mother.get("/api/v1/cases"))["cases"] == before
    return problem


@pytest.mark.parametrize(
    "changed",
    [
        {"father_number": "990100188001010018"},  # the check character is wrong
        {"father_number": "990100188013010019"},  # month 13
        {"father_number": "990100"},
        {"birth_date": "2026-02-30"},
        {"birth_date": "gestern"},
        {"child_sex": "other"},
        {"child_name": "名" * 1001},
        {"child_name": "a\x00b"},
        {"mother_name": "冒名"},  # only the register fills it
        {"unheard_of": SECRET},
    ],
)
async def test_answers_that_break_a_rule_are_refused_by_name(mother: Resident, changed: dict[str, str]) -> None:
    samples = await mother.samples("mother-1")
    draft = {"matter": "birth", "answers": {**samples["birth"], **changed}}
    problem = await refused(mother, draft, 400)
    assert any(next(iter(changed)) in violation["field"] for violation in problem["violations"]), problem


@pytest.mark.parametrize(
    "body",
    [
        [],
        "birth",
        {"matter": "birth", "answers": {}, "secret": SECRET},
        {"matter": ["birth"]},
        {"matter": "birth", "answers": {"child_name": 7}},
        {"matter": "birth", "answers": [SECRET]},
        {},
    ],
)
async def test_another_shape_is_refused(mother: Resident, body: Any) -> None:
    await refused(mother, body, 400)


async def test_an_unknown_matter_is_not_found(mother: Resident) -> None:
    await refused(mother, {"matter": "unheard_of"}, 404, "MATTER_NOT_FOUND")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"matter": NaN}'])
async def test_what_is_no_json_is_refused(system: System, content: bytes) -> None:
    async with system.resident("mother-1") as mother:
        token = mother.authorization
    async with system.http() as http:
        headers = {"authorization": token, "content-type": "application/json", "idempotency-key": new_id()}
        response = await http.post("/api/v1/cases", content=content, headers=headers)
    assert response.status_code == 400, response.text


async def test_no_token_an_expired_one_and_a_foreign_one_open_nothing(system: System, tmp_path: Any) -> None:
    foreign = SigningKey.open(tmp_path, "foreign")
    now = int(time.time())

    def token(**claims: Any) -> str:
        body = {
            "iss": "https://identity.tongban.invalid",
            "sub": new_id(),
            "aud": "tongban",
            "iat": now - 900,
            "exp": now + 900,
            "jti": new_id(),
            "client_id": "app",
            "role": "citizen",
            "rights": [],
            "agency": "",
            **claims,
        }
        return foreign.sign_jws(json.dumps(body).encode(), {"typ": "at+jwt"})

    async with system.http() as http:
        for header in (
            {},
            {"authorization": "Bearer a.b.c"},
            {"authorization": f"Bearer {token()}"},
            {"authorization": f"Bearer {token(exp=now - 1)}"},
            {"authorization": "Basic bW90aGVyOng="},
        ):
            for path in ("/api/v1/cases", "/api/v1/licenses", "/api/v1/accesses", "/console/api/traces?receipt=x"):
                response = await http.get(path, headers=header)
                assert response.status_code == 401, (path, header, response.text)


async def test_a_resident_is_no_operator(mother: Resident) -> None:
    response = await mother.send("GET", "/console/api/traces?receipt=x")
    assert response.status_code == 403


async def test_without_a_certificate_of_ours_nothing_is_said(system: System) -> None:
    root = (system.folder.pki / "ca.crt").read_bytes()
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.enable_http_proxy", 0)]
    for credentials in (grpc.ssl_channel_credentials(root), None):
        for service in ("identity", "licenses", "exchange", "gateway"):
            address = system.address(service)
            channel = (
                aio.secure_channel(address, credentials, options=options)
                if credentials
                else aio.insecure_channel(address, options=options)
            )
            async with channel:
                with pytest.raises(aio.AioRpcError) as error:
                    await AgencyServiceStub(channel).ListAgencies(pb.ListAgenciesRequest(), timeout=5)
                assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def asked(peer: Peer, method: Any, request: Any) -> RemoteRefusal:
    with pytest.raises(RemoteRefusal) as error:
        await peer.call(method, request)
    return error.value


def newcomer(number: str) -> pb.RegisterPersonsRequest:
    person = pb.NewPerson(number_kind=identity_pb2.NUMBER_KIND_CITIZEN, number=number, name="司徒无名", region="990100")
    return pb.RegisterPersonsRequest(request_id=new_id(), persons=[person])


async def test_a_certificate_without_the_right_and_a_stranger_are_refused(system: System) -> None:
    for name in (HOUSING, STRANGER):
        async with system.peer("identity", name) as peer:
            refusal = await asked(peer, peer.stub(IdentityServiceStub).RegisterPersons, newcomer(SECRET))
            assert refusal.code is Code.PERMISSION_DENIED
        async with system.peer("gateway", name) as peer:
            if name == STRANGER:
                with pytest.raises(RemoteRefusal) as error:
                    async for _ in peer.stream(
                        peer.stub(TaskServiceStub).TakeTasks, TakeTasksRequest(), timeout_seconds=5
                    ):
                        pass
                assert error.value.code is Code.PERMISSION_DENIED
    async with system.peer("identity", POLICE) as peer:
        refusal = await asked(peer, peer.stub(AgencyServiceStub).PutAgency, pb.PutAgencyRequest(uscc="x" * 18))
        assert refusal.code is Code.PERMISSION_DENIED


@pytest.mark.parametrize(
    "number",
    [
        "990100188001010018",  # check character
        "990100188013010019",  # month
        "99010018800101001",  # length
        "99010018800101001Ⅹ",  # a Roman numeral
        "110101190002290011",  # 29 February 1900
        "11010121000101001X",  # born in the future
    ],
)
async def test_a_malformed_or_forged_number_is_registered_by_nobody(system: System, number: str) -> None:
    async with system.peer("identity", POLICE) as peer:
        refusal = await asked(peer, peer.stub(IdentityServiceStub).RegisterPersons, newcomer(number))
    assert refusal.code is Code.INVALID_ARGUMENT
    assert number not in str(refusal)


async def test_a_poison_event_is_parked_and_stops_nobody(system: System, mother: Resident) -> None:
    case = new_id()
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", new_id().encode()),
        ("ce_source", b"/tongban/gateway"),
        ("ce_type", StepRequested.DESCRIPTOR.full_name.encode()),
        ("ce_subject", case.encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
    )
    poison = Record(topic=service_topic("gateway"), key=case, value=b"\xff\xff\xff", headers=headers)
    async with open_eventlog(events_url(system)) as log:
        await log.send([poison])
    variables = {**system.environment()}
    profile = ("--profile", system.profile)

    async def parked(service: str) -> str:
        return (await asyncio.to_thread(tongban, "parked", "list", service, *profile, **variables)).stdout

    async def everywhere() -> bool:
        return all([case in await parked(service) for service in ("identity", "licenses", "exchange")])

    await eventually(everywhere, seconds=60)
    samples = await mother.samples("mother-1")
    draft = await mother.create("birth", samples["birth"])
    await mother.submit(draft["id"])
    async for _ in mother.events(draft["id"]):
        pass
    assert (await mother.case(draft["id"]))["status"] == "completed"
    for service in ("identity", "licenses", "exchange"):
        line = next(line for line in (await parked(service)).splitlines() if case in line)
        number = line.split()[1]
        shown = await asyncio.to_thread(tongban, "parked", "show", service, number, *profile, **variables)
        assert "ce_id" in shown.stdout, shown.stderr
        dropped = await asyncio.to_thread(
            tongban, "parked", "drop", service, number, "--reason", "a test's poison", *profile, **variables
        )
        assert dropped.returncode == 0, dropped.stderr
        assert case not in await parked(service)
