# SPDX-License-Identifier: Apache-2.0
"""Identity over real gRPC with certificates, on both kinds of database."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from tongban.identity.v1 import identity_pb2
from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.ledger.v1.ledger_service_pb2 import GetHeadRequest, ListOwnLeavesRequest
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.identity.domain.digits import citizen_check
from services.identity.store import IdentityStore
from services.identity.store.tables import METADATA
from services.kit import logs
from services.kit.caller import Caller, CallerKind
from services.kit.errors import Refusal
from services.kit.ids import new_id
from services.kit.run import Serving
from tests.support.eventually import eventually
from tests.support.identity_served import (
    EXCHANGE_ID,
    GATEWAY_ID,
    HOSPITAL_ID,
    OPERATOR_ID,
    POLICE_ID,
    City,
    city,
)
from tests.support.identity_world import HOSPITAL_CODE, NAME, NUMBER, OTHER_NUMBER, PHONE
from tests.support.profiles import Profile

CITIZEN = identity_pb2.NUMBER_KIND_CITIZEN
GRANT = "urn:tongban:params:oauth:grant-type:persona"
ADDRESS = "北京市东城区甲一号"


@pytest.fixture
async def place(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as place:
        yield place


@pytest.fixture
async def service(place: City) -> AsyncIterator[Serving]:
    async with place.identity() as service:
        await place.put_agencies()
        yield service


def new(number: str = NUMBER) -> pb.NewPerson:
    return pb.NewPerson(number_kind=CITIZEN, number=number, name=NAME, phone=PHONE, address=ADDRESS, region="990100")


def question(number: str = NUMBER, **said: str) -> pb.VerifyPersonRequest:
    return pb.VerifyPersonRequest(number=number, number_kind=CITIZEN, purpose="birth", basis="PIPL-13-1-3", **said)


async def signed_in(place: City, subject_id: str) -> Caller:
    persona = identity_pb2.Persona(key="mother-1", role="citizen", subject_id=subject_id, samples_json='{"birth":{}}')
    await place.ask(OPERATOR_ID, "PutPersonas", pb.PutPersonasRequest(personas=[persona]))
    token = await place.ask(GATEWAY_ID, "IssueToken", pb.IssueTokenRequest(grant_type=GRANT, persona="mother-1"))
    return Caller(CallerKind.CITIZEN, subject_id, token=token.access_token)


async def refused(place: City, spiffe_id: str, method: str, request: object) -> tuple[str, str]:
    with pytest.raises(Refusal) as refusal:
        await place.ask(spiffe_id, method, request)
    return refusal.value.code, refusal.value.reason


@pytest.mark.usefixtures("service")
async def test_who_is_registered_is_verified_resolved_and_sees_who_asked(place: City) -> None:
    (person,) = (await place.register(new())).persons
    verified = await place.ask(HOSPITAL_ID, "VerifyPerson", question(name=NAME, phone=PHONE))
    assert verified.result == identity_pb2.MATCH_RESULT_MATCH
    assert verified.subject_id == person.subject_id
    resolve = pb.ResolvePersonRequest(
        subject_id=person.subject_id,
        purpose="birth",
        basis="PIPL-13-1-3",
        on_behalf_of=HOSPITAL_CODE,
        fields=["number", "name"],
    )
    resolved = await place.ask(EXCHANGE_ID, "ResolvePerson", resolve)
    assert (resolved.person.name, resolved.person.number, resolved.person.birth_date) == (NAME, NUMBER, "")

    resident = await signed_in(place, person.subject_id)
    own = await place.ask(GATEWAY_ID, "GetOwnPerson", pb.GetOwnPersonRequest(), caller=resident)
    assert (own.person.name, own.person.number, own.person.birth_date) == (NAME, NUMBER, "1900-01-01")

    gateway = await place.peer(GATEWAY_ID)
    leaves = await gateway.call(gateway.stub(LedgerServiceStub).ListOwnLeaves, ListOwnLeavesRequest(), caller=resident)
    bodies = [json.loads(proven.leaf.body) for proven in leaves.leaves]
    assert [body["operation"] for body in bodies] == [
        "identity.GetOwnPerson",
        "identity.ResolvePerson",
        "identity.VerifyPerson",
        "identity.RegisterPersons",
    ]
    assert (bodies[1]["on_behalf_of"], bodies[1]["fields"]) == (HOSPITAL_CODE, ["number", "name"])
    assert bodies[2]["caller"] == f"agency:{HOSPITAL_CODE}"
    assert own.receipt.index == leaves.leaves[0].leaf.index


@pytest.mark.usefixtures("service")
async def test_a_repeated_request_has_the_same_answer_also_after_a_restart(place: City) -> None:
    request_id = new_id()
    first = await place.register(new(), new(OTHER_NUMBER), request_id=request_id)
    assert await place.register(new(), new(OTHER_NUMBER), request_id=request_id) == first
    with pytest.raises(Refusal) as reused:
        await place.register(new(), request_id=request_id)
    assert reused.value.reason == "REQUEST_ID_REUSED"


async def test_what_was_acknowledged_is_there_after_a_restart(place: City) -> None:
    request_id = new_id()
    async with place.identity():
        await place.put_agencies()
        first = await place.register(new(), request_id=request_id)
        resident = await signed_in(place, first.persons[0].subject_id)
    async with place.identity():
        assert await place.register(new(), request_id=request_id) == first
        own = await place.ask(GATEWAY_ID, "GetOwnPerson", pb.GetOwnPersonRequest(), caller=resident)
        assert own.person.number == NUMBER


@pytest.mark.usefixtures("service")
async def test_many_who_register_the_same_persons_at_once_get_the_same_persons(place: City) -> None:
    batches = [(new(), new(OTHER_NUMBER)), (new(OTHER_NUMBER), new())] * 4
    answers = await asyncio.gather(*(place.register(*batch) for batch in batches))
    assert len({person.subject_id for answer in answers for person in answer.persons}) == 2


@pytest.mark.usefixtures("service")
async def test_five_hundred_persons_cost_well_below_two_seconds(place: City) -> None:
    numbers = [f"99010019010101{sequence:03}" for sequence in range(500)]
    begun = time.process_time()  # the processor's, so that a busy machine fails nobody
    answer = await place.register(*(new(number + citizen_check(number)) for number in numbers))
    assert time.process_time() - begun < 2
    assert len({person.subject_id for person in answer.persons}) == 500


@pytest.mark.usefixtures("service")
async def test_every_concurrent_answer_has_a_leaf_of_its_own(place: City) -> None:
    await place.register(new())
    answers = await asyncio.gather(*(place.ask(HOSPITAL_ID, "VerifyPerson", question(name=NAME)) for _ in range(40)))
    assert len({answer.receipt.index for answer in answers}) == 40
    operator = await place.peer(OPERATOR_ID)
    head = await operator.call(operator.stub(LedgerServiceStub).GetHead, GetHeadRequest())
    assert head.head.tree_size == 41


@pytest.mark.usefixtures("service")
async def test_nobody_gets_what_their_right_does_not_give(place: City) -> None:
    register = pb.RegisterPersonsRequest(request_id=new_id(), persons=[new()])
    resolve = pb.ResolvePersonRequest(subject_id=new_id(), purpose="birth", basis="x", fields=["number"])
    put = pb.PutAgencyRequest(uscc=HOSPITAL_CODE, name_zh="x", name_en="x", rights=["identity.register"], active=True)
    assert await refused(place, HOSPITAL_ID, "RegisterPersons", register) == ("PERMISSION_DENIED", "RIGHT_MISSING")
    assert await refused(place, GATEWAY_ID, "RegisterPersons", register) == ("PERMISSION_DENIED", "CALLER_NOT_ALLOWED")
    assert await refused(place, GATEWAY_ID, "ResolvePerson", resolve) == ("PERMISSION_DENIED", "CALLER_NOT_ALLOWED")
    assert await refused(place, HOSPITAL_ID, "PutAgency", put) == ("PERMISSION_DENIED", "CALLER_NOT_ALLOWED")
    stranger = "spiffe://tongban/agency/12990100000001038J"
    assert await refused(place, stranger, "VerifyPerson", question(name=NAME)) == (
        "PERMISSION_DENIED",
        "AGENCY_NOT_ACTIVE",
    )


@pytest.mark.usefixtures("service")
async def test_a_barred_agency_is_out_at_once(place: City) -> None:
    await place.register(new())
    await place.ask(HOSPITAL_ID, "VerifyPerson", question(name=NAME))
    barred = pb.PutAgencyRequest(uscc=HOSPITAL_CODE, name_zh="x", name_en="x", active=False)
    answer = await place.ask(OPERATOR_ID, "PutAgency", barred)
    assert answer.agency.version == 2

    async def out() -> bool:
        try:
            await place.ask(HOSPITAL_ID, "VerifyPerson", question(name=NAME))
        except Refusal as refusal:
            return refusal.reason == "AGENCY_NOT_ACTIVE"
        return False

    await eventually(out, 10)


@pytest.mark.usefixtures("service")
async def test_bad_input_is_refused_in_words_and_kept_nowhere(place: City) -> None:
    forged = pb.RegisterPersonsRequest(request_id=new_id(), persons=[new(), new("110105194912310021")])
    assert await refused(place, POLICE_ID, "RegisterPersons", forged) == ("INVALID_ARGUMENT", "NUMBER_CHECK_FAILED")
    empty = pb.RegisterPersonsRequest(request_id="x")
    assert (await refused(place, POLICE_ID, "RegisterPersons", empty))[0] == "INVALID_ARGUMENT"
    code = pb.PutAgencyRequest(uscc="119901000000010110", name_zh="x", name_en="x", active=True)
    assert await refused(place, OPERATOR_ID, "PutAgency", code) == ("INVALID_ARGUMENT", "CREDIT_CODE_CHECK_FAILED")
    nobody = await place.ask(POLICE_ID, "VerifyPerson", question(name=NAME))
    assert nobody.result == identity_pb2.MATCH_RESULT_NOT_FOUND
    unsure = await place.ask(HOSPITAL_ID, "VerifyPerson", question(name=NAME))
    assert unsure.result == identity_pb2.MATCH_RESULT_NO_MATCH


@pytest.mark.usefixtures("service")
async def test_agencies_come_in_pages(place: City) -> None:
    first = await place.ask(GATEWAY_ID, "ListAgencies", pb.ListAgenciesRequest(page_size=1))
    rest = await place.ask(
        GATEWAY_ID, "ListAgencies", pb.ListAgenciesRequest(page_size=1, page_token=first.next_page_token)
    )
    assert [agency.uscc for agency in (*first.agencies, *rest.agencies)] == ["11990100000001046G", HOSPITAL_CODE]
    assert rest.next_page_token == ""
    wrong = pb.ListAgenciesRequest(page_token="made up")
    assert await refused(place, GATEWAY_ID, "ListAgencies", wrong) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


@pytest.mark.usefixtures("service")
async def test_an_unknown_persona_gets_no_token(place: City) -> None:
    nobody = pb.IssueTokenRequest(grant_type=GRANT, persona="nobody")
    other = pb.IssueTokenRequest(grant_type="password", persona="nobody")
    assert await refused(place, GATEWAY_ID, "IssueToken", nobody) == ("INVALID_ARGUMENT", "INVALID_GRANT")
    assert await refused(place, GATEWAY_ID, "IssueToken", other) == ("INVALID_ARGUMENT", "UNSUPPORTED_GRANT_TYPE")


async def test_outside_the_sandbox_there_are_neither_personas_nor_tokens(profile: Profile) -> None:
    async with city(profile, sandbox=False) as place, place.identity():
        grant = pb.IssueTokenRequest(grant_type=GRANT, persona="mother-1")
        assert (await refused(place, GATEWAY_ID, "IssueToken", grant))[1] == "UNSUPPORTED_GRANT_TYPE"
        listing = pb.ListPersonasRequest()
        assert (await refused(place, OPERATOR_ID, "ListPersonas", listing)) == ("FAILED_PRECONDITION", "SANDBOX_OFF")


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Path]:
    """The log of this test, with everything that there is to say."""
    path = tmp_path / "identity.log"
    logs.configure("json", "debug", str(path))
    yield path
    logs.configure()


async def test_nothing_personal_stands_in_the_database_or_the_log_in_clear(
    lines: Path, place: City, service: Serving
) -> None:
    (person,) = (await place.register(new())).persons
    await signed_in(place, person.subject_id)
    await place.ask(HOSPITAL_ID, "VerifyPerson", question(name=NAME, phone=PHONE))
    await refused(place, POLICE_ID, "VerifyPerson", question(number="110105194912310021", name=NAME))
    logs.flush()
    written = await asyncio.to_thread(lines.read_bytes)
    assert b"VerifyPerson" in written
    store = service.app.store
    assert isinstance(store, IdentityStore)
    async with store.reading() as connection:
        rows = [row for table in METADATA.sorted_tables for row in await connection.execute(select(table))]
    kept = (
        b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
        + written
    )
    assert person.subject_id.encode() in kept
    for secret in (NUMBER, NAME, PHONE.removeprefix("+86"), ADDRESS, "110105194912310021"):
        assert secret.encode() not in kept
        assert json.dumps(secret).strip('"').encode() not in kept
