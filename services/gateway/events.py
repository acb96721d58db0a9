# SPDX-License-Identifier: Apache-2.0
"""The event doorway: facts that the gateway tells, and the answers of steps that it hears."""

from collections.abc import Mapping
from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.events.v1.steps_pb2 import (
    STEP_OUTCOME_DONE,
    STEP_OUTCOME_REFUSED,
    STEP_OUTCOME_UNAVAILABLE,
    StepAnswered,
)
from tongban.exchange.v1.corrections_events_pb2 import CaseUsedCorrectedValue
from tongban.gateway.v1 import clocks_events_pb2, gateway_pb2, matters_events_pb2
from tongban.gateway.v1 import gateway_events_pb2 as facts
from tongban.gateway.v1 import tasks_events_pb2 as told

from services.gateway.domain.activation import MatterActivatedFact
from services.gateway.domain.definition import StepKind
from services.gateway.domain.facts import (
    CaseEndedFact,
    CaseParkedFact,
    CaseSubmittedFact,
    ClockChangedFact,
    ClockRangFact,
    CorrectionRequestedFact,
    ExtensionDecidedFact,
    ExtensionRequestedFact,
    StepRequestedFact,
)
from services.gateway.domain.history import Outcome
from services.gateway.domain.webhooks import News as Told
from services.gateway.service.bell import Bell, case_key, tasks_key
from services.gateway.service.corrections import RecallDesk
from services.gateway.service.statistics import StatisticDesk
from services.gateway.service.steps import StepDesk, ToldAnswer
from services.gateway.service.webhooks import WebhookDesk
from services.kit.consumer import Routes
from services.kit.envelope import Envelope, Outgoing, service_topic
from services.kit.errors import Refusal

OWNERS = ("identity", "licenses", "exchange")
"""Services that own steps; their answers stand on their own topics."""

News = (
    facts.CaseSubmitted
    | facts.StepRequested
    | facts.CaseEnded
    | facts.CaseParked
    | clocks_events_pb2.ClockRang
    | clocks_events_pb2.ClockChanged
    | told.CorrectionRequested
    | told.ExtensionRequested
    | told.ExtensionDecided
)

_OUTCOMES = {
    STEP_OUTCOME_DONE: Outcome.DONE,
    STEP_OUTCOME_REFUSED: Outcome.REFUSED,
    STEP_OUTCOME_UNAVAILABLE: Outcome.UNAVAILABLE,
}
_TOLD: Mapping[type[Message], Told] = {
    facts.CaseSubmitted: Told.SUBMITTED,
    facts.StepRequested: Told.STEP_REQUESTED,
    facts.CaseParked: Told.PARKED,
    facts.CaseEnded: Told.ENDED,
}
KINDS = {
    StepKind.VERIFY: gateway_pb2.STEP_KIND_VERIFY,
    StepKind.FETCH: gateway_pb2.STEP_KIND_FETCH,
    StepKind.LICENSE: gateway_pb2.STEP_KIND_LICENSE,
    StepKind.TASK: gateway_pb2.STEP_KIND_TASK,
    StepKind.PAY: gateway_pb2.STEP_KIND_PAY,
}


class OutcomeUnknown(Refusal):
    """A step was answered with an outcome that this release does not know."""


class GatewayEvents:
    """What the gateway does when others tell something."""

    def __init__(
        self, steps: StepDesk, recalls: RecallDesk, webhooks: WebhookDesk, statistics: StatisticDesk, bell: Bell
    ) -> None:
        self._steps = steps
        self._recalls = recalls
        self._webhooks = webhooks
        self._statistics = statistics
        self._bell = bell

    @property
    def routes(self) -> Routes:
        """Facts that are heard once per service."""
        return {
            StepAnswered: self.on_step_answered,
            CaseUsedCorrectedValue: self.on_case_used_corrected_value,
            **dict.fromkeys(_TOLD, self.on_told),
        }

    @property
    def topics(self) -> tuple[str, ...]:
        """Where they are told."""
        return tuple(service_topic(owner) for owner in (*OWNERS, "gateway"))

    @property
    def wakes(self) -> Routes:
        """Own facts that every process hears, to wake who waits in it for news of a case."""
        return {
            facts.CaseSubmitted: self.on_news,
            facts.StepRequested: self.on_news,
            facts.CaseEnded: self.on_news,
            facts.CaseParked: self.on_news,
            clocks_events_pb2.ClockRang: self.on_news,
            clocks_events_pb2.ClockChanged: self.on_news,
            told.CorrectionRequested: self.on_news,
            told.ExtensionRequested: self.on_news,
            told.ExtensionDecided: self.on_news,
        }

    async def on_step_answered(self, fact: StepAnswered, envelope: Envelope) -> None:
        """Take the answer into its case and go on."""
        outcome = _OUTCOMES.get(fact.outcome)
        if outcome is None:
            raise OutcomeUnknown("The step was answered with an unknown outcome.")
        told = ToldAnswer(
            teller=envelope.topic.split(".")[1],
            case_id=fact.case_id,
            step_id=fact.step_id,
            attempt=fact.attempt,
            outcome=outcome,
            reason=fact.reason,
            output=dict(fact.output),
            answer_id=fact.answer_id,
        )
        await self._steps.answered(told, delivery_id=envelope.event_id)

    async def on_case_used_corrected_value(self, fact: CaseUsedCorrectedValue, envelope: Envelope) -> None:
        """Flag the case, where it is one of ours and goes on."""
        await self._recalls.flag(
            fact.case_id, fact.correction_id, fact.resource, fact.field, delivery_id=envelope.event_id
        )

    async def on_told(self, fact: News, envelope: Envelope) -> None:
        """Keep the news for the webhooks that want it; count what has ended."""
        step_id = getattr(fact, "step_id", "")
        told = _TOLD[type(fact)]
        await self._webhooks.tell(told, fact.case_id, step_id, event_id=envelope.event_id, at=envelope.occur_time)
        if told is Told.ENDED:
            await self._statistics.count(fact.case_id)

    async def on_news(self, fact: News, _envelope: Envelope) -> None:
        """Another process has moved the case: wake who waits for it here."""
        if self._bell.is_own(*_news_of(fact)):
            return
        self._bell.ring(case_key(fact.case_id))
        if isinstance(fact, facts.StepRequested) and fact.kind == gateway_pb2.STEP_KIND_TASK:
            self._bell.ring_all(tasks_key(""))


def _news_of(fact: News) -> tuple[str, str, str]:
    """As `engine.news_of` names the same fact."""
    step = f"{getattr(fact, 'step_id', '')}:{getattr(fact, 'attempt', '')}"
    return f"{type(fact).__name__}Fact", fact.case_id, step


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def to_wire(fact: object) -> Outgoing:  # noqa: C901 - one arm for each fact
    """Put a fact in wire words; the case is key and correlation alike."""
    message: Message
    match fact:
        case CaseSubmittedFact(case_id=case_id):
            message = facts.CaseSubmitted(case_id=case_id, matter=fact.matter, definition=fact.definition)
        case StepRequestedFact(case_id=case_id):
            message = facts.StepRequested(
                case_id=case_id, step_id=fact.step_id, attempt=fact.attempt, kind=KINDS[fact.kind], matter=fact.matter
            )
        case CaseEndedFact(case_id=case_id):
            message = facts.CaseEnded(case_id=case_id, outcome=fact.outcome)
        case CaseParkedFact(case_id=case_id):
            message = facts.CaseParked(case_id=case_id, step_id=fact.step_id, reason=fact.reason)
        case ClockRangFact(case_id=case_id):
            message = clocks_events_pb2.ClockRang(
                case_id=case_id,
                clock=fact.clock,
                step_id=fact.step_id,
                bound=fact.bound,
                bell=fact.bell,
                number=fact.number,
                due_time=_stamp(fact.due),
            )
        case ClockChangedFact(case_id=case_id):
            message = clocks_events_pb2.ClockChanged(
                case_id=case_id,
                clock=fact.clock,
                step_id=fact.step_id,
                change=fact.change,
                promised_date=fact.promised,
                due_date=fact.due,
                provisional=fact.provisional,
            )
        case CorrectionRequestedFact(case_id=case_id):
            message = told.CorrectionRequested(case_id=case_id, step_id=fact.step_id, fields=fact.fields)
        case ExtensionRequestedFact(case_id=case_id):
            message = told.ExtensionRequested(case_id=case_id, step_id=fact.step_id, working_days=fact.working_days)
        case ExtensionDecidedFact(case_id=case_id):
            message = told.ExtensionDecided(
                case_id=case_id, step_id=fact.step_id, working_days=fact.working_days, granted=fact.granted
            )
        case MatterActivatedFact(matter=matter):
            return Outgoing(
                matters_events_pb2.MatterActivated(matter=matter, definition=fact.definition), matter, matter
            )
        case _:
            raise TypeError(f"{type(fact).__name__} is no fact of the gateway.")
    return Outgoing(message, case_id, case_id)
