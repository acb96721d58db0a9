# SPDX-License-Identifier: Apache-2.0
"""Facts of corrections: ids and states only."""

from collections.abc import Mapping

from tongban.exchange.v1 import corrections_events_pb2 as pb
from tongban.exchange.v1 import corrections_pb2 as nouns

from services.exchange.domain.corrections import (
    CaseUsedCorrectedValue,
    CorrectionChanged,
    CorrectionClockRang,
    CorrectionState,
    Duty,
    RecallIssued,
)
from services.exchange.service.corrections.disputes import Disputes
from services.kit.calendar import Bell
from services.kit.consumer import Routes
from services.kit.envelope import Envelope, Outgoing

_STATES: Mapping[CorrectionState, "nouns.CorrectionState.ValueType"] = {
    CorrectionState.OPEN: nouns.CORRECTION_STATE_OPEN,
    CorrectionState.CONFIRMED: nouns.CORRECTION_STATE_CONFIRMED,
    CorrectionState.REJECTED: nouns.CORRECTION_STATE_REJECTED,
    CorrectionState.WITHDRAWN: nouns.CORRECTION_STATE_WITHDRAWN,
    CorrectionState.CLOSED: nouns.CORRECTION_STATE_CLOSED,
}
_DUTIES: Mapping[Duty, "pb.CorrectionDuty.ValueType"] = {
    Duty.ANSWER: pb.CORRECTION_DUTY_ANSWER,
    Duty.ACKNOWLEDGE: pb.CORRECTION_DUTY_ACKNOWLEDGE,
}
_BELLS: Mapping[str, "pb.CorrectionBell.ValueType"] = {
    Bell.WARNING: pb.CORRECTION_BELL_WARNING,
    Bell.EXPIRY: pb.CORRECTION_BELL_EXPIRY,
    Bell.ESCALATION: pb.CORRECTION_BELL_ESCALATION,
}


def encoded(fact: object) -> Outgoing | None:
    """Put a fact of corrections into its message; None for others'."""
    match fact:
        case CorrectionChanged(correction_id):
            changed = pb.CorrectionChanged(
                correction_id=correction_id,
                resource=fact.resource,
                field=fact.field_name,
                provider=fact.provider,
                state=_STATES[fact.state],
            )
            return Outgoing(changed, key=correction_id)
        case RecallIssued(correction_id):
            issued = pb.RecallIssued(
                correction_id=correction_id, agency=fact.agency, resource=fact.resource, field=fact.field_name
            )
            return Outgoing(issued, key=correction_id)
        case CaseUsedCorrectedValue(case_id):
            used = pb.CaseUsedCorrectedValue(
                case_id=case_id, correction_id=fact.correction_id, resource=fact.resource, field=fact.field_name
            )
            return Outgoing(used, key=case_id, correlation=case_id)
        case CorrectionClockRang(correction_id):
            rang = pb.CorrectionClockRang(
                correction_id=correction_id,
                agency=fact.agency,
                duty=_DUTIES[fact.duty],
                bell=_BELLS[fact.bell],
                number=fact.number,
            )
            return Outgoing(rang, key=correction_id)
    return None


class CorrectionEvents:
    """Facts heard by every process: each knows what is in dispute."""

    def __init__(self, disputes: Disputes) -> None:
        self._disputes = disputes

    @property
    def routes(self) -> Routes:
        """Which fact goes where."""
        return {pb.CorrectionChanged: self.on_correction_changed}

    async def on_correction_changed(self, fact: pb.CorrectionChanged, _envelope: Envelope) -> None:
        """Read it anew: whether queriers are told of it may have changed."""
        await self._disputes.hear(fact.correction_id)
