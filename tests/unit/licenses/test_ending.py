# SPDX-License-Identifier: Apache-2.0
"""Steps that end licenses: exactly those that are meant, once, and told."""

from dataclasses import replace

import pytest

from services.licenses.domain.license import LicenseState, LicenseSuperseded
from services.licenses.domain.step import Step, StepAnswered, StepOutcome
from services.licenses.service import EndLicenses
from tests.support.licenses_paper import BIRTH, CHILD, HOSPITAL
from tests.unit.licenses.conftest import CHILD_ID, MOTHER_ID, Desk
from tests.unit.licenses.test_steps import CASE, WANTED, answers

END = EndLicenses(
    step=Step(CASE, "end", 1),
    type_code=BIRTH,
    holder_id=CHILD_ID,
    attributes={},
    successor_id="",
    issuer=HOSPITAL,
    purpose="after_death",
    basis="PIPL art. 13(1)(3); Order 809 art. 19",
)


def states(desk: Desk) -> dict[str, LicenseState]:
    return {one.identifier.serial: one.state for one in desk.store.rows.licenses.values()}


async def test_everything_that_the_holder_has_of_the_type_is_revoked(desk: Desk) -> None:
    await desk.issued()
    await desk.issued("r-2", "Z2")
    await desk.issued("r-3", "Z3", MOTHER_ID)
    await desk.ending.answer(END, delivery_id="e-1")
    assert states(desk) == {"Z1": LicenseState.REVOKED, "Z2": LicenseState.REVOKED, "Z3": LicenseState.ACTIVE}
    assert answers(desk) == [StepAnswered(END.step, StepOutcome.DONE)]
    assert desk.facts()[-3:] == ["LicenseRevoked", "LicenseRevoked", "StepAnswered"]
    leaves = desk.store.ledger.leaves[-2:]
    assert {leaf.resource for leaf in leaves} == {
        one.license_id for one in desk.store.rows.licenses.values() if one.holder_id == CHILD_ID
    }
    assert {(leaf.operation, leaf.purpose, leaf.on_behalf_of, leaf.case_id) for leaf in leaves} == {
        ("licenses.RevokeLicense", "after_death", HOSPITAL, CASE)
    }


async def test_another_agency_can_end_nothing_of_this_one(desk: Desk) -> None:
    await desk.issued()
    await desk.ending.answer(replace(END, issuer="11990100000001011X"), delivery_id="e-1")
    assert states(desk) == {"Z1": LicenseState.ACTIVE}
    assert answers(desk)[0].outcome is StepOutcome.DONE


@pytest.mark.parametrize(("name", "ends"), [(CHILD["child_name"], True), ("测试他人", False), ("", False)])
async def test_only_what_says_so_is_ended(desk: Desk, name: str, ends: bool) -> None:
    await desk.issued()
    await desk.ending.answer(replace(END, attributes={"child_name": name}), delivery_id="e-1")
    assert states(desk) == {"Z1": LicenseState.REVOKED if ends else LicenseState.ACTIVE}


async def test_the_license_of_the_case_takes_the_place_of_the_older_ones(desk: Desk) -> None:
    old = await desk.issued()
    await desk.steps.answer(replace(WANTED, serial="Z2"), delivery_id="d-1")
    new = next(one for one in desk.store.rows.licenses.values() if one.identifier.serial == "Z2")
    await desk.ending.answer(replace(END, successor_id=new.license_id), delivery_id="e-1")
    assert states(desk) == {"Z1": LicenseState.SUPERSEDED, "Z2": LicenseState.ACTIVE}
    assert LicenseSuperseded(old.license.license_id, new.license_id) in desk.store.rows.facts


async def test_a_license_of_another_case_takes_no_ones_place(desk: Desk) -> None:
    old = await desk.issued()
    for number, successor in enumerate((old.license.license_id, "nothing")):
        await desk.ending.answer(replace(END, successor_id=successor), delivery_id=f"e-{number}")
    assert [(one.outcome, one.reason) for one in answers(desk)] == [(StepOutcome.REFUSED, "SUCCESSOR_UNKNOWN")] * 2
    assert states(desk) == {"Z1": LicenseState.ACTIVE}
    assert desk.outcomes()[-1] == ("SupersedeLicense", "SUCCESSOR_UNKNOWN")


async def test_whoever_holds_nothing_is_done_and_the_look_is_accounted_for(desk: Desk) -> None:
    await desk.ending.answer(END, delivery_id="e-1")
    assert answers(desk) == [StepAnswered(END.step, StepOutcome.DONE)]
    [leaf] = desk.store.ledger.leaves
    assert (leaf.subject_id, leaf.resource) == (CHILD_ID, BIRTH)


async def test_a_repeat_changes_nothing_and_a_later_attempt_is_answered_too(desk: Desk) -> None:
    await desk.issued()
    for delivery, attempt in (("e-1", 1), ("e-1", 1), ("e-2", 2)):
        await desk.ending.answer(replace(END, step=Step(CASE, "end", attempt)), delivery_id=delivery)
    assert [one.step.attempt for one in answers(desk)] == [1, 2]
    assert desk.facts().count("LicenseRevoked") == 1


@pytest.mark.parametrize("change", [{"holder_id": ""}, {"holder_id": "mother-1"}, {"issuer": ""}, {"type_code": ""}])
async def test_what_does_not_say_whose_license_ends_none(desk: Desk, change: dict[str, str]) -> None:
    await desk.issued()
    await desk.ending.answer(replace(END, **change), delivery_id="e-1")  # type: ignore[arg-type]
    assert answers(desk)[0].reason == "STEP_INPUT_INCOMPLETE"
    assert states(desk) == {"Z1": LicenseState.ACTIVE}
