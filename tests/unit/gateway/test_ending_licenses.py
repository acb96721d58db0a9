# SPDX-License-Identifier: Apache-2.0
"""License steps that end what is held: asked of licenses, never undone, and never for more than they name."""

import pytest
from pydantic import ValidationError

from services.gateway.domain.definition import Matter
from services.gateway.domain.effects import owner_of
from services.gateway.domain.history import Outcome
from services.gateway.domain.values import input_of, names_of
from services.gateway.service import CreateCase, SubmitCase
from services.gateway.service.present import licenses_of
from services.gateway.service.steps import ToldAnswer
from services.kit.caller import acting_as
from tests.support.gateway_matters import CASE, MOTHER, definition, draft, field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import RESIDENT, MovingClock, World

END = step(
    "end",
    "license",
    ends=True,
    input={"holder_id": "applicant.id", "attributes": {"plate": "answers.plate"}},
)
FORM = (field("plate"),)


def test_an_empty_value_ends_nothing_instead_of_everything() -> None:
    plan = plan_of(END, form=FORM)
    names = names_of(plan, CASE, draft(plan))
    assert input_of(plan.steps["end"], names) == {
        "holder_id": MOTHER,
        "attributes": {"plate": ""},
        "type_code": "1" * 21,
    }


def test_what_was_ended_can_not_be_put_back() -> None:
    with pytest.raises(ValidationError, match="put back in force"):
        Matter.model_validate(definition({**END, "undo": {}}, form=FORM))


async def test_licenses_is_told_that_it_is_to_end_and_the_case_shows_no_license_for_it() -> None:
    plan = plan_of(END, form=FORM)
    world = World(MemoryGatewayStore(), workflows_of(plan), MovingClock())
    with acting_as(RESIDENT):
        case = await world.service.create_case(CreateCase("sample", {"plate": "A1"}))
        await world.service.submit_case(SubmitCase(case.id))
    asked = await world.steps.input(case.id, "end", 1, owner=owner_of(plan.steps["end"].step.kind))
    assert (asked.ends_licenses, asked.input["attributes"]) == (True, {"plate": "A1"})
    told = ToldAnswer("licenses", case.id, "end", 1, Outcome.DONE)
    await world.steps.answered(told, delivery_id="d-1")
    file = await world.store.case_file(case.id)
    assert file is not None
    assert file.state.status == "completed"
    assert licenses_of(plan.matter, file.state) == ()
