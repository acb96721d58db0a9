# SPDX-License-Identifier: Apache-2.0
"""The event doorway: facts that licenses tell, and the steps of cases that it hears."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from tongban.events.v1 import steps_pb2
from tongban.gateway.v1 import gateway_pb2
from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.gateway.v1.gateway_service_pb2 import GetStepInputRequest
from tongban.gateway.v1.gateway_service_pb2_grpc import StepServiceStub
from tongban.licenses.v1 import licenses_events_pb2 as facts

from services.kit.consumer import Routes
from services.kit.envelope import Envelope, Outgoing
from services.kit.errors import Refusal, RemoteRefusal
from services.kit.rpc.peer import Peer
from services.licenses.domain.license import (
    LicenseIssued,
    LicenseRestored,
    LicenseRevoked,
    LicenseSuperseded,
    LicenseSuspended,
)
from services.licenses.domain.step import Step, StepAnswered, StepInputIncomplete, StepOutcome
from services.licenses.service import Ending, EndLicenses, StepLicense, Steps, UndoLicense

STEP_NOT_OPEN = "STEP_NOT_OPEN"

_OUTCOMES = {
    StepOutcome.DONE: steps_pb2.STEP_OUTCOME_DONE,
    StepOutcome.REFUSED: steps_pb2.STEP_OUTCOME_REFUSED,
}


class LicensesEvents:
    """What licenses does when others tell something."""

    def __init__(self, steps: Steps, ending: Ending, gateway: Peer) -> None:
        self._steps = steps
        self._ending = ending
        self._gateway = gateway
        self._stub = gateway.stub(StepServiceStub)

    @property
    def routes(self) -> Routes:
        """Facts that are heard once per service."""
        return {StepRequested: self.on_step_requested}

    async def on_step_requested(self, fact: StepRequested, envelope: Envelope) -> None:
        """Issue the license that a step asks for, end those that it names, or take back the one that an earlier step got.

        A step that is no longer open is skipped.
        """
        if fact.kind != gateway_pb2.STEP_KIND_LICENSE:
            return
        step = Step(fact.case_id, fact.step_id, fact.attempt)
        wanted = await self._input(step)
        if wanted is not None:
            await self._act(step, wanted, envelope)

    async def _input(self, step: Step) -> gateway_pb2.StepInput | None:
        request = GetStepInputRequest(case_id=step.case_id, step_id=step.step_id, attempt=step.attempt)
        try:
            return (await self._gateway.call(self._stub.GetStepInput, request)).input
        except RemoteRefusal as refusal:
            if refusal.reason == STEP_NOT_OPEN:
                return None
            raise

    async def _act(self, step: Step, wire: gateway_pb2.StepInput, envelope: Envelope) -> None:
        if wire.undoes:
            undo = UndoLicense(step, wire.undoes, wire.agency, wire.purpose, wire.basis)
            await self._steps.undo(undo, delivery_id=envelope.event_id)
            return
        try:
            wanted = _wanted(step, wire)
        except Refusal as refusal:
            await self._steps.refuse(step, refusal, delivery_id=envelope.event_id)
        else:
            if isinstance(wanted, EndLicenses):
                await self._ending.answer(wanted, delivery_id=envelope.event_id)
            else:
                await self._steps.answer(wanted, delivery_id=envelope.event_id)


def to_wire(fact: object) -> Outgoing:
    """Put a fact in wire words."""
    match fact:
        case LicenseIssued(license=license):
            return Outgoing(_issued(fact), license.license_id, license.case_id)
        case LicenseSuspended(license_id=license_id):
            return Outgoing(facts.LicenseSuspended(license_id=license_id), license_id)
        case LicenseRestored(license_id=license_id):
            return Outgoing(facts.LicenseRestored(license_id=license_id), license_id)
        case LicenseRevoked(license_id=license_id):
            return Outgoing(facts.LicenseRevoked(license_id=license_id), license_id)
        case LicenseSuperseded(license_id=license_id, successor_id=successor_id):
            message = facts.LicenseSuperseded(license_id=license_id, successor_id=successor_id)
            return Outgoing(message, license_id)
        case StepAnswered(step=step):
            return Outgoing(_answered(fact), step.case_id, step.case_id)
    raise TypeError(f"{type(fact).__name__} is no fact of licenses.")


def _issued(fact: LicenseIssued) -> Message:
    license = fact.license
    return facts.LicenseIssued(
        license_id=license.license_id,
        identifier=str(license.identifier),
        type_code=license.identifier.type_code,
        version=license.identifier.version,
        holder_id=license.holder_id,
        case_id=license.case_id,
    )


def _answered(fact: StepAnswered) -> Message:
    return steps_pb2.StepAnswered(
        case_id=fact.step.case_id,
        step_id=fact.step.step_id,
        attempt=fact.step.attempt,
        outcome=_OUTCOMES[fact.outcome],
        reason=fact.reason,
        output=dict(fact.output),
    )


def _wanted(step: Step, wire: gateway_pb2.StepInput) -> StepLicense | EndLicenses:
    found: Mapping[str, Any] = MessageToDict(wire.input)
    own = ("type_code", "holder_id", *(("successor_id",) if wire.ends_licenses else ("serial", "reader_id")))
    texts = {name: found.get(name) or "" for name in own}
    attributes = found.get("attributes") or {}
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(attributes, Mapping):
        raise StepInputIncomplete("The step must name type, holder and attributes.")
    if wire.ends_licenses:
        return EndLicenses(
            step=step, attributes=attributes, issuer=wire.agency, purpose=wire.purpose, basis=wire.basis, **texts
        )
    return StepLicense(
        step=step,
        attributes=attributes,
        issuer=wire.agency,
        purpose=wire.purpose,
        basis=wire.basis,
        **texts,
    )
