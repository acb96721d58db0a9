# SPDX-License-Identifier: Apache-2.0
"""Exchange: what residents dispute, on their own token."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from tongban.exchange.v1 import corrections_pb2 as nouns
from tongban.exchange.v1 import corrections_service_pb2 as pb
from tongban.exchange.v1.corrections_service_pb2_grpc import CorrectionServiceStub

from services.gateway.domain.refusals import IdempotencyKeyReused
from services.gateway.service.corrections import CorrectionSummary, CorrectionView, DisputeValue, ProofView
from services.gateway.service.present import agency_view
from services.gateway.workflows import Workflows
from services.kit.caller import current_caller
from services.kit.errors import RemoteRefusal, RequestIdReused
from services.kit.ids import derived_id
from services.kit.paging import Page
from services.kit.rpc.peer import Peer
from services.kit.text import Text

_PROOFS = {"license": nouns.PROOF_KIND_LICENSE, "document": nouns.PROOF_KIND_DOCUMENT}


class CorrectionsClient:
    """The exchange's corrections."""

    def __init__(self, peer: Peer, workflows: Workflows) -> None:
        self._peer = peer
        self._corrections = peer.stub(CorrectionServiceStub)
        self._workflows = workflows

    async def open(self, command: DisputeValue) -> CorrectionView:
        """Dispute a value."""
        request = pb.OpenCorrectionRequest(
            request_id=_request_id("open", command.idempotency_key),
            resource=command.resource,
            field=command.field_name,
            claimed=command.claimed,
            grounds=command.grounds,
            proofs=[
                nouns.CorrectionProof(kind=_PROOFS[each.kind], reference=each.reference) for each in command.proofs
            ],
        )
        try:
            response = await self._peer.call(self._corrections.OpenCorrection, request)
        except RemoteRefusal as refusal:
            if refusal.reason == RequestIdReused.reason:
                raise IdempotencyKeyReused(
                    "The idempotency key belongs to another request.", remedy="Use a new key."
                ) from refusal
            raise
        return self._view(response.correction)

    async def list(self, page_size: int, page_token: str) -> Page[CorrectionSummary]:
        """The caller's own, newest first."""
        request = pb.ListCorrectionsRequest(page_size=page_size, page_token=page_token)
        response = await self._peer.call(self._corrections.ListCorrections, request)
        return Page(tuple(self._summary(one) for one in response.corrections), response.next_page_token)

    async def read(self, correction_id: str) -> CorrectionView:
        """One of the caller's own."""
        request = pb.GetCorrectionRequest(correction_id=correction_id)
        return self._view((await self._peer.call(self._corrections.GetCorrection, request)).correction)

    async def withdraw(self, correction_id: str, idempotency_key: str) -> CorrectionView:
        """No longer dispute it."""
        request = pb.WithdrawCorrectionRequest(
            request_id=_request_id("withdraw", correction_id, idempotency_key), correction_id=correction_id
        )
        return self._view((await self._peer.call(self._corrections.WithdrawCorrection, request)).correction)

    def _summary(self, one: nouns.Correction) -> CorrectionSummary:
        return CorrectionSummary(
            correction_id=one.correction_id,
            resource=one.resource,
            field_name=one.field,
            provider=agency_view(self._workflows.agency_of(one.provider)),
            state=nouns.CorrectionState.Name(one.state).removeprefix("CORRECTION_STATE_").lower(),
            opened=one.open_time.ToDatetime(UTC),
            answered=_moment(one.answer_time),
            closed=_moment(one.close_time),
            extended=one.extended,
            late=one.late,
            due=_moment(one.due.time),
        )

    def _view(self, one: nouns.Correction) -> CorrectionView:
        summary = self._summary(one)
        return CorrectionView(
            **{name: getattr(summary, name) for name in CorrectionSummary.__slots__},
            provisional=one.due.provisional,
            derivation=tuple(Text(line.zh, line.en) for line in one.due.derivation),
            claimed=one.claimed,
            grounds=one.grounds,
            proofs=tuple(
                ProofView(nouns.ProofKind.Name(each.kind).removeprefix("PROOF_KIND_").lower(), each.reference)
                for each in one.proofs
            ),
            rejection=nouns.RejectionGround.Name(one.rejection).removeprefix("REJECTION_GROUND_")
            if one.rejection
            else "",
            explanation=one.explanation,
            receivers=one.receivers,
            acknowledged=one.acknowledged,
        )


def _request_id(*intent: str) -> str:
    """The exchange's request id of a resident's idempotency key: the same key, the same id; another's key, another id."""
    return derived_id("correction", current_caller().id, *intent)


def _moment(stamp: Timestamp) -> datetime | None:
    return stamp.ToDatetime(UTC) if stamp.seconds else None
