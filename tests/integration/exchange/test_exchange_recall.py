# SPDX-License-Identifier: Apache-2.0
"""A correction as it is served, on both profiles: several departments received a value, and each hears that it was wrong."""

from collections.abc import AsyncIterator

import pytest
from tongban.exchange.v1 import corrections_events_pb2 as facts
from tongban.exchange.v1 import corrections_pb2 as nouns
from tongban.exchange.v1 import corrections_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2 as queries

from services.kit.errors import Refusal
from services.kit.ids import new_id
from tests.support.eventually import eventually
from tests.support.exchange_city import (
    HOUSEHOLD,
    INSURANCE,
    NUMBER,
    OPERATOR,
    POLICE,
    SUBJECT_ID,
    City,
    city,
    grant_request,
    query,
)
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

SCHOOL = "11990100000001062A"
RECEIVERS = (HOSPITAL, INSURANCE, SCHOOL)
RIGHTS = ("exchange.query", "exchange.read", "exchange.provide")


@pytest.fixture
async def town(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as town:
        for agency in (*RECEIVERS, POLICE):
            town.identity.rights[agency] = (True, RIGHTS)
        yield town


def dispute() -> pb.OpenCorrectionRequest:
    return pb.OpenCorrectionRequest(
        request_id=new_id(),
        resource=HOUSEHOLD,
        field="address",
        claimed="2 Autumn Road",
        grounds="We moved in March.",
        proofs=[nouns.CorrectionProof(kind=nouns.PROOF_KIND_DOCUMENT, reference="a" * 64)],
    )


async def test_a_correction_reaches_everybody_who_had_received_the_value(town: City) -> None:
    await town.stock()
    for agency in RECEIVERS[1:]:
        await town.call(OPERATOR, "CreateGrant", grant_request(grantee=agency))
    for number, agency in enumerate(RECEIVERS):
        answer = await town.call(agency, "Query", query(case_id=f"case-{number}"))
        assert list(answer.disputed) == []

    opened = (await town.call(SUBJECT_ID, "OpenCorrection", dispute())).correction
    assert (opened.state, opened.claimed, opened.provider) == (nouns.CORRECTION_STATE_OPEN, "2 Autumn Road", POLICE)
    assert opened.due.time.seconds > 0
    assert opened.due.derivation[-1].zh.startswith("于 ")
    wanted = pb.GetCorrectionRequest(correction_id=opened.correction_id)
    assert list((await town.call(HOSPITAL, "Query", query())).disputed) == ["address"]
    check = queries.VerifyRequest(
        resource=HOUSEHOLD, subject=queries.Subject(number=NUMBER), values={"head_name": "x"}, purpose="birth"
    )
    assert list((await town.call(HOSPITAL, "Verify", check)).disputed) == []
    with pytest.raises(Refusal) as refusal:
        await town.call(SCHOOL, "GetCorrection", wanted)
    assert refusal.value.reason == "CORRECTION_NOT_FOUND"

    told = (await town.call(POLICE, "ListCorrections", pb.ListCorrectionsRequest())).corrections
    assert [(each.correction_id, each.claimed) for each in told] == [(opened.correction_id, "")]
    assert (await town.call(POLICE, "GetCorrection", wanted)).correction.subject_key == NUMBER
    confirm = pb.ConfirmCorrectionRequest(request_id=new_id(), correction_id=opened.correction_id, explanation="Done.")
    with pytest.raises(Refusal):
        await town.call(SCHOOL, "ConfirmCorrection", confirm)
    confirmed = (await town.call(POLICE, "ConfirmCorrection", confirm)).correction
    assert (confirmed.state, confirmed.receivers) == (nouns.CORRECTION_STATE_CONFIRMED, 3)
    await eventually(lambda: {each.agency for each in town.told(facts.RecallIssued)} == set(RECEIVERS))
    await eventually(
        lambda: {"case-0", "case-1", "case-2"} <= {each.case_id for each in town.told(facts.CaseUsedCorrectedValue)}
    )
    assert list((await town.call(HOSPITAL, "Query", query())).disputed) == []

    for agency in RECEIVERS:
        (recall,) = (await town.call(agency, "ListRecalls", pb.ListRecallsRequest())).recalls
        assert (recall.correction_id, recall.agency, recall.field) == (opened.correction_id, agency, "address")
        own = (await town.call(agency, "GetRecall", pb.GetRecallRequest(correction_id=recall.correction_id))).recall
        assert own.subject_key == NUMBER
        done = pb.AcknowledgeRecallRequest(
            request_id=new_id(), correction_id=recall.correction_id, measure=nouns.RECALL_MEASURE_CORRECTED
        )
        assert (await town.call(agency, "AcknowledgeRecall", done)).recall.acknowledge_time.seconds > 0
        assert not (await town.call(agency, "ListRecalls", pb.ListRecallsRequest())).recalls
    seen = (await town.call(SUBJECT_ID, "GetCorrection", wanted)).correction
    assert (seen.receivers, seen.acknowledged, seen.explanation) == (3, 3, "Done.")
    assert all(b"Autumn" not in value for _, value in town.heard)


async def test_a_provider_rejects_with_its_reason_or_takes_more_time_once(town: City) -> None:
    await town.stock()
    opened = (await town.call(SUBJECT_ID, "OpenCorrection", dispute())).correction
    more = pb.ExtendCorrectionRequest(request_id=new_id(), correction_id=opened.correction_id)
    extended = (await town.call(POLICE, "ExtendCorrection", more)).correction
    assert extended.due.time.seconds > opened.due.time.seconds
    with pytest.raises(Refusal) as refusal:
        more.request_id = new_id()
        await town.call(POLICE, "ExtendCorrection", more)
    assert refusal.value.reason == "EXTENSION_NOT_ALLOWED"
    reject = pb.RejectCorrectionRequest(
        request_id=new_id(),
        correction_id=opened.correction_id,
        ground=nouns.REJECTION_GROUND_VALUE_CORRECT,
        explanation="The register agrees with the deed.",
    )
    await town.call(POLICE, "RejectCorrection", reject)
    wanted = pb.GetCorrectionRequest(correction_id=opened.correction_id)
    seen = (await town.call(SUBJECT_ID, "GetCorrection", wanted)).correction
    assert (seen.state, seen.explanation) == (nouns.CORRECTION_STATE_REJECTED, "The register agrees with the deed.")
    again = (await town.call(SUBJECT_ID, "OpenCorrection", dispute())).correction
    withdraw = pb.WithdrawCorrectionRequest(request_id=new_id(), correction_id=again.correction_id)
    withdrawn = (await town.call(SUBJECT_ID, "WithdrawCorrection", withdraw)).correction
    assert withdrawn.state == nouns.CORRECTION_STATE_WITHDRAWN
    listed = (await town.call(SUBJECT_ID, "ListCorrections", pb.ListCorrectionsRequest())).corrections
    assert [each.correction_id for each in listed] == [again.correction_id, opened.correction_id]
