# SPDX-License-Identifier: Apache-2.0
"""The birth as it is offered: who is asked about whom, and what a refusal gives away."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from services.gateway.domain.expressions import Scalar
from services.gateway.domain.history import Outcome
from services.gateway.service import CaseView, CreateCase, SubmitCase, TimelineEntry
from services.gateway.service.steps import ToldAnswer
from services.gateway.workflows import load_workflows
from services.kit.caller import acting_as
from tests.support.gateway_matters import BIRTH
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import RESIDENT, MovingClock, World

WORKFLOWS = load_workflows(BIRTH.parent, BIRTH.parents[3] / "sandbox" / "agencies.yaml")
FATHER = "990100188001010019"
ANSWERS = {
    "father_name": "司徒无名",
    "father_number": FATHER,
    "child_name": "安宁",
    "child_sex": "female",
    "birth_date": "2026-11-02",
}
HUSBAND = {"status": "valid", "spouse_number": FATHER}
NOT_HUSBAND: list[Mapping[str, Scalar]] = [
    {},
    {"status": "valid", "spouse_number": "11010519491231002X"},
    {"status": "divorced", "spouse_number": FATHER},
]
FOUND = {"verify_mother": "match", "fetch_household": "found", "fetch_insurance": "found"}


async def shown(marriage: Mapping[str, Scalar], father: str) -> tuple[CaseView, tuple[TimelineEntry, ...]]:
    """Everything a resident sees once identity and exchange have answered all they were asked."""
    world = World(MemoryGatewayStore(), WORKFLOWS, MovingClock())
    world.exchange.answers = {"fetch_marriage": marriage}
    outputs = {**FOUND, "fetch_marriage": "found", "verify_father": father}
    with acting_as(RESIDENT):
        case = await world.service.create_case(CreateCase("birth", ANSWERS))
        case = await world.service.submit_case(SubmitCase(case.id))
        while asked := [step for step in case.steps if step.state == "running" and step.id in outputs]:
            for step in asked:
                answer = ToldAnswer(
                    teller="identity" if step.kind == "verify" else "exchange",
                    case_id=case.id,
                    step_id=step.id,
                    attempt=1,
                    outcome=Outcome.DONE,
                    output={"result": outputs[step.id]} if step.kind == "verify" else {"found": "true"},
                    answer_id=step.id if step.id in world.exchange.answers else "",
                )
                await world.steps.answered(answer, delivery_id=step.id)
            case = await world.service.case(case.id)
        return replace(case, id="", receipt=""), await world.service.timeline(case.id)


@pytest.mark.parametrize("marriage", NOT_HUSBAND)
async def test_a_refusal_does_not_tell_whether_a_strangers_name_and_number_belong_together(
    marriage: Mapping[str, Scalar],
) -> None:
    belongs, belongs_not, nobody = [await shown(marriage, said) for said in ("match", "no_match", "not_found")]
    assert belongs == belongs_not == nobody
    case, timeline = belongs
    assert (case.status, case.reason) == ("refused", "MARRIAGE_NOT_VALID")
    assert "verify_father" not in {entry.step_id for entry in timeline}


async def test_the_husband_himself_must_be_who_he_is_said_to_be() -> None:
    case, _ = await shown(HUSBAND, "no_match")
    assert (case.status, case.reason) == ("refused", "FATHER_NOT_VERIFIED")


async def test_certificate_and_vaccination_follow_when_both_parents_are_verified() -> None:
    case, _ = await shown(HUSBAND, "match")
    running = {step.id for step in case.steps if step.state == "running"}
    assert running == {"birth_certificate", "vaccination"}


def test_from_the_childs_number_on_a_birth_only_goes_forward() -> None:
    pivots = [step.id for step in WORKFLOWS.current("birth").matter.steps if getattr(step, "pivot", False)]
    assert pivots == ["household_registration"]
