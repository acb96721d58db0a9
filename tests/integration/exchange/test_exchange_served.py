# SPDX-License-Identifier: Apache-2.0
"""The exchange as it is served: certificates, rights, events and both kinds of database."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tongban.events.v1 import steps_pb2
from tongban.exchange.v1 import exchange_events_pb2 as facts
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.gateway.v1 import gateway_pb2
from tongban.ledger.v1 import ledger_service_pb2 as ledger_pb

from services.exchange.app import running
from services.exchange.config import Settings
from services.kit.errors import Refusal, Unavailable
from services.kit.ids import new_id
from services.kit.ledger import merkle
from services.kit.run import serving
from tests.support.eventually import eventually
from tests.support.exchange_city import (
    ADDRESS,
    ENROLLMENT,
    HOUSEHOLD,
    INSURANCE,
    NOBODY,
    NUMBER,
    OPERATOR,
    POLICE,
    SUBJECT_ID,
    City,
    city,
    enrollment,
    grant_request,
    query,
)
from tests.support.mesh import free_port
from tests.support.neighbors import GATEWAY, HOSPITAL, ready
from tests.support.profiles import Profile


@pytest.fixture
async def town(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as town:
        yield town


async def refused(town: City, who: str, method: str, request: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        await town.call(who, method, request)
    return refusal.value.reason


async def test_a_department_asks_another_and_the_answer_has_its_leaf(town: City) -> None:
    grant_id = await town.stock()
    answer = await town.call(HOSPITAL, "Query", query())
    assert dict(answer.values.items()) == {"address": ADDRESS}
    assert (answer.grant_id, answer.provider) == (grant_id, POLICE)
    leaf = (await town.leaves())[answer.receipt.index]
    assert (leaf["operation"], leaf["caller"], leaf["outcome"]) == ("query", f"agency:{HOSPITAL}", "answered")
    assert (leaf["fields"], leaf["resource"], leaf["case"]) == (["address"], HOUSEHOLD, "990100/x/1")
    assert merkle.leaf_hash(json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()) == (
        answer.receipt.leaf_hash
    )


async def test_a_resident_finds_who_asked_about_them_by_either_key(town: City) -> None:
    await town.stock()
    await town.call(HOSPITAL, "Query", query())
    await town.call(HOSPITAL, "Query", query(subject=pb.Subject(subject_id=SUBJECT_ID)))
    assert await refused(town, HOSPITAL, "Query", query(purpose="school")) == "PURPOSE_NOT_GRANTED"
    own = await town.call(SUBJECT_ID, "ListOwnLeaves", ledger_pb.ListOwnLeavesRequest())
    outcomes = [json.loads(each.leaf.body)["outcome"] for each in own.leaves]
    assert outcomes == ["PURPOSE_NOT_GRANTED", "answered", "answered"]


async def test_verify_tells_yes_or_no(town: City) -> None:
    await town.stock()
    request = pb.VerifyRequest(
        resource=HOUSEHOLD, subject=pb.Subject(number=NUMBER), values={"head_name": "li wei"}, purpose="birth"
    )
    answer = await town.call(HOSPITAL, "Verify", request)
    assert (answer.matched, dict(answer.fields)) == (True, {"head_name": True})
    request.values["head_name"] = "Li Na"
    assert not (await town.call(HOSPITAL, "Verify", request)).matched


async def test_who_has_no_record_is_not_found(town: City) -> None:
    await town.stock()
    assert await refused(town, HOSPITAL, "Query", query(subject=pb.Subject(number=NOBODY))) == "NOT_FOUND"
    assert (await town.leaves())[-1]["outcome"] == "NOT_FOUND"


async def test_a_grant_taken_back_refuses_the_very_next_call(town: City) -> None:
    grant_id = await town.stock()
    await town.call(HOSPITAL, "Query", query())
    request = pb.RevokeGrantRequest(request_id=new_id(), grant_id=grant_id, grounds="Misuse.")
    assert (await town.call(OPERATOR, "RevokeGrant", request)).grant.revoked
    assert await refused(town, HOSPITAL, "Query", query()) == "NO_GRANT"
    await eventually(lambda: [fact.revoked for fact in town.told(facts.GrantChanged)] == [False, True])


async def test_another_process_lets_go_of_a_grant_within_a_second(town: City, profile: Profile) -> None:
    grant_id = await town.stock()
    settings = town.settings.model_copy(update={"grpc_port": free_port(), "worker": "2"})
    async with serving(settings, running) as other:
        await eventually(lambda: ready(other))
        first, town.service = town.service, other
        town.peers.clear()
        await town.call(HOSPITAL, "Query", query())
        town.service = first
        town.peers.clear()
        request = pb.RevokeGrantRequest(request_id=new_id(), grant_id=grant_id, grounds="Misuse.")
        await town.call(OPERATOR, "RevokeGrant", request)
        town.service = other
        town.peers.clear()

        async def lets_go() -> bool:
            try:
                await town.call(HOSPITAL, "Query", query())
            except Refusal as refusal:
                return refusal.reason == "NO_GRANT"
            return False

        await eventually(lets_go, seconds=5 if profile.name == "embedded" else 15)


@pytest.mark.parametrize(
    ("who", "method", "reason"),
    [
        (POLICE, "Query", "RIGHT_MISSING"),
        (OPERATOR, "Query", "CALLER_NOT_ALLOWED"),
        (GATEWAY, "Query", "CALLER_NOT_ALLOWED"),
        ("99990100000000000X", "Query", "AGENCY_NOT_ACTIVE"),
    ],
)
async def test_only_who_may_ask_asks(town: City, who: str, method: str, reason: str) -> None:
    await town.stock()
    assert await refused(town, who, method, query()) == reason
    assert await town.leaves() == []


async def test_settings_of_adapters_are_told_to_operators_only(town: City) -> None:
    await town.stock()
    request = pb.GetResourceRequest(code=HOUSEHOLD)
    assert "statement" in (await town.call(OPERATOR, "GetResource", request)).resource.adapter_settings
    for who in (HOSPITAL, GATEWAY):
        assert not (await town.call(who, "GetResource", request)).resource.adapter_settings.fields
        listed = await town.call(who, "ListResources", pb.ListResourcesRequest())
        assert [(each.code, len(each.adapter_settings.fields)) for each in listed.resources] == [(HOUSEHOLD, 0)]


async def test_bad_requests_are_refused_with_every_fault(town: City) -> None:
    bad = town.household(timeout_ms=0)
    bad.adapter_settings.update({"statement": "DROP TABLE household"})
    with pytest.raises(Refusal) as refusal:
        await town.call(OPERATOR, "PutResource", pb.PutResourceRequest(resource=bad))
    assert {violation.field for violation in refusal.value.violations} == {
        "resource.timeout_ms",
        "resource.adapter_settings.statement",
    }
    bad.ClearField("sharing_class")
    assert await refused(town, OPERATOR, "PutResource", pb.PutResourceRequest(resource=bad)) == "REQUEST_INVALID"
    assert await refused(town, HOSPITAL, "Query", pb.QueryRequest(resource="x", purpose="x")) == "REQUEST_INVALID"
    far = grant_request()
    far.grant.expire_time.seconds = 2**60
    assert await refused(town, OPERATOR, "CreateGrant", far) == "REQUEST_INVALID"


async def test_a_resident_asks_about_themselves_on_behalf_of_an_agency(town: City) -> None:
    await town.stock()
    own = query(subject=pb.Subject(subject_id=SUBJECT_ID), on_behalf_of=HOSPITAL)
    answer = await town.call(SUBJECT_ID, "Query", own)
    assert dict(answer.values.items()) == {"address": ADDRESS}
    leaf = (await town.leaves())[-1]
    assert leaf["on_behalf_of"] == HOSPITAL
    assert leaf["caller"].startswith("citizen:")
    assert leaf["actor"] == GATEWAY
    assert await refused(town, new_id(), "Query", own) == "NOT_OWN_RECORD"


# ---- connectors -----------------------------------------------------------------------------------------------------


async def stock_enrollment(town: City) -> None:
    await town.call(OPERATOR, "PutResource", pb.PutResourceRequest(resource=enrollment()))
    request = grant_request(resource=ENROLLMENT, fields=["scheme", "status"], verify_fields=[])
    await town.call(OPERATOR, "CreateGrant", request)


async def until_connected(town: City) -> None:
    async def answers() -> bool:
        try:
            await town.call(HOSPITAL, "Query", query(resource=ENROLLMENT, fields=[]))
        except (Refusal, Unavailable):
            return False
        return True

    await eventually(answers)


async def test_a_provider_that_dials_out_is_asked_over_its_line(town: City) -> None:
    await stock_enrollment(town)
    with pytest.raises(Unavailable):
        await town.call(HOSPITAL, "Query", query(resource=ENROLLMENT, fields=[]))
    assert (await town.leaves())[-1]["outcome"] == "PROVIDER_UNAVAILABLE"
    async with town.connector() as connector:
        await until_connected(town)
        answer = await town.call(HOSPITAL, "Query", query(resource=ENROLLMENT, fields=["status"]))
        assert dict(answer.values.items()) == {"status": "active"}
        work = connector.work[-1]
        assert (work.subject_key, list(work.fields)) == (NUMBER, ["status"])
        assert work.traceparent
        connector.values = None
        assert await refused(town, HOSPITAL, "Query", query(resource=ENROLLMENT, fields=[])) == "NOT_FOUND"
        connector.values = {"status": {"nested": True}}
        reason = await refused(town, HOSPITAL, "Query", query(resource=ENROLLMENT, fields=[]))
        assert reason == "PROVIDER_ANSWER_INVALID"
        connector.values = {"status": "active", "subject_key": NOBODY}
        reason = await refused(town, HOSPITAL, "Query", query(resource=ENROLLMENT, fields=[]))
        assert reason == "PROVIDER_ANSWER_INVALID"


async def test_a_line_that_drops_fails_its_open_work_at_once(town: City) -> None:
    await stock_enrollment(town)
    async with AsyncExitStack() as line:
        connector = await line.enter_async_context(town.connector())
        await until_connected(town)
        connector.silent = True
        asking = asyncio.create_task(town.call(HOSPITAL, "Query", query(resource=ENROLLMENT, fields=[])))
        await eventually(lambda: len(connector.work) > 1)
        connector.sending.put_nowait(None)
        with pytest.raises(Unavailable):
            await asking
        await connector.ended.wait()


async def test_a_connector_serves_nobody_elses_resource(town: City) -> None:
    await stock_enrollment(town)
    async with town.connector(agency=POLICE) as connector:
        await connector.ended.wait()
    assert isinstance(connector.refusal, Refusal)
    assert connector.refusal.reason == "RESOURCE_NOT_OWNED"


async def test_a_connector_says_hello_first_and_once(town: City) -> None:
    await stock_enrollment(town)
    async with town.connector() as connector:
        connector.sending.put_nowait(pb.ConnectRequest(hello=pb.ConnectorHello(resources=[ENROLLMENT])))
        await connector.ended.wait()
    assert isinstance(connector.refusal, Refusal)
    assert connector.refusal.reason == "HELLO_MISSING"


async def test_a_service_that_stops_ends_the_lines(profile: Profile) -> None:
    async with city(profile) as town:
        await stock_enrollment(town)
        async with town.connector() as connector:
            await until_connected(town)
            town.service.stop()
            async with asyncio.timeout(10):
                await connector.ended.wait()
    assert INSURANCE not in str(connector.refusal)


# ---- steps ----------------------------------------------------------------------------------------------------------

FETCH = {"resource": HOUSEHOLD, "subject_id": SUBJECT_ID, "fields": "address"}


async def test_a_step_is_answered_by_one_fact_and_collected_by_the_gateway(town: City) -> None:
    await town.stock()
    town.open_step("case-1", FETCH)
    await town.request_step("case-1")
    answer = await town.answer("case-1")
    assert (answer.outcome, dict(answer.output)) == (steps_pb2.STEP_OUTCOME_DONE, {"found": "true"})
    collected = await town.call(GATEWAY, "GetAnswer", pb.GetAnswerRequest(answer_id=answer.answer_id))
    assert (collected.case_id, dict(collected.values.items())) == ("case-1", {"address": ADDRESS})
    asked, fetched = await town.leaves()
    assert (asked["operation"], asked["on_behalf_of"], asked["caller"]) == ("query", HOSPITAL, "service:exchange")
    assert (fetched["operation"], fetched["caller"]) == ("answer_collected", "service:gateway")
    assert asked["subject"] == fetched["subject"]
    assert all(ADDRESS.encode() not in value and NUMBER.encode() not in value for _, value in town.heard)


async def test_a_step_delivered_twice_has_one_effect(town: City) -> None:
    await town.stock()
    town.open_step("case-1", FETCH)
    event_id = new_id()
    for _ in range(3):
        await town.request_step("case-1", event_id=event_id)
    town.open_step("case-2", FETCH)
    await town.request_step("case-2")
    await town.answer("case-2")
    await town.answer("case-1")
    await asyncio.sleep(0.5)
    assert len(town.answers_so_far("case-1")) == 1
    assert [leaf["case"] for leaf in await town.leaves()].count("case-1") == 1


async def test_other_kinds_of_steps_and_closed_ones_are_left_alone(town: City) -> None:
    await town.stock()
    town.open_step("case-1", FETCH)
    await town.request_step("case-1", kind=gateway_pb2.STEP_KIND_LICENSE)
    await town.request_step("closed")
    await town.request_step("case-1")
    await town.answer("case-1")
    assert town.answers_so_far("closed") == []


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"resource": "307009/1"}, steps_pb2.STEP_OUTCOME_REFUSED, "NO_GRANT"),
        ({"fields": "head_name"}, steps_pb2.STEP_OUTCOME_REFUSED, "FIELD_NOT_GRANTED"),
        ({"subject_id": new_id()}, steps_pb2.STEP_OUTCOME_REFUSED, "PERSON_NOT_FOUND"),
        ({"subject_id": ""}, steps_pb2.STEP_OUTCOME_REFUSED, "REQUEST_INVALID"),
        ({"subject_id": 7}, steps_pb2.STEP_OUTCOME_REFUSED, "REQUEST_INVALID"),
        ({"number": NUMBER}, steps_pb2.STEP_OUTCOME_REFUSED, "REQUEST_INVALID"),
    ],
)
async def test_a_step_that_can_not_be_done_says_why(
    town: City, changes: dict[str, Any], outcome: int, reason: str
) -> None:
    await town.stock()
    town.open_step("case-1", {**FETCH, **changes})
    await town.request_step("case-1")
    answer = await town.answer("case-1")
    assert (answer.outcome, answer.reason, answer.answer_id) == (outcome, reason, "")


async def test_a_silent_department_is_told_as_unavailable(town: City) -> None:
    await stock_enrollment(town)
    town.open_step("case-1", {**FETCH, "resource": ENROLLMENT, "fields": ""})
    await town.request_step("case-1")
    answer = await town.answer("case-1")
    assert (answer.outcome, answer.reason) == (steps_pb2.STEP_OUTCOME_UNAVAILABLE, "PROVIDER_UNAVAILABLE")


async def test_a_gateway_that_is_away_is_waited_for(town: City) -> None:
    await town.stock()
    town.gateway.down = True
    town.open_step("case-1", FETCH)
    await town.request_step("case-1")
    await asyncio.sleep(0.5)
    assert town.answers_so_far("case-1") == []
    town.gateway.down = False
    assert (await town.answer("case-1")).outcome == steps_pb2.STEP_OUTCOME_DONE


async def test_what_was_kept_is_there_after_a_restart(profile: Profile) -> None:
    async with city(profile) as town:
        await town.stock()
        town.open_step("case-1", FETCH)
        await town.request_step("case-1")
        answer = await town.answer("case-1")
        town.service.stop()
        settings: Settings = town.settings.model_copy(update={"grpc_port": free_port()})
        async with serving(settings, running) as again:
            await eventually(lambda: ready(again))
            town.service = again
            town.peers.clear()
            collected = await town.call(GATEWAY, "GetAnswer", pb.GetAnswerRequest(answer_id=answer.answer_id))
            assert dict(collected.values.items()) == {"address": ADDRESS}
            await town.call(HOSPITAL, "Query", query())
            assert len(await town.leaves()) == 3
