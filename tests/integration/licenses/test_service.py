# SPDX-License-Identifier: Apache-2.0
"""The licenses service as others meet it: certificates, tokens, events, a database that is read afterwards."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from sqlalchemy import text
from tongban.events.v1 import steps_pb2
from tongban.ledger.v1 import ledger_service_pb2, ledger_service_pb2_grpc
from tongban.licenses.v1 import licenses_events_pb2, licenses_pb2
from tongban.licenses.v1 import licenses_service_pb2 as pb

from services.kit.caller import Caller, CallerKind
from services.kit.errors import Refusal
from services.kit.ids import new_id
from tests.support.eventually import eventually
from tests.support.licenses_city import HUMAN_RESOURCES, City, city
from tests.support.licenses_paper import BIRTH, CHILD, shown
from tests.support.neighbors import GATEWAY, HOSPITAL
from tests.support.profiles import Profile

CASE = "990100/1299010000000102XJ/case-1"
STEP = "birth_certificate_license"


def wanted(holder_id: str, **changed: Any) -> dict[str, Any]:
    return {"type_code": BIRTH, "holder_id": holder_id, "serial": "Z990100001", "attributes": dict(CHILD), **changed}


def issue(holder_id: str, *, request_id: str = "", serial: str = "Z1") -> pb.IssueLicenseRequest:
    return pb.IssueLicenseRequest(
        request_id=request_id or new_id(),
        type_code=BIRTH,
        holder_id=holder_id,
        serial=serial,
        attributes=ParseDict(dict(CHILD), Struct()),
    )


async def refused(city: City, who: str, method: str, request: Any) -> str:
    with pytest.raises(Refusal) as caught:
        await city.call(who, method, request)
    return caught.value.reason


async def rows(city: City, query: str) -> list[Any]:
    store = city.service.app.store
    assert store is not None
    async with store.reading() as connection:
        return list((await connection.execute(text(query))).all())


async def test_an_agency_issues_and_the_holder_reads_and_anyone_verifies(profile: Profile) -> None:
    child = new_id()
    async with city(profile) as town:
        issued = await town.call(HOSPITAL, "IssueLicense", issue(child))
        assert issued.license.state == licenses_pb2.LICENSE_STATE_ACTIVE
        assert issued.license.name_zh == "出生医学证明"
        assert issued.receipt.log == "licenses"
        own = await town.call(child, "GetLicense", pb.GetLicenseRequest(license_id=issued.license.license_id))
        assert MessageToDict(own.attributes) == dict(CHILD)
        listed = await town.call(child, "ListOwnLicenses", pb.ListOwnLicensesRequest())
        assert [one.license_id for one in listed.licenses] == [issued.license.license_id]
        part = shown(own.credential, "child_name")
        verdict = await town.call(HUMAN_RESOURCES, "VerifyLicense", pb.VerifyLicenseRequest(credential=part))
        assert verdict.valid, verdict
        await eventually(lambda: len(town.told(licenses_events_pb2.LicenseIssued)) == 1)
        [(envelope, value)] = town.heard
        assert envelope.subject == issued.license.license_id
        assert all(str(said).encode() not in value for said in CHILD.values() if isinstance(said, str))


async def test_every_use_is_a_leaf_that_the_holder_can_prove(profile: Profile) -> None:
    child, stranger = new_id(), new_id()
    async with city(profile) as town:
        issued = await town.call(HOSPITAL, "IssueLicense", issue(child))
        get = pb.GetLicenseRequest(license_id=issued.license.license_id)
        await town.call(child, "GetLicense", get)
        assert await refused(town, stranger, "GetLicense", get) == "LICENSE_NOT_FOUND"
        verify = pb.VerifyLicenseRequest(identifier=issued.license.identifier)
        assert (await town.call(HUMAN_RESOURCES, "VerifyLicense", verify)).valid
        peer = await town.peer(GATEWAY)
        ledger = peer.stub(ledger_service_pb2_grpc.LedgerServiceStub)
        caller = Caller(CallerKind.CITIZEN, child, token=town.token(child))
        own = await peer.call(ledger.ListOwnLeaves, ledger_service_pb2.ListOwnLeavesRequest(), caller=caller)
        told = [(leaf["operation"], leaf["outcome"]) for leaf in (json.loads(one.leaf.body) for one in own.leaves)]
        assert told == [
            ("licenses.VerifyLicense", "valid"),
            ("licenses.GetLicense", "LICENSE_NOT_FOUND"),
            ("licenses.GetLicense", "answered"),
            ("licenses.IssueLicense", "answered"),
        ]
        assert child not in own.leaves[0].leaf.body.decode()


async def test_nobody_without_right_certificate_or_token_gets_anything(profile: Profile) -> None:
    child = new_id()
    async with city(profile) as town:
        town.identity.rights[HUMAN_RESOURCES] = (True, ())
        issued = await town.call(HOSPITAL, "IssueLicense", issue(child))
        license_id = issued.license.license_id
        assert await refused(town, HUMAN_RESOURCES, "IssueLicense", issue(child)) == "RIGHT_MISSING"
        assert await refused(town, child, "IssueLicense", issue(child)) == "CALLER_NOT_ALLOWED"
        assert await refused(town, HOSPITAL, "ListOwnLicenses", pb.ListOwnLicensesRequest()) == "CALLER_NOT_ALLOWED"
        change = pb.SuspendLicenseRequest(request_id=new_id(), license_id=license_id, grounds="g")
        town.identity.rights[HUMAN_RESOURCES] = (True, ("licenses.suspend",))
        town.service.runtime.rights.forget(HUMAN_RESOURCES)
        assert await refused(town, HUMAN_RESOURCES, "SuspendLicense", change) == "LICENSE_NOT_FOUND"
        bad = pb.IssueLicenseRequest(request_id="no uuid", type_code="x", serial="lower")
        assert await refused(town, HOSPITAL, "IssueLicense", bad) == "REQUEST_INVALID"
        both = pb.VerifyLicenseRequest(identifier="x", credential="y")
        assert await refused(town, HOSPITAL, "VerifyLicense", both) == "REQUEST_INVALID"


async def test_the_same_request_at_once_makes_one_license(profile: Profile) -> None:
    child, request_id = new_id(), new_id()
    async with city(profile) as town:
        request = issue(child, request_id=request_id)
        answers = await asyncio.gather(*(town.call(HOSPITAL, "IssueLicense", request) for _ in range(6)))
        assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
        other = issue(child, request_id=request_id, serial="Z2")
        assert await refused(town, HOSPITAL, "IssueLicense", other) == "REQUEST_ID_REUSED"
        assert [row.n for row in await rows(town, "SELECT count(*) AS n FROM license")] == [1]


async def test_the_same_serial_at_once_makes_consecutive_versions_or_is_told_to_ask_again(profile: Profile) -> None:
    child = new_id()
    async with city(profile) as town:
        results = await asyncio.gather(
            *(town.call(HOSPITAL, "IssueLicense", issue(child)) for _ in range(6)), return_exceptions=True
        )
        lost = [one for one in results if isinstance(one, BaseException)]
        assert all(isinstance(one, Refusal) and one.reason == "VERSION_CONFLICT" for one in lost), lost
        found = await rows(town, "SELECT version, state FROM license ORDER BY version")
        assert [row.version for row in found] == list(range(1, len(results) - len(lost) + 1))
        assert [row.state for row in found] == ["superseded"] * (len(found) - 1) + ["active"]


async def test_a_step_becomes_a_license_an_answer_and_a_leaf(profile: Profile) -> None:
    child, mother = new_id(), new_id()
    async with city(profile) as town:
        town.open_step(CASE, STEP, 1, wanted(child, reader_id=mother))
        await town.request_step(CASE, STEP)
        [answer] = await town.answers(CASE, 1)
        assert answer.outcome == steps_pb2.STEP_OUTCOME_DONE
        own = await town.call(mother, "GetLicense", pb.GetLicenseRequest(license_id=answer.output["license_id"]))
        assert MessageToDict(own.attributes) == dict(CHILD)
        assert own.license.identifier == answer.output["identifier"]
        assert own.license.case_id == CASE
        envelopes = {envelope.type.rpartition(".")[2]: envelope for envelope, _ in town.heard}
        assert envelopes["StepAnswered"].subject == CASE
        assert {one.correlation for one in envelopes.values()} == {CASE}
        leaves = await rows(town, 'SELECT case_id FROM ledger_leaf ORDER BY "index" LIMIT 1')
        assert [row.case_id for row in leaves] == [CASE]


async def test_deliveries_that_come_twice_and_later_attempts_make_one_license(profile: Profile) -> None:
    child, event_id = new_id(), new_id()
    async with city(profile) as town:
        for attempt in (1, 2):
            town.open_step(CASE, STEP, attempt, wanted(child))
        for attempt, event in ((1, event_id), (1, event_id), (2, new_id()), (1, event_id)):
            await town.request_step(CASE, STEP, attempt, event_id=event)
        town.open_step("last", STEP, 1, wanted(child, serial="LAST"))
        await town.request_step("last", STEP)
        await town.answers("last", 1)
        first, second = await town.answers(CASE, 2)
        assert dict(first.output) == dict(second.output)
        assert len(await town.answers(CASE, 0)) == 2
        assert [row.n for row in await rows(town, "SELECT count(*) AS n FROM license")] == [2]


async def test_refused_steps_are_answered_and_closed_ones_skipped(profile: Profile) -> None:
    child = new_id()
    async with city(profile) as town:
        town.open_step("no-signer", STEP, 1, wanted(child), agency="11990100000001011X")
        town.open_step("no-attributes", STEP, 1, wanted(child, attributes={}))
        town.open_step("no-text", STEP, 1, wanted(child, serial={"a": 1}))
        for case in ("closed", "no-signer", "no-attributes", "no-text"):
            await town.request_step(case, STEP)
        reasons = [(await town.answers(case, 1))[0].reason for case in ("no-signer", "no-attributes", "no-text")]
        assert reasons == ["SIGNER_MISSING", "ATTRIBUTES_MISSING", "STEP_INPUT_INCOMPLETE"]
        await eventually(lambda: ("closed", STEP, 1) in town.gateway.asked)
        assert town.told(steps_pb2.StepAnswered) == [
            answer for answer in town.told(steps_pb2.StepAnswered) if answer.case_id != "closed"
        ]
        assert [row.n for row in await rows(town, "SELECT count(*) AS n FROM parked")] == [0]


async def test_a_step_ends_what_a_holder_has_and_a_verifier_says_so(profile: Profile) -> None:
    holder = new_id()
    async with city(profile) as town:
        first = await town.call(HOSPITAL, "IssueLicense", issue(holder, serial="Z1"))
        town.open_step(CASE, STEP, 1, wanted(holder, serial="Z2"))
        await town.request_step(CASE, STEP)
        [issued] = await town.answers(CASE, 1)
        named = {"type_code": BIRTH, "holder_id": holder, "attributes": {"child_name": CHILD["child_name"]}}
        successor = {**named, "successor_id": issued.output["license_id"]}
        town.open_step(CASE, "supersede", 1, successor, ends_licenses=True)
        await town.request_step(CASE, "supersede")
        await town.answers(CASE, 2)
        assert await verdict_of(town, first.license.identifier) == ["LICENSE_SUPERSEDED"]
        assert await verdict_of(town, issued.output["identifier"]) == []
        town.open_step(CASE, "end", 1, named, ends_licenses=True)
        await town.request_step(CASE, "end")
        answers = await town.answers(CASE, 3)
        assert [one.outcome for one in answers] == [steps_pb2.STEP_OUTCOME_DONE] * 3
        assert await verdict_of(town, issued.output["identifier"]) == ["LICENSE_REVOKED"]
        listed = await town.call(holder, "ListOwnLicenses", pb.ListOwnLicensesRequest())
        ended = {licenses_pb2.LICENSE_STATE_REVOKED, licenses_pb2.LICENSE_STATE_SUPERSEDED}
        assert {one.state for one in listed.licenses} == ended


async def verdict_of(town: City, identifier: str) -> list[str]:
    verdict = await town.call(HUMAN_RESOURCES, "VerifyLicense", pb.VerifyLicenseRequest(identifier=identifier))
    return [check.reason for check in verdict.checks if not check.passed]


async def test_a_gateway_that_is_down_is_waited_for(profile: Profile) -> None:
    child = new_id()
    async with city(profile) as town:
        town.open_step(CASE, STEP, 1, wanted(child))
        town.gateway.down = True
        await town.request_step(CASE, STEP)
        await eventually(lambda: len(town.gateway.asked) >= 2)
        assert town.told(steps_pb2.StepAnswered) == []
        town.gateway.down = False
        [answer] = await town.answers(CASE, 1)
        assert answer.outcome == steps_pb2.STEP_OUTCOME_DONE


async def test_nothing_at_rest_tells_a_name(profile: Profile) -> None:
    child = new_id()
    async with city(profile) as town:
        issued = await town.call(HOSPITAL, "IssueLicense", issue(child))
        change = pb.SuspendLicenseRequest(
            request_id=new_id(), license_id=issued.license.license_id, grounds="测试宝宝 moved away"
        )
        await town.call(HOSPITAL, "SuspendLicense", change)
        name = str(CHILD["child_name"]).encode()
        for table in ("license", "license_note", "license_request", "outbox", "ledger_leaf"):
            for row in await rows(town, f"SELECT * FROM {table}"):
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    assert name not in raw, table
                    assert b"2026-10-30" not in raw, table


async def test_a_life_of_changes_is_told_in_order(profile: Profile) -> None:
    child = new_id()
    async with city(profile) as town:
        issued = await town.call(HOSPITAL, "IssueLicense", issue(child))
        license_id = issued.license.license_id
        change = {"license_id": license_id, "grounds": "g"}
        await town.call(HOSPITAL, "SuspendLicense", pb.SuspendLicenseRequest(request_id=new_id(), **change))
        verify = pb.VerifyLicenseRequest(identifier=issued.license.identifier)
        verdict = await town.call(HOSPITAL, "VerifyLicense", verify)
        assert [check.reason for check in verdict.checks if not check.passed] == ["LICENSE_SUSPENDED"]
        await town.call(HOSPITAL, "RestoreLicense", pb.RestoreLicenseRequest(request_id=new_id(), **change))
        await town.call(HOSPITAL, "RevokeLicense", pb.RevokeLicenseRequest(request_id=new_id(), **change))
        await eventually(lambda: len(town.heard) == 4)
        kinds = [envelope.type.rpartition(".")[2] for envelope, _ in town.heard]
        assert kinds == ["LicenseIssued", "LicenseSuspended", "LicenseRestored", "LicenseRevoked"]
        again = pb.RevokeLicenseRequest(request_id=new_id(), **change)
        assert await refused(town, HOSPITAL, "RevokeLicense", again) == "LICENSE_ENDED"


async def test_the_types_of_the_catalogue_are_those_of_the_files(profile: Profile) -> None:
    folder = Path(__file__).parents[3] / "services" / "licenses" / "types"
    async with city(profile) as town:
        listed = await town.call(HOSPITAL, "ListLicenseTypes", pb.ListLicenseTypesRequest())
    told = {yaml.safe_load(each.read_text(encoding="utf-8"))["code"] for each in folder.glob("*.yaml")}
    assert {each.code for each in listed.types} == told
