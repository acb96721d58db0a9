# SPDX-License-Identifier: Apache-2.0
"""The doorway of facts: steps in, answers out, and nothing personal on the bus."""

from datetime import UTC, datetime

import pytest
from google.protobuf.struct_pb2 import Struct
from tongban.events.v1 import steps_pb2
from tongban.gateway.v1 import gateway_pb2
from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.gateway.v1.gateway_service_pb2 import GetStepInputRequest, GetStepInputResponse

from services.identity.domain.agency import AgencyChanged
from services.identity.domain.person import PersonRegistered
from services.identity.domain.step import StepAnswered, StepOutcome
from services.identity.events import IdentityEvents, to_wire
from services.kit.caller import acting_as
from services.kit.envelope import Envelope
from services.kit.errors import Code, RemoteRefusal, Unavailable
from tests.support.identity_world import GATEWAY, HOSPITAL_CODE, NUMBER, World

CASE = "990100/11990100000001011X/case-1"


class Gateway:
    """Answers inputs of steps, or fails as it is told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[GetStepInputRequest] = []
        self.failure = failure

    async def __call__(self, request: GetStepInputRequest) -> GetStepInputResponse:
        self.asked.append(request)
        if self.failure:
            raise self.failure
        given = Struct()
        given.update({"number": NUMBER, "number_kind": "citizen"})
        return GetStepInputResponse(
            input=gateway_pb2.StepInput(
                case_id=request.case_id,
                step_id=request.step_id,
                attempt=request.attempt,
                purpose="birth",
                basis="PIPL-13-1-3",
                agency=HOSPITAL_CODE,
                input=given,
            )
        )


def requested(kind: "gateway_pb2.StepKind.ValueType" = gateway_pb2.STEP_KIND_VERIFY) -> StepRequested:
    return StepRequested(case_id=CASE, step_id="verify_mother", attempt=2, kind=kind, matter="birth")


async def hear(world: World, gateway: Gateway, fact: StepRequested) -> None:
    envelope = Envelope("event-1", "/tongban/gateway", "StepRequested", CASE, datetime(2026, 11, 3, tzinfo=UTC))
    events = IdentityEvents(world.verification, gateway)
    with acting_as(GATEWAY):
        await events.routes[StepRequested](fact, envelope)


async def test_a_verify_step_is_read_from_the_gateway_and_answered() -> None:
    world, gateway = World(), Gateway()
    await hear(world, gateway, requested())
    assert gateway.asked == [GetStepInputRequest(case_id=CASE, step_id="verify_mother", attempt=2)]
    (fact,) = world.store.rows.facts
    assert isinstance(fact, StepAnswered)
    assert fact.output["result"] == "not_found"
    assert fact.attempt == 2
    assert "event-1" in world.store.rows.seen


@pytest.mark.parametrize(
    "kind", [gateway_pb2.STEP_KIND_FETCH, gateway_pb2.STEP_KIND_LICENSE, gateway_pb2.STEP_KIND_TASK]
)
async def test_steps_of_other_owners_are_left_alone(kind: "gateway_pb2.StepKind.ValueType") -> None:
    world, gateway = World(), Gateway()
    await hear(world, gateway, requested(kind))
    assert gateway.asked == []
    assert world.store.rows.facts == []


async def test_a_step_that_is_no_longer_open_is_skipped() -> None:
    world = World()
    closed = RemoteRefusal("It is answered.", code=Code.FAILED_PRECONDITION, reason="STEP_NOT_OPEN")
    await hear(world, Gateway(closed), requested())
    assert world.store.rows.facts == []


@pytest.mark.parametrize(
    "failure",
    [
        RemoteRefusal("No such case.", code=Code.NOT_FOUND, reason="CASE_NOT_FOUND"),
        Unavailable("The gateway does not answer."),
    ],
)
async def test_other_failures_of_the_gateway_go_to_the_consumer(failure: Exception) -> None:
    world = World()
    with pytest.raises(type(failure)):
        await hear(world, Gateway(failure), requested())
    assert world.store.rows.facts == []
    assert world.store.rows.seen == set()


def test_facts_are_keyed_by_their_subject() -> None:
    assert to_wire(PersonRegistered("subject", "990100")).key == "subject"
    assert to_wire(AgencyChanged(HOSPITAL_CODE, 3)).key == HOSPITAL_CODE


def test_an_answer_is_keyed_and_correlated_by_its_case() -> None:
    outgoing = to_wire(StepAnswered(CASE, "verify_mother", 2, StepOutcome.REFUSED, "NUMBER_CHECK_FAILED", {}))
    assert outgoing.key == outgoing.correlation == CASE
    assert outgoing.message == steps_pb2.StepAnswered(
        case_id=CASE,
        step_id="verify_mother",
        attempt=2,
        outcome=steps_pb2.STEP_OUTCOME_REFUSED,
        reason="NUMBER_CHECK_FAILED",
    )


def test_a_stranger_is_no_fact() -> None:
    with pytest.raises(TypeError):
        to_wire("gossip")
