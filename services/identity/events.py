# SPDX-License-Identifier: Apache-2.0
"""The doorway of facts: which ones identity tells, and what it does about those it hears."""

from typing import Protocol

from google.protobuf.message import Message
from tongban.events.v1 import steps_pb2
from tongban.gateway.v1 import gateway_events_pb2, gateway_pb2
from tongban.gateway.v1 import gateway_service_pb2 as gateway_service
from tongban.identity.v1 import identity_events_pb2

from services.identity.domain.agency import AgencyChanged
from services.identity.domain.person import PersonRegistered
from services.identity.domain.step import StepAnswered, StepOutcome, VerifyStep
from services.identity.service.verification import VerificationService
from services.kit.consumer import Routes
from services.kit.envelope import Envelope, Outgoing
from services.kit.errors import RemoteRefusal

_OUTCOMES = {
    StepOutcome.DONE: steps_pb2.STEP_OUTCOME_DONE,
    StepOutcome.REFUSED: steps_pb2.STEP_OUTCOME_REFUSED,
    StepOutcome.UNAVAILABLE: steps_pb2.STEP_OUTCOME_UNAVAILABLE,
}


class StepInputs(Protocol):
    """Where the input of a step is read: the gateway."""

    async def __call__(self, request: gateway_service.GetStepInputRequest) -> gateway_service.GetStepInputResponse:
        """As StepService.GetStepInput answers."""


class IdentityEvents:
    """What identity hears."""

    def __init__(self, verification: VerificationService, step_inputs: StepInputs) -> None:
        self._verification = verification
        self._step_inputs = step_inputs

    @property
    def routes(self) -> Routes:
        """The facts heard once per service."""
        return {gateway_events_pb2.StepRequested: self.on_step_requested}

    async def on_step_requested(self, fact: gateway_events_pb2.StepRequested, envelope: Envelope) -> None:
        """Answers verify steps. The input comes over gRPC: an event must not carry it."""
        if fact.kind != gateway_pb2.STEP_KIND_VERIFY:
            return
        try:
            answer = await self._step_inputs(
                gateway_service.GetStepInputRequest(case_id=fact.case_id, step_id=fact.step_id, attempt=fact.attempt)
            )
        except RemoteRefusal as refusal:
            if refusal.reason == "STEP_NOT_OPEN":  # Answered or overtaken meanwhile: nobody waits for us.
                return
            raise
        await self._verification.answer_step(_step(answer.input), delivery_id=envelope.event_id)


def to_wire(fact: object) -> Outgoing:
    """What identity tells, all of it on tongban.identity.events.v1."""
    match fact:
        case PersonRegistered():
            message: Message = identity_events_pb2.PersonRegistered(subject_id=fact.subject_id, region=fact.region)
            return Outgoing(message, key=fact.subject_id)
        case AgencyChanged():
            message = identity_events_pb2.AgencyChanged(uscc=fact.uscc, version=fact.version)
            return Outgoing(message, key=fact.uscc)
        case StepAnswered():
            message = steps_pb2.StepAnswered(
                case_id=fact.case_id,
                step_id=fact.step_id,
                attempt=fact.attempt,
                outcome=_OUTCOMES[fact.outcome],
                reason=fact.reason,
                output=fact.output,
            )
            return Outgoing(message, key=fact.case_id, correlation=fact.case_id)
        case _:
            raise TypeError(f"Identity tells no {type(fact).__name__}.")


def _step(given: gateway_pb2.StepInput) -> VerifyStep:
    return VerifyStep(
        case_id=given.case_id,
        step_id=given.step_id,
        attempt=given.attempt,
        purpose=given.purpose,
        basis=given.basis,
        agency=given.agency,
        input=dict(given.input.items()),
    )
