# SPDX-License-Identifier: Apache-2.0
"""Every matter, through the public door and the city's departments, to the ends that its script names."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from tongban.identity.v1 import identity_pb2, identity_service_pb2, identity_service_pb2_grpc
from tongban.licenses.v1 import licenses_service_pb2 as pb
from tongban.licenses.v1 import licenses_service_pb2_grpc

from sandbox.agencies import load as agencies
from sandbox.office import Paper, offices
from sandbox.scripts import Script, ScriptCase, scripts
from sandbox.work import Work
from services.cli.demo.resident import Resident
from services.gateway.domain.history import Outcome
from services.kit.ids import new_id
from services.licenses.domain.identifier import LicenseIdentifier
from tests.support.matter_runs import Registers
from tests.support.system import System

CLERK = "clerk-hotline-1"
LOOK_SECONDS = 0.2
SUPERSEDED = dict.fromkeys(("XS990000001", "BD990000006", "HK980000012"), "SUPERSEDED")
"""Serials of licenses whose place a new one has taken."""
TOGETHER = 6
"""Residents at the same time: the machine is shared."""


async def filed(resident: Resident, matter: str, case: ScriptCase) -> dict[str, Any]:
    """File it and wait for its end."""
    body = {"matter": matter, "answers": case.answers, "without": case.without}
    draft = await resident.send("POST", "/api/v1/cases", body, headers={"idempotency-key": new_id()})
    assert draft.is_success, draft.text
    case_id = draft.json()["id"]
    await resident.submit(case_id)
    async for _ in resident.events(case_id):
        pass
    return await resident.case(case_id)


@pytest.fixture(scope="session")
def ends(system: System) -> dict[tuple[str, str], dict[str, Any]]:
    """How every case ended."""
    return asyncio.run(all_ends(system))


async def all_ends(system: System) -> dict[tuple[str, str], dict[str, Any]]:
    """Persons side by side, each with one case after another."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    by_person: defaultdict[str, list[tuple[str, ScriptCase]]] = defaultdict(list)
    for script in scripts().values():
        for case in on_the_system(script):
            by_person[case.persona].append((script.matter, case))
    room = asyncio.Semaphore(TOGETHER)

    async def all_of(persona: str) -> None:
        async with room, system.resident(persona) as resident:
            for matter, case in by_person[persona]:
                found[matter, case.name] = await filed(resident, matter, case)

    async def everybody() -> None:
        await asyncio.gather(*map(all_of, by_person))

    async with system.resident(CLERK) as clerk:
        working, people = asyncio.create_task(at_work(clerk)), asyncio.create_task(everybody())
        await asyncio.wait({working, people}, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        await people
    return found


async def at_work(clerk: Resident) -> None:
    """Do what the hotline is asked, as its file says: it has no system, so a person claims and answers."""
    registers = Registers(datetime.now(UTC).date())
    while True:
        for task in (await clerk.get("/api/v1/tasks?state=open"))["tasks"]:
            await act(clerk, task["id"], "claim", None)
            given = (await clerk.get(f"/api/v1/tasks/{task['id']}"))["input"]
            done = registers.perform(offices()["hotline"], Work(task["case_id"], task["operation"], given))
            words = {"zh": "不予受理。", "en": "Not taken up."}
            refused = {"refused": {"reason": done.reason, "message": words}}
            await act(clerk, task["id"], "answer", {"output": done.output} if done.outcome is Outcome.DONE else refused)
        await asyncio.sleep(LOOK_SECONDS)


async def act(clerk: Resident, task_id: str, what: str, body: dict[str, Any] | None) -> None:
    answer = await clerk.send("POST", f"/api/v1/tasks/{task_id}/{what}", body, headers={"idempotency-key": new_id()})
    assert answer.is_success, answer.text


def on_the_system(script: Script) -> list[ScriptCase]:
    """Cases that a healthy city can answer."""
    return [case for case in script.cases if not case.told]


def papers() -> list[tuple[str, Paper]]:
    """What departments had issued before: by the end of this module, all of it has ended."""
    return [(key, paper) for key, office in offices().items() for paper in office.issued]


@pytest.mark.parametrize(("key", "paper"), [pytest.param(*each, id=f"{each[0]}-{each[1].serial}") for each in papers()])
@pytest.mark.usefixtures("ends")
def test_a_license_that_a_matter_has_ended_convinces_no_verifier(system: System, key: str, paper: Paper) -> None:
    """The seller's and the mover's were superseded by a new one, the others revoked."""
    issuer = agencies()[key].uscc
    identifier = str(LicenseIdentifier(paper.type, issuer, paper.serial, 1))
    verdict = asyncio.run(verified(system, identifier))
    assert [check.reason for check in verdict.checks if not check.passed] == [
        f"LICENSE_{SUPERSEDED.get(paper.serial, 'REVOKED')}"
    ]


@pytest.mark.usefixtures("ends")
def test_the_seller_sees_in_the_wallet_that_both_licenses_have_ended(system: System) -> None:
    async def wallet() -> set[tuple[str, str]]:
        async with system.resident("seller-1") as seller:
            return {(one["type_code"], one["state"]) for one in (await seller.get("/api/v1/licenses"))["licenses"]}

    assert asyncio.run(wallet()) == {("111000000000010033028", "superseded"), ("111000000000010033029", "superseded")}


@pytest.mark.usefixtures("ends")
def test_the_platform_knows_a_firm_that_was_opened_and_that_another_was_struck_off(
    system: System, ends: dict[tuple[str, str], dict[str, Any]]
) -> None:
    case = ends["firm_opening", "a firm with staff is opened"]
    [business] = [one for one in case["licenses"] if one["type_code"] == "111000000000010033023"]

    async def compared() -> list[tuple[int, bool]]:
        async with system.resident("founder-1") as founder:
            uscc = (await founder.get(f"/api/v1/licenses/{business['license_id']}"))["attributes"]["uscc"]
        async with system.peer("identity", f"spiffe://tongban/agency/{agencies()['tax'].uscc}") as peer:
            stub = peer.stub(identity_service_pb2_grpc.IdentityServiceStub)
            firms = ((uscc, "通办市长风软件有限公司"), ("91990100MB9000031D", "通办市拾光园艺有限公司"))
            asked = [identity_service_pb2.VerifyOrganizationRequest(uscc=code, name=name) for code, name in firms]
            answers = [await peer.call(stub.VerifyOrganization, one) for one in asked]
            return [(one.result, one.deregistered) for one in answers]

    match, no_match = identity_pb2.MATCH_RESULT_MATCH, identity_pb2.MATCH_RESULT_NO_MATCH
    assert asyncio.run(compared()) == [(match, False), (no_match, True)]


async def verified(system: System, identifier: str) -> pb.VerifyLicenseResponse:
    """As another department sees it."""
    async with system.peer("licenses", f"spiffe://tongban/agency/{agencies()['tax'].uscc}") as peer:
        stub = peer.stub(licenses_service_pb2_grpc.LicensesServiceStub)
        verdict: pb.VerifyLicenseResponse = await peer.call(
            stub.VerifyLicense, pb.VerifyLicenseRequest(identifier=identifier)
        )
        return verdict


@pytest.mark.parametrize("matter", sorted(scripts()))
def test_a_matter_ends_as_its_script_says(matter: str, ends: dict[tuple[str, str], dict[str, Any]]) -> None:
    for case in on_the_system(scripts()[matter]):
        end = ends[matter, case.name]
        why = {step["id"]: step.get("reason") for step in end["steps"] if step.get("reason")}
        assert (end["status"], end["reason"] or "") == (case.ends, case.reason), (case.name, why)
        if case.ends == "completed":
            left = {step["id"] for step in end["steps"] if step["state"] in {"skipped", "failed"}}
            assert left == {*case.not_done, *case.without}, (case.name, why)
