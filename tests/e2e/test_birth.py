# SPDX-License-Identifier: Apache-2.0
"""A mother's journey: one form, seven departments, licenses in the phone, and every use of her data to be seen."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from jwcrypto.jwk import JWK
from sd_jwt.verifier import SDJWTVerifier

from services.cli.demo.journey import Place, birth
from services.cli.demo.resident import DoorRefused, Resident
from services.cli.names import SERVICES
from tests.support.system import System

REGISTERED = {"birth_certificate", "vaccination", "household_registration", "medical_insurance", "social_security_card"}
SEVEN = REGISTERED | {"maternity_settlement", "parenting_registration"}


def place(system: System) -> Place:
    return Place(system.url, system.folder.pki, {name: system.address(name) for name in SERVICES})


async def submitted(mother: Resident, persona: str, **changed: str) -> str:
    samples = await mother.samples(persona)
    draft = await mother.create("birth", {**samples["birth"], **changed})
    await mother.submit(draft["id"])
    return str(draft["id"])


async def ended(mother: Resident, case_id: str) -> dict[str, Any]:
    async for _ in mother.events(case_id):
        pass
    return await mother.case(case_id)


def moment(step: dict[str, Any], which: str) -> datetime:
    return datetime.fromisoformat(step[which])


async def test_one_birth_crosses_seven_departments_and_everything_holds(system: System) -> None:
    told: list[str] = []
    outcome = await birth(place(system), "mother-1", told.append)
    assert outcome.faults == []
    assert outcome.case["status"] == "completed"
    steps = {step["id"]: step for step in outcome.case["steps"]}
    assert {steps[name]["state"] for name in SEVEN} == {"done"}
    assert len({steps[name]["agency"]["uscc"] for name in SEVEN} | {steps["premium"]["agency"]["uscc"]}) == 7
    assert len(outcome.licenses) >= 3
    assert outcome.ledger_verified
    document = outcome.document()
    assert set(document) == {
        *("case", "status", "steps", "licenses", "ledger", "trace_id", "spans_by_service", "seconds")
    }
    assert {"identity", "licenses", "exchange", "gateway"} <= document["spans_by_service"].keys()
    assert sum(name.startswith("department.") for name in document["spans_by_service"]) >= 7
    assert any(outcome.case["receipt"] in line for line in told)


async def test_the_number_comes_before_insurance_and_card_and_the_first_two_steps_run_side_by_side(
    system: System,
) -> None:
    async with system.resident("mother-2") as mother:
        case = await ended(mother, await submitted(mother, "mother-2"))
    steps = {step["id"]: step for step in case["steps"]}
    assert moment(steps["vaccination"], "started") <= moment(steps["birth_certificate"], "ended")
    assert moment(steps["birth_certificate"], "started") <= moment(steps["vaccination"], "ended")
    registered = moment(steps["household_registration"], "ended")
    assert moment(steps["birth_certificate_license"], "ended") <= moment(steps["household_registration"], "started")
    for later in ("medical_insurance", "social_security_card", "household_license"):
        assert registered <= moment(steps[later], "started")
    assert moment(steps["medical_insurance"], "ended") <= moment(steps["premium"], "started")


async def test_an_independent_library_verifies_every_license(system: System) -> None:
    async with system.resident("mother-3") as mother:
        case = await ended(mother, await submitted(mother, "mother-3"))
        licenses = [await mother.license(each["license_id"]) for each in case["licenses"]]
    root = x509.load_pem_x509_certificate((system.folder.pki / "ca.crt").read_bytes())

    def signer(_issuer: str, header: dict[str, Any]) -> JWK:
        certificate = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
        certificate.verify_directly_issued_by(root)
        assert certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return JWK.from_pyca(key)

    assert len(licenses) >= 3
    for license in licenses:
        claims = SDJWTVerifier(license["credential"], signer).get_verified_payload()
        assert claims["vct"] == f"urn:tongban:license:{license['type_code']}:1"
        assert claims["birth_date"] or license["type_code"].endswith("011")


async def test_two_births_in_one_household_are_two_children(system: System) -> None:
    async with system.resident("mother-4") as mother:
        first = await ended(mother, await submitted(mother, "mother-4"))
        second = await ended(mother, await submitted(mother, "mother-4"))
        identifiers = {each["identifier"] for case in (first, second) for each in case["licenses"]}
        assert len(identifiers) == len(first["licenses"]) + len(second["licenses"])
    assert first["receipt"] != second["receipt"]


async def test_a_father_who_is_not_her_husband_ends_the_case_with_a_reason_and_nothing_done(system: System) -> None:
    async with system.resident("mother-5") as mother, system.resident("father-1") as stranger:
        own = await stranger.create("birth", {})
        name = next(each for each in own["prefilled"] if each["name"] == "mother_name")
        assert name["state"] == "filled"
        case = await ended(
            mother,
            await submitted(mother, "mother-5", father_name="司徒无名", father_number="990100188001010019"),
        )
    assert case["status"] == "refused"
    assert case["reason"] == "MARRIAGE_NOT_VALID"
    assert case["message"]["zh"]
    assert case["licenses"] == []
    assert not [step for step in case["steps"] if step["id"] in SEVEN and step["state"] == "done"]


async def test_an_optional_step_that_is_not_wanted_is_not_done(system: System) -> None:
    async with system.resident("mother-6") as mother:
        samples = await mother.samples("mother-6")
        answers = {name: value for name, value in samples["birth"].items() if name != "settlement_account"}
        draft = await mother.create("birth", answers)
        await mother.submit(draft["id"])
        case = await ended(mother, draft["id"])
    assert case["status"] == "completed"
    states = {step["id"]: step["state"] for step in case["steps"]}
    assert states["maternity_settlement"] == "skipped"
    assert states["premium"] == "done"


async def test_what_was_written_is_read_at_once(system: System) -> None:
    async with system.resident("mother-1") as mother:
        samples = await mother.samples("mother-1")
        for _ in range(3):
            draft = await mother.create("birth", samples["birth"])
            assert (await mother.case(draft["id"]))["status"] == "draft"
            await mother.submit(draft["id"])
            assert (await mother.case(draft["id"]))["status"] != "draft"


async def test_the_same_key_twice_opens_one_case(system: System) -> None:
    async with system.resident("mother-2") as mother:
        samples = await mother.samples("mother-2")
        body = {"matter": "birth", "answers": samples["birth"]}
        both = await asyncio.gather(
            *(mother.send("POST", "/api/v1/cases", body, headers={"idempotency-key": "twice"}) for _ in range(2))
        )
        again = await mother.send("POST", "/api/v1/cases", body, headers={"idempotency-key": "twice"})
        ids = {response.json()["id"] for response in (*both, again) if response.is_success}
        assert again.is_success
        assert len(ids) == 1
        other = {**body, "answers": {**samples["birth"], "child_sex": "female", "birth_date": "2026-01-01"}}
        refused = await mother.send("POST", "/api/v1/cases", other, headers={"idempotency-key": "twice"})
        assert refused.status_code in {409, 422}


async def test_a_draft_that_is_not_wanted_any_more_is_deleted(system: System) -> None:
    async with system.resident("mother-5") as mother:
        draft = await mother.create("birth", (await mother.samples("mother-5"))["birth"])
        path = f"/api/v1/cases/{draft['id']}"
        headers = {"idempotency-key": draft["id"]}
        assert [(await mother.send("DELETE", path, headers=headers)).status_code for _ in range(2)] == [204, 204]
        assert (await mother.send("GET", path)).status_code == 404
        assert draft["id"] not in {row["id"] for row in (await mother.get("/api/v1/cases"))["cases"]}


async def test_another_residents_case_does_not_exist(system: System) -> None:
    async with system.resident("mother-1") as mother, system.resident("mother-2") as other:
        samples = await mother.samples("mother-1")
        draft = await mother.create("birth", samples["birth"])
        for path in ("", "/timeline", "/events"):
            response = await other.send("GET", f"/api/v1/cases/{draft['id']}{path}")
            assert response.status_code == 404, path
            assert draft["receipt"] not in response.text
        with pytest.raises(DoorRefused) as refused:
            await other.submit(draft["id"])
        assert refused.value.status == 404


async def test_a_broken_stream_is_taken_up_where_it_broke(system: System) -> None:
    async with system.resident("mother-3") as mother:
        case_id = await submitted(mother, "mother-3")
        whole = [entry["seq"] async for entry in mother.events(case_id)]
        middle = whole[len(whole) // 2]
        rest = [entry["seq"] async for entry in mother.events(case_id, after=str(middle))]
    assert whole == sorted(set(whole))
    assert rest == [seq for seq in whole if seq > middle]


async def test_a_mother_sees_who_used_her_data_and_for_what(system: System) -> None:
    async with system.resident("mother-4") as mother:
        case_id = await submitted(mother, "mother-4")
        await ended(mother, case_id)
        accesses = [access for access in await mother.accesses() if access["case_id"] == case_id]
    assert {access["log"] for access in accesses} == {"identity", "licenses", "exchange"}
    for access in accesses:
        assert access["purpose"] == "birth"
        assert access["basis"]
        assert access["fields"]
        assert json.loads(access["proof"]["body"])["case"] == case_id
    resources = {access["resource"] for access in accesses if access["log"] == "exchange"}
    assert {"307001/000001", "307002/000001", "307003/000001"} <= resources
