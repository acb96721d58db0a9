# SPDX-License-Identifier: Apache-2.0
"""Facts the exchange tells, and facts it hears."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from tongban.events.v1 import steps_pb2
from tongban.exchange.v1 import exchange_events_pb2 as pb
from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.gateway.v1.gateway_pb2 import STEP_KIND_FETCH

from services.exchange.domain.grant import GrantChanged
from services.exchange.domain.inquiry import StepAnswered, StepOutcome
from services.exchange.domain.resource import ResourceChanged
from services.exchange.events import applications, calls, catalogue, corrections, drops, opendata, providers
from services.exchange.events.calls import CallEvents
from services.exchange.events.corrections import CorrectionEvents
from services.exchange.events.providers import ProviderEvents
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.steps import AnswerStep, StepService
from services.kit.consumer import Routes
from services.kit.consumer.delivery import Handler
from services.kit.envelope import Envelope, Outgoing

__all__ = [
    "ALL_TOPICS",
    "TOPICS",
    "CallEvents",
    "CorrectionEvents",
    "ExchangeEvents",
    "ProviderEvents",
    "RulebookEvents",
    "encode",
    "together",
]

TOPICS = ("tongban.gateway.events.v1",)
ALL_TOPICS = ("tongban.exchange.events.v1",)

_OUTCOMES = {
    StepOutcome.DONE: steps_pb2.STEP_OUTCOME_DONE,
    StepOutcome.REFUSED: steps_pb2.STEP_OUTCOME_REFUSED,
    StepOutcome.UNAVAILABLE: steps_pb2.STEP_OUTCOME_UNAVAILABLE,
}


def encode(fact: object) -> Outgoing:
    """Put a fact into its message and say whose order it keeps."""
    match fact:
        case ResourceChanged(resource):
            return Outgoing(pb.ResourceChanged(resource=resource), key=resource)
        case GrantChanged(grant_id, resource, grantee, revoked):
            message = pb.GrantChanged(grant_id=grant_id, resource=resource, grantee=grantee, revoked=revoked)
            return Outgoing(message, key=grant_id)
        case StepAnswered():
            return Outgoing(_step_answered(fact), key=fact.case_id, correlation=fact.case_id)
    outgoing = (
        applications.encoded(fact)
        or calls.encoded(fact)
        or catalogue.encoded(fact)
        or corrections.encoded(fact)
        or drops.encoded(fact)
        or opendata.encoded(fact)
        or providers.encoded(fact)
    )
    if outgoing is None:
        raise TypeError(f"{type(fact).__name__} is no fact of the exchange.")
    return outgoing


def _step_answered(fact: StepAnswered) -> steps_pb2.StepAnswered:
    return steps_pb2.StepAnswered(
        case_id=fact.case_id,
        step_id=fact.step_id,
        attempt=fact.attempt,
        outcome=_OUTCOMES[fact.outcome],
        reason=fact.reason,
        output=fact.output,
        answer_id=fact.answer_id,
    )


def together(*areas: Routes) -> Routes:
    """Join what areas hear; a fact that several of them hear goes to one after the other."""
    joined: dict[type[Message], list[Handler]] = defaultdict(list)
    for routes in areas:
        for kind, handler in routes.items():
            joined[kind].append(handler)
    return {kind: _in_turn(handlers) for kind, handlers in joined.items()}


def _in_turn(handlers: Sequence[Handler]) -> Handler:
    async def hear(fact: Any, envelope: Envelope) -> None:
        for each in handlers:
            await each(fact, envelope)

    return handlers[0] if len(handlers) == 1 else hear


class ExchangeEvents:
    """Facts heard once per service."""

    def __init__(self, service: StepService) -> None:
        self._service = service

    @property
    def routes(self) -> Routes:
        """Which fact goes where."""
        return {StepRequested: self.on_step_requested}

    async def on_step_requested(self, fact: StepRequested, envelope: Envelope) -> None:
        """Act on steps that ask a department for a fact; the other kinds have other owners."""
        if fact.kind != STEP_KIND_FETCH:
            return
        command = AnswerStep(
            case_id=fact.case_id, step_id=fact.step_id, attempt=fact.attempt, delivery_id=envelope.event_id
        )
        await self._service.answer(command)


class RulebookEvents:
    """Facts heard by every process: each keeps its own rulebook right."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook

    @property
    def routes(self) -> Routes:
        """Which fact goes where."""
        return {pb.ResourceChanged: self.on_resource_changed, pb.GrantChanged: self.on_grant_changed}

    async def on_resource_changed(self, fact: pb.ResourceChanged, _envelope: Envelope) -> None:
        """Forget the resource: its grants are compiled against it anew when they are next asked for."""
        self._rulebook.forget_resource(fact.resource)

    async def on_grant_changed(self, fact: pb.GrantChanged, _envelope: Envelope) -> None:
        """Forget the pair's grants: one that was taken back is gone with them."""
        self._rulebook.forget_grants(fact.grantee, fact.resource)
