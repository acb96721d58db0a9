# SPDX-License-Identifier: Apache-2.0
"""Steps of cases: issued once, answered always, refused in words."""

from dataclasses import replace

import pytest

from services.kit.errors import Refusal, Unavailable, VersionConflict
from services.licenses.domain.license import License, LicenseNotFound, LicenseState
from services.licenses.domain.step import Step, StepAnswered, StepInputIncomplete, StepOutcome
from services.licenses.service import Content, StepLicense, UndoLicense
from tests.support.licenses_memory import MemoryTx
from tests.support.licenses_paper import BIRTH, CHILD, HOSPITAL
from tests.unit.licenses.conftest import CHILD_ID, MOTHER_ID, Desk, citizen

CASE = "990100/11990100000001011X/case-1"
WANTED = StepLicense(
    step=Step(CASE, "birth_certificate_license", 1),
    type_code=BIRTH,
    holder_id=CHILD_ID,
    serial="Z990100001",
    attributes=CHILD,
    issuer=HOSPITAL,
    reader_id=MOTHER_ID,
    purpose="birth",
    basis="PIPL art. 13(1)(3); Order 809 art. 19",
)


def answers(desk: Desk) -> list[StepAnswered]:
    return [fact for fact in desk.store.rows.facts if isinstance(fact, StepAnswered)]


async def test_a_step_gets_its_license_and_its_answer(desk: Desk) -> None:
    await desk.steps.answer(WANTED, delivery_id="e-1")
    [answer] = answers(desk)
    [license] = desk.store.rows.licenses.values()
    assert answer.outcome is StepOutcome.DONE
    assert answer.output == {
        "license_id": license.license_id,
        "identifier": str(license.identifier),
        "version": "1",
    }
    assert desk.facts() == ["LicenseIssued", "StepAnswered"]
    [leaf] = desk.store.ledger.leaves
    assert (leaf.subject_id, leaf.purpose, leaf.basis, leaf.on_behalf_of, leaf.case_id) == (
        CHILD_ID,
        "birth",
        WANTED.basis,
        HOSPITAL,
        CASE,
    )


async def test_a_guardian_is_the_second_reader(desk: Desk) -> None:
    await desk.steps.answer(WANTED, delivery_id="e-1")
    [license] = desk.store.rows.licenses.values()
    shown = await desk.reading.get(license.license_id, citizen(MOTHER_ID))
    assert shown.attributes == CHILD
    assert desk.store.ledger.leaves[-1].purpose == "guardian"
    page = await desk.reading.own(citizen(MOTHER_ID), 0, "")
    assert [one.license_id for one, _ in page.rows] == [license.license_id]
    assert desk.store.ledger.leaves[-1].subject_id == CHILD_ID


async def test_where_no_reader_is_named_nobody_but_the_holder_reads(desk: Desk) -> None:
    await desk.steps.answer(replace(WANTED, reader_id=""), delivery_id="e-1")
    [license] = desk.store.rows.licenses.values()
    with pytest.raises(LicenseNotFound):
        await desk.reading.get(license.license_id, citizen(MOTHER_ID))
    assert license.readers == {CHILD_ID}


async def test_a_delivery_that_comes_twice_changes_nothing(desk: Desk) -> None:
    await desk.steps.answer(WANTED, delivery_id="e-1")
    before = desk.store.rows
    await desk.steps.answer(WANTED, delivery_id="e-1")
    assert desk.store.rows == before
    assert len(desk.store.ledger.leaves) == 1


async def test_a_later_attempt_is_answered_with_the_same_license(desk: Desk) -> None:
    await desk.steps.answer(WANTED, delivery_id="e-1")
    again = replace(WANTED, step=Step(CASE, WANTED.step.step_id, 2))
    await desk.steps.answer(again, delivery_id="e-2")
    assert len(desk.store.rows.licenses) == 1
    first, second = answers(desk)
    assert second.output == first.output
    assert second.step.attempt == 2


async def test_another_wish_of_the_same_step_is_a_new_version(desk: Desk) -> None:
    await desk.steps.answer(WANTED, delivery_id="e-1")
    corrected = replace(WANTED, attributes={**CHILD, "child_name": "测试宝贝"})
    await desk.steps.answer(corrected, delivery_id="e-2")
    assert [one.identifier.version for one in desk.store.rows.licenses.values()] == [1, 2]
    assert [one.state for one in desk.store.rows.licenses.values()] == [LicenseState.SUPERSEDED, LicenseState.ACTIVE]


async def test_a_step_without_a_serial_gets_one_that_is_the_same_next_time(desk: Desk) -> None:
    wanted = replace(WANTED, serial="")
    await desk.steps.answer(wanted, delivery_id="e-1")
    await desk.steps.answer(replace(wanted, step=Step(CASE, WANTED.step.step_id, 2)), delivery_id="e-2")
    [license] = desk.store.rows.licenses.values()
    assert len(license.identifier.serial) == 32
    assert license.identifier.serial.isalnum()
    assert license.identifier.serial == license.identifier.serial.upper()


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (replace(WANTED, attributes={}), "ATTRIBUTES_MISSING"),
        (replace(WANTED, type_code="111000000000010033099"), "LICENSE_TYPE_UNKNOWN"),
        (replace(WANTED, issuer="119901000000010701"), "SIGNER_MISSING"),
        (replace(WANTED, serial="lower"), "IDENTIFIER_MALFORMED"),
        (replace(WANTED, holder_id=""), "STEP_INPUT_INCOMPLETE"),
        (replace(WANTED, holder_id="mother-1"), "STEP_INPUT_INCOMPLETE"),
        (replace(WANTED, issuer=""), "STEP_INPUT_INCOMPLETE"),
        (replace(WANTED, reader_id="mother-1"), "STEP_INPUT_INCOMPLETE"),
    ],
)
async def test_a_refusal_is_an_answer_too(desk: Desk, wanted: StepLicense, reason: str) -> None:
    await desk.steps.answer(wanted, delivery_id="e-1")
    [answer] = answers(desk)
    assert (answer.outcome, answer.reason, answer.output) == (StepOutcome.REFUSED, reason, {})
    assert desk.store.rows.licenses == {}
    assert desk.outcomes() == [("IssueLicense", reason)]
    await desk.steps.answer(wanted, delivery_id="e-1")
    assert len(answers(desk)) == 1


async def test_an_input_that_cannot_be_read_is_refused_without_a_leaf(desk: Desk) -> None:
    refusal = StepInputIncomplete("The step must name type, holder and attributes.")
    for _ in range(2):
        await desk.steps.refuse(WANTED.step, refusal, delivery_id="e-1")
    assert [answer.reason for answer in answers(desk)] == ["STEP_INPUT_INCOMPLETE"]
    assert desk.store.ledger.leaves == []


class LostTx(MemoryTx):
    """Somebody else is always faster."""

    async def add(self, _license: License, _content: Content) -> None:
        raise VersionConflict("The same version was issued at this moment.")


async def test_a_race_for_a_version_is_tried_again_not_refused(desk: Desk) -> None:
    desk.store.tx_type = LostTx
    with pytest.raises(Unavailable):
        await desk.steps.answer(WANTED, delivery_id="e-1")
    desk.store.tx_type = MemoryTx
    await desk.steps.answer(WANTED, delivery_id="e-1")
    assert answers(desk)[0].outcome is StepOutcome.DONE


def test_refusals_of_steps_have_reasons() -> None:
    assert issubclass(StepInputIncomplete, Refusal)
    assert StepInputIncomplete.reason == "STEP_INPUT_INCOMPLETE"


async def test_a_case_that_is_given_up_takes_its_license_back_once(desk: Desk) -> None:
    await desk.steps.answer(WANTED, delivery_id="d-1")
    undo = UndoLicense(
        Step(CASE, "birth_certificate_license.undo", 1),
        "birth_certificate_license",
        HOSPITAL,
        "birth",
        "PIPL art. 13(1)(3); Order 809 art. 19",
    )
    for delivery in ("u-1", "u-1", "u-2"):
        await desk.steps.undo(undo, delivery_id=delivery)
    (license,) = desk.store.rows.licenses.values()
    assert license.state is LicenseState.REVOKED
    assert [one.outcome for one in answers(desk) if one.step == undo.step] == [StepOutcome.DONE] * 2
    assert [leaf.operation for leaf in desk.store.ledger.leaves].count("licenses.RevokeLicense") == 1


async def test_a_license_that_never_was_is_undone_already(desk: Desk) -> None:
    undo = UndoLicense(Step(CASE, "other.undo", 1), "other", HOSPITAL, "birth", "PIPL art. 13(1)(3)")
    await desk.steps.undo(undo, delivery_id="u-1")
    assert answers(desk) == [StepAnswered(undo.step, StepOutcome.DONE)]
