# SPDX-License-Identifier: Apache-2.0
"""Issuing, changing, reading and verifying: who may, what is told, which leaf stands for it."""

from dataclasses import replace
from typing import Any

import pytest

from services.kit.errors import PageTokenInvalid, Refusal, RequestIdReused, RightMissing
from services.licenses.domain.catalogue import (
    AttributesMalformed,
    AttributesMissing,
    AttributesUnknown,
    LicenseTypeUnknown,
)
from services.licenses.domain.license import (
    LicenseEnded,
    LicenseNotActive,
    LicenseNotFound,
    LicenseState,
    SerialTaken,
)
from services.licenses.domain.verdict import Verdict
from services.licenses.service import ChangeLicense, IssueLicense
from tests.support.licenses_paper import BIRTH, CARD, CHILD, HOSPITAL, HUMAN_RESOURCES, shown
from tests.unit.licenses.conftest import CHILD_ID, MOTHER_ID, Desk, agency, citizen

NOBODY = agency(HOSPITAL, frozenset())


async def test_a_license_its_fact_and_its_leaf_come_together(desk: Desk) -> None:
    issued = await desk.issued()
    assert str(issued.license.identifier).startswith(f"1.2.156.3005.2.{BIRTH}.{HOSPITAL}.Z1.001.")
    assert desk.facts() == ["LicenseIssued"]
    [leaf] = desk.store.ledger.leaves
    assert (leaf.subject_id, leaf.on_behalf_of, leaf.outcome) == (CHILD_ID, HOSPITAL, "answered")
    assert leaf.resource == str(issued.license.identifier)
    assert set(leaf.fields) == set(CHILD)
    assert issued.receipt.index == 0


async def test_the_same_request_gives_the_same_answer_and_one_license(desk: Desk) -> None:
    first = await desk.issued()
    desk.later(hours=1)
    assert await desk.issued() == first
    assert len(desk.store.rows.licenses) == 1
    assert desk.facts() == ["LicenseIssued"]
    assert len(desk.store.ledger.leaves) == 1


async def test_a_repeat_after_a_change_still_gives_the_first_answer(desk: Desk) -> None:
    first = await desk.issued()
    await desk.changing.suspend(ChangeLicense("r-2", first.license.license_id, "g"), agency(HOSPITAL))
    assert (await desk.issued()).state is LicenseState.ACTIVE


async def test_a_request_id_with_another_request_is_refused(desk: Desk) -> None:
    await desk.issued()
    with pytest.raises(RequestIdReused):
        await desk.issued(serial="Z2")
    assert len(desk.store.rows.licenses) == 1


async def test_request_ids_of_two_agencies_do_not_meet(desk: Desk) -> None:
    await desk.issued()
    command = IssueLicense("r-1", BIRTH, CHILD_ID, "Z1", CHILD)
    other = await desk.issuing.issue(command, agency(HUMAN_RESOURCES))
    assert other.license.identifier.issuer == HUMAN_RESOURCES


async def test_the_same_serial_again_supersedes(desk: Desk) -> None:
    first = (await desk.issued()).license
    second = (await desk.issued("r-2")).license
    assert second.identifier.version == 2
    assert desk.store.rows.licenses[first.license_id].state is LicenseState.SUPERSEDED
    assert desk.facts() == ["LicenseIssued", "LicenseSuperseded", "LicenseIssued"]


async def test_a_serial_of_another_holder_is_refused_and_leaves_a_leaf(desk: Desk) -> None:
    await desk.issued()
    with pytest.raises(SerialTaken):
        await desk.issued("r-2", holder_id=MOTHER_ID)
    assert desk.outcomes()[-1] == ("IssueLicense", "SERIAL_TAKEN")
    assert len(desk.store.rows.licenses) == 1
    assert (await desk.issued("r-2", serial="Z2")).license.identifier.serial == "Z2", "A refused id is free again."


@pytest.mark.parametrize(
    ("type_code", "attributes", "refusal"),
    [
        ("111000000000010033099", CHILD, LicenseTypeUnknown),
        (BIRTH, {"child_name": "x"}, AttributesMissing),
        (BIRTH, {**CHILD, "child_name": ""}, AttributesMissing),
        (BIRTH, {**CHILD, "phone": "1"}, AttributesUnknown),
        (BIRTH, {**CHILD, "birth_date": "30.10.2026"}, AttributesMalformed),
        (BIRTH, {**CHILD, "birth_date": "2026-02-30"}, AttributesMalformed),
        (BIRTH, {**CHILD, "birth_date": "20261030"}, AttributesMalformed),
        (BIRTH, {**CHILD, "child_sex": "f"}, AttributesMalformed),
        (BIRTH, {**CHILD, "child_name": "x" * 501}, AttributesMalformed),
        (BIRTH, {**CHILD, "child_name": "a\nb"}, AttributesMalformed),
        (BIRTH, {**CHILD, "child_name": {"_sd": ["x"]}}, AttributesMalformed),
        (BIRTH, {**CHILD, "birth_weight_grams": "3250"}, AttributesMalformed),
        (BIRTH, {**CHILD, "birth_weight_grams": float("nan")}, AttributesMalformed),
        (BIRTH, {**CHILD, "birth_weight_grams": True}, AttributesMalformed),
    ],
)
async def test_attributes_are_those_of_the_type(desk: Desk, type_code: str, attributes: Any, refusal: Any) -> None:
    with pytest.raises(refusal) as caught:
        await desk.issuing.issue(IssueLicense("r-1", type_code, CHILD_ID, "Z1", attributes), agency(HOSPITAL))
    said = f"{caught.value} {caught.value.violations}"
    assert "测试" not in said
    assert "30.10.2026" not in said
    assert desk.store.rows.licenses == {}


@pytest.mark.parametrize(
    ("doses", "fits"),
    [
        ([{"vaccine": "hepatitis_b", "date": "2026-10-30"}], True),
        ([{"_sd": "x"}], False),
        ([{"...": "x"}], False),
        ([{"vaccine": {"deep": "x"}}], False),
        ([{"vaccine": "x"}] * 101, False),
        ("x", False),
    ],
)
async def test_records_are_flat_and_take_no_reserved_names(desk: Desk, doses: Any, fits: bool) -> None:
    of_type = desk.paper.catalogue.type_of("111000000000010033017")
    given = {"child_name": "x", "birth_date": "2026-10-30", "doses": doses}
    if fits:
        assert of_type.check(given)["doses"] == doses
    else:
        with pytest.raises(AttributesMalformed):
            of_type.check(given)


async def test_an_agency_without_the_right_or_the_signer_issues_nothing(desk: Desk) -> None:
    command = IssueLicense("r-1", BIRTH, CHILD_ID, "Z1", CHILD)
    with pytest.raises(RightMissing):
        await desk.issuing.issue(command, NOBODY)
    with pytest.raises(Refusal) as caught:
        await desk.issuing.issue(command, agency("119901000000010701"))
    assert caught.value.reason == "SIGNER_MISSING"
    assert desk.store.rows.licenses == {}


async def test_suspend_restore_and_revoke_tell_and_account_for_it(desk: Desk) -> None:
    license_id = (await desk.issued()).license.license_id
    issuer = agency(HOSPITAL)
    suspended = await desk.changing.suspend(ChangeLicense("r-2", license_id, "lost"), issuer)
    assert suspended.state is LicenseState.SUSPENDED
    assert (await desk.changing.restore(ChangeLicense("r-3", license_id, "found"), issuer)).state.value == "active"
    assert (await desk.changing.revoke(ChangeLicense("r-4", license_id, "error"), issuer)).state.value == "revoked"
    assert await desk.changing.suspend(ChangeLicense("r-2", license_id, "lost"), issuer) == replace(
        suspended, license=desk.store.rows.licenses[license_id]
    )
    with pytest.raises(LicenseEnded):
        await desk.changing.revoke(ChangeLicense("r-5", license_id, "again"), issuer)
    assert desk.facts() == ["LicenseIssued", "LicenseSuspended", "LicenseRestored", "LicenseRevoked"]
    assert [leaf.subject_id for leaf in desk.store.ledger.leaves] == [CHILD_ID] * 5
    assert desk.outcomes()[-1] == ("RevokeLicense", "LICENSE_ENDED")
    assert [note.grounds for note in desk.store.rows.notes] == ["lost", "found", "error"]


async def test_a_change_needs_the_right_the_issuer_and_an_own_request_id(desk: Desk) -> None:
    license_id = (await desk.issued()).license.license_id
    change = ChangeLicense("r-2", license_id, "g")
    for method in (desk.changing.suspend, desk.changing.restore, desk.changing.revoke):
        with pytest.raises(RightMissing):
            await method(change, NOBODY)
        with pytest.raises(LicenseNotFound) as stranger:
            await method(change, agency(HUMAN_RESOURCES))
        with pytest.raises(LicenseNotFound) as nothing:
            await method(replace(change, license_id="no-such"), agency(HUMAN_RESOURCES))
        assert str(stranger.value) == str(nothing.value)
    await desk.changing.suspend(change, agency(HOSPITAL))
    with pytest.raises(RequestIdReused):
        await desk.changing.revoke(change, agency(HOSPITAL))
    with pytest.raises(LicenseNotActive):
        await desk.changing.suspend(replace(change, request_id="r-3"), agency(HOSPITAL))


async def test_the_holder_reads_everything_and_has_the_leaf(desk: Desk) -> None:
    issued = await desk.issued()
    shown_license = await desk.reading.get(issued.license.license_id, citizen(CHILD_ID))
    assert shown_license.attributes == CHILD
    assert (await desk.verifying.credential(shown_license.credential, citizen(CHILD_ID))).valid
    leaf = desk.store.ledger.leaves[shown_license.receipt.index]
    assert (leaf.operation, leaf.purpose, set(leaf.fields)) == ("licenses.GetLicense", "own_license", set(CHILD))


async def test_the_issuer_reads_and_everybody_else_meets_a_wall(desk: Desk) -> None:
    license_id = (await desk.issued()).license.license_id
    assert (await desk.reading.get(license_id, agency(HOSPITAL))).attributes == CHILD
    said = set()
    for caller in (citizen(MOTHER_ID), agency(HUMAN_RESOURCES)):
        for one in (license_id, "0d1c2b3a-0000-4000-8000-0000000000ff"):
            with pytest.raises(LicenseNotFound) as caught:
                await desk.reading.get(one, caller)
            said.add(str(caught.value))
    assert len(said) == 1
    assert desk.outcomes()[-4:] == [("GetLicense", "LICENSE_NOT_FOUND")] * 4
    with pytest.raises(RightMissing):
        await desk.reading.get(license_id, NOBODY)


async def test_own_licenses_come_newest_first_in_pages(desk: Desk) -> None:
    for number in range(5):
        await desk.issued(f"r-{number}", f"Z{number}")
        desk.later(seconds=1)
    await desk.issued("r-9", "Z9", holder_id=MOTHER_ID)
    first = await desk.reading.own(citizen(CHILD_ID), 3, "")
    second = await desk.reading.own(citizen(CHILD_ID), 3, first.next_token)
    serials = [license.identifier.serial for license, _ in (*first.rows, *second.rows)]
    assert serials == ["Z4", "Z3", "Z2", "Z1", "Z0"]
    assert second.next_token == ""
    for token in ("x", "e30", first.next_token + "A"):
        with pytest.raises(PageTokenInvalid):
            await desk.reading.own(citizen(CHILD_ID), 3, token)
    assert desk.outcomes()[-1] == ("ListOwnLicenses", "answered")


def reasons(verdict: Verdict) -> dict[str, str]:
    return {check.name.value: check.reason for check in verdict.checks}


async def test_a_verdict_by_identifier_names_its_checks(desk: Desk) -> None:
    identifier = str((await desk.issued()).license.identifier)
    verdict = await desk.verifying.identifier(identifier, agency(HUMAN_RESOURCES))
    assert verdict.valid
    assert verdict.state is LicenseState.ACTIVE
    assert list(reasons(verdict)) == ["identifier", "type", "record", "dates", "state"]
    leaf = desk.store.ledger.leaves[-1]
    assert (leaf.subject_id, leaf.on_behalf_of, leaf.fields, leaf.outcome) == (
        CHILD_ID,
        HUMAN_RESOURCES,
        ("state",),
        "valid",
    )


async def test_a_verdict_on_an_unknown_or_malformed_identifier(desk: Desk) -> None:
    unknown = await desk.verifying.identifier(
        "1.2.156.3005.2.111000000000010033001.11110000000002006P.20260000000001.001.F", agency(HOSPITAL)
    )
    assert reasons(unknown) == {
        "identifier": "",
        "type": "LICENSE_TYPE_UNKNOWN",
        "record": "RECORD_UNKNOWN",
        "dates": "NOT_CHECKED",
        "state": "NOT_CHECKED",
    }
    variant = "1.2.156.3005.2.11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001.M"
    assert reasons(await desk.verifying.identifier(variant, agency(HOSPITAL)))["identifier"] == (
        "IDENTIFIER_CHECK_NONSTANDARD"
    )
    assert desk.store.ledger.leaves == []
    with pytest.raises(RightMissing):
        await desk.verifying.identifier(variant, NOBODY)
    with pytest.raises(RightMissing):
        await desk.verifying.credential("x", NOBODY)


async def test_a_verdict_follows_the_state_of_the_record(desk: Desk) -> None:
    issued = await desk.issued()
    credential = desk.store.rows.contents[issued.license.license_id].credential
    part = shown(credential, "child_name")
    assert (await desk.verifying.credential(part, citizen(MOTHER_ID))).valid
    await desk.changing.suspend(ChangeLicense("r-2", issued.license.license_id, "g"), agency(HOSPITAL))
    suspended = await desk.verifying.credential(part, citizen(MOTHER_ID))
    assert {name for name, reason in reasons(suspended).items() if reason} == {"state"}
    assert reasons(suspended)["state"] == "LICENSE_SUSPENDED"
    assert desk.store.ledger.leaves[-1].outcome == "not_valid"
    await desk.changing.restore(ChangeLicense("r-3", issued.license.license_id, "g"), agency(HOSPITAL))
    await desk.issued("r-4")
    assert reasons(await desk.verifying.credential(part, citizen(MOTHER_ID)))["state"] == "LICENSE_SUPERSEDED"


async def test_a_credential_of_other_words_is_not_the_one_on_record(desk: Desk) -> None:
    """A second signature by the true key, of which the record knows nothing."""
    issued = await desk.issued()
    twin = desk.paper.credential(issued.license)
    verdict = await desk.verifying.credential(twin, agency(HOSPITAL))
    assert {name: reason for name, reason in reasons(verdict).items() if reason} == {"record": "RECORD_DIFFERS"}


async def test_a_credential_that_was_never_recorded_is_unknown(desk: Desk) -> None:
    verdict = await desk.verifying.credential(desk.paper.credential(), agency(HOSPITAL))
    assert reasons(verdict)["record"] == "RECORD_UNKNOWN"
    assert verdict.state is None
    assert desk.store.ledger.leaves == []


async def test_a_forgery_learns_nothing_of_the_record(desk: Desk) -> None:
    issued = await desk.issued()
    credential = desk.store.rows.contents[issued.license.license_id].credential
    broken = credential.replace("~", "A~", 1)
    verdict = await desk.verifying.credential(broken, agency(HOSPITAL))
    assert reasons(verdict)["record"] == reasons(verdict)["state"] == "NOT_CHECKED"
    assert verdict.state is None
    assert len(desk.store.ledger.leaves) == 1


async def test_an_expired_license_says_so_by_either_way(desk: Desk) -> None:
    attributes = {"name": "测试人", "number": "990100199001011234"}
    command = IssueLicense("r-1", CARD, CHILD_ID, "C1", attributes)
    issued = await desk.issuing.issue(command, agency(HUMAN_RESOURCES))
    credential = desk.store.rows.contents[issued.license.license_id].credential
    desk.later(days=3653)
    by_words = await desk.verifying.credential(credential, agency(HOSPITAL))
    assert {name: reason for name, reason in reasons(by_words).items() if reason} == {
        "dates": "CREDENTIAL_EXPIRED",
        "state": "LICENSE_EXPIRED",
    }
    by_identifier = await desk.verifying.identifier(str(issued.license.identifier), agency(HOSPITAL))
    assert reasons(by_identifier)["dates"] == reasons(by_identifier)["state"] == "LICENSE_EXPIRED"
    assert (await desk.reading.get(issued.license.license_id, citizen(CHILD_ID))).state is LicenseState.EXPIRED
