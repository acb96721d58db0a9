# SPDX-License-Identifier: Apache-2.0
"""CorrectionService: translate in, one use case, translate out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio
from tongban.exchange.v1 import corrections_pb2 as nouns
from tongban.exchange.v1 import corrections_service_pb2 as pb
from tongban.exchange.v1 import corrections_service_pb2_grpc

from services.exchange.domain.corrections import (
    Correction,
    CorrectionState,
    Proof,
    ProofKind,
    RecallMeasure,
    RejectionGround,
)
from services.exchange.rpc.wire import subject_from
from services.exchange.service.corrections import ClaimService, OpenCorrection, RecallService, Reply
from services.exchange.service.corrections.claims import CorrectionView
from services.exchange.service.corrections.ports import DueRecall
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]

STATES: Mapping[CorrectionState, "nouns.CorrectionState.ValueType"] = {
    CorrectionState.OPEN: nouns.CORRECTION_STATE_OPEN,
    CorrectionState.CONFIRMED: nouns.CORRECTION_STATE_CONFIRMED,
    CorrectionState.REJECTED: nouns.CORRECTION_STATE_REJECTED,
    CorrectionState.WITHDRAWN: nouns.CORRECTION_STATE_WITHDRAWN,
    CorrectionState.CLOSED: nouns.CORRECTION_STATE_CLOSED,
}
_PROOFS: Mapping[ProofKind, "nouns.ProofKind.ValueType"] = {
    ProofKind.LICENSE: nouns.PROOF_KIND_LICENSE,
    ProofKind.DOCUMENT: nouns.PROOF_KIND_DOCUMENT,
}
_GROUNDS: Mapping[RejectionGround, "nouns.RejectionGround.ValueType"] = {
    RejectionGround.VALUE_CORRECT: nouns.REJECTION_GROUND_VALUE_CORRECT,
    RejectionGround.PROOF_INSUFFICIENT: nouns.REJECTION_GROUND_PROOF_INSUFFICIENT,
    RejectionGround.NOT_COMPETENT: nouns.REJECTION_GROUND_NOT_COMPETENT,
    RejectionGround.PENDING_ELSEWHERE: nouns.REJECTION_GROUND_PENDING_ELSEWHERE,
}
_MEASURES: Mapping[RecallMeasure, "nouns.RecallMeasure.ValueType"] = {
    RecallMeasure.CORRECTED: nouns.RECALL_MEASURE_CORRECTED,
    RecallMeasure.DELETED: nouns.RECALL_MEASURE_DELETED,
    RecallMeasure.NOT_KEPT: nouns.RECALL_MEASURE_NOT_KEPT,
    RecallMeasure.DECISION_REVIEWED: nouns.RECALL_MEASURE_DECISION_REVIEWED,
}
_STATES_READ = {wire: state for state, wire in STATES.items()}
_PROOFS_READ = {wire: kind for kind, wire in _PROOFS.items()}
_GROUNDS_READ = {wire: ground for ground, wire in _GROUNDS.items()}
_MEASURES_READ = {wire: measure for measure, wire in _MEASURES.items()}


class CorrectionRpc(corrections_service_pb2_grpc.CorrectionServiceServicer):
    """Disputes, answers, recalls."""

    def __init__(self, claims: ClaimService, recalls: RecallService) -> None:
        self._claims = claims
        self._recalls = recalls

    async def OpenCorrection(self, request: pb.OpenCorrectionRequest, context: Context) -> pb.OpenCorrectionResponse:
        """Dispute a value."""
        command = OpenCorrection(
            request_id=request.request_id,
            resource=request.resource,
            field_name=request.field,
            subject=subject_from(request.subject) if request.HasField("subject") else None,
            claimed=request.claimed,
            grounds=request.grounds,
            proofs=tuple(Proof(_PROOFS_READ[each.kind], each.reference) for each in request.proofs),
        )
        return pb.OpenCorrectionResponse(correction=_view(await self._claims.open(command, current_caller())))

    async def GetCorrection(self, request: pb.GetCorrectionRequest, context: Context) -> pb.GetCorrectionResponse:
        """Read one."""
        view = await self._claims.read(request.correction_id, current_caller())
        return pb.GetCorrectionResponse(correction=_view(view))

    async def ListCorrections(self, request: pb.ListCorrectionsRequest, context: Context) -> pb.ListCorrectionsResponse:
        """List them, newest first."""
        page = await self._claims.list(
            current_caller(),
            claiming=request.role == pb.CORRECTION_ROLE_CLAIMANT,
            state=_STATES_READ.get(request.state),
            late=request.late,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        response = pb.ListCorrectionsResponse(next_page_token=page.next_token)
        for each in page.rows:
            wire = response.corrections.add()
            wire.CopyFrom(_bare(each.correction))
            if each.correction.disputed:
                _put(wire.due.time, each.due)
        return response

    async def WithdrawCorrection(
        self, request: pb.WithdrawCorrectionRequest, context: Context
    ) -> pb.WithdrawCorrectionResponse:
        """No longer dispute it."""
        view = await self._claims.withdraw(Reply(request.request_id, request.correction_id), current_caller())
        return pb.WithdrawCorrectionResponse(correction=_view(view))

    async def ConfirmCorrection(
        self, request: pb.ConfirmCorrectionRequest, context: Context
    ) -> pb.ConfirmCorrectionResponse:
        """The value was wrong."""
        reply = Reply(request.request_id, request.correction_id, request.explanation)
        return pb.ConfirmCorrectionResponse(correction=_view(await self._claims.confirm(reply, current_caller())))

    async def RejectCorrection(
        self, request: pb.RejectCorrectionRequest, context: Context
    ) -> pb.RejectCorrectionResponse:
        """The value stands."""
        ground = _GROUNDS_READ[request.ground]
        reply = Reply(request.request_id, request.correction_id, request.explanation, ground)
        return pb.RejectCorrectionResponse(correction=_view(await self._claims.reject(reply, current_caller())))

    async def ExtendCorrection(
        self, request: pb.ExtendCorrectionRequest, context: Context
    ) -> pb.ExtendCorrectionResponse:
        """Take more time."""
        view = await self._claims.extend(Reply(request.request_id, request.correction_id), current_caller())
        return pb.ExtendCorrectionResponse(correction=_view(view))

    async def ListRecalls(self, request: pb.ListRecallsRequest, context: Context) -> pb.ListRecallsResponse:
        """List recalls, oldest first."""
        page = await self._recalls.inbox(
            current_caller(),
            acknowledged=request.acknowledged,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListRecallsResponse(recalls=[_recall(each) for each in page.rows], next_page_token=page.next_token)

    async def GetRecall(self, request: pb.GetRecallRequest, context: Context) -> pb.GetRecallResponse:
        """Read one's own recall."""
        view = await self._recalls.read(request.correction_id, current_caller())
        return pb.GetRecallResponse(recall=_recall(view.due, subject_key=view.subject_key))

    async def AcknowledgeRecall(
        self, request: pb.AcknowledgeRecallRequest, context: Context
    ) -> pb.AcknowledgeRecallResponse:
        """Say what was done."""
        measure = _MEASURES_READ[request.measure]
        due = await self._recalls.acknowledge(request.request_id, request.correction_id, measure, current_caller())
        return pb.AcknowledgeRecallResponse(recall=_recall(due))


def _bare(one: Correction) -> nouns.Correction:
    """As everybody concerned may see it: without a word of its content."""
    wire = nouns.Correction(
        correction_id=one.correction_id,
        resource=one.resource,
        field=one.field_name,
        provider=one.provider,
        state=STATES[one.state],
        extended=one.extended,
        late=one.late,
        rejection=_GROUNDS[one.rejection] if one.rejection else nouns.REJECTION_GROUND_UNSPECIFIED,
    )
    wire.open_time.FromDatetime(one.open_time)
    _put(wire.answer_time, one.answer_time)
    _put(wire.close_time, one.close_time)
    return wire


def _view(view: CorrectionView) -> nouns.Correction:
    one = view.counted.correction
    wire = _bare(one)
    wire.receivers, wire.acknowledged = view.counted.receivers, view.counted.acknowledged
    wire.subject_key = view.subject_key
    if view.content:
        wire.claimed, wire.grounds, wire.explanation = one.claim.claimed, one.claim.grounds, one.explanation
        for each in one.claim.proofs:
            wire.proofs.add(kind=_PROOFS[each.kind], reference=each.reference)
    if view.due is not None:
        _put(wire.due.time, view.due)
        wire.due.provisional = view.provisional
        for line in view.derivation:
            wire.due.derivation.add(zh=line.zh, en=line.en)
    return wire


def _recall(due: DueRecall, *, subject_key: str = "") -> nouns.Recall:
    one = due.recall
    wire = nouns.Recall(
        correction_id=one.correction_id,
        agency=one.agency,
        resource=due.resource,
        field=due.field_name,
        uses=one.uses,
        measure=_MEASURES[one.measure] if one.measure else nouns.RECALL_MEASURE_UNSPECIFIED,
        late=one.late,
        subject_key=subject_key,
    )
    wire.last_use_time.FromDatetime(one.last_use_time)
    wire.tell_time.FromDatetime(one.tell_time)
    _put(wire.acknowledge_time, one.acknowledge_time)
    if one.acknowledge_time is None:
        _put(wire.due_time, due.due)
    return wire


def _put(wire: Timestamp, moment: datetime | None) -> None:
    if moment is not None:
        wire.FromDatetime(moment)
