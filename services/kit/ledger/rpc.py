# SPDX-License-Identifier: Apache-2.0
"""The ledger's doorway: tongban.ledger.v1.LedgerService, served by every service that keeps a ledger."""

import json
from datetime import UTC, datetime
from typing import Any

import grpc.aio
from cryptography import x509
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.ledger.v1 import ledger_service_pb2 as pb
from tongban.ledger.v1 import ledger_service_pb2_grpc

from services.kit.caller import current_caller
from services.kit.errors import Unauthenticated
from services.kit.ledger.ledger import Ledger
from services.kit.ledger.orders import Wanted
from services.kit.ledger.own import Narrow
from services.kit.ledger.search import Search
from services.kit.ledger.segments import Segment

Context = grpc.aio.ServicerContext[Any, Any]


class LedgerRpc(ledger_service_pb2_grpc.LedgerServiceServicer):
    """Reads one service's ledger, and what witnesses, officers and auditors do with it; rights stand in the contract."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def ListOwnLeaves(self, request: pb.ListOwnLeavesRequest, context: Context) -> pb.ListOwnLeavesResponse:
        """The calling resident's own leaves, newest first."""
        narrow = Narrow(
            from_time=_moment(request, "from_time"),
            to_time=_moment(request, "to_time"),
            agency=request.agency,
            resource=request.resource,
            purpose=request.purpose,
            outcome=request.outcome,
        )
        page = await self._ledger.own.page(current_caller().id, narrow, request.page_size, request.page_token)
        return pb.ListOwnLeavesResponse(
            leaves=[row.to_wire() for row in page.rows],
            next_page_token=page.next_token,
            total=page.total,
            hidden=page.hidden,
        )

    async def GetOwnLeaf(self, request: pb.GetOwnLeafRequest, context: Context) -> pb.GetOwnLeafResponse:
        """One of the calling resident's own leaves."""
        return pb.GetOwnLeafResponse(leaf=(await self._ledger.own.one(current_caller().id, request.index)).to_wire())

    async def OpenDigest(self, request: pb.OpenDigestRequest, context: Context) -> pb.OpenDigestResponse:
        """What opens the digest of one of the calling resident's own leaves."""
        return pb.OpenDigestResponse(blinding=await self._ledger.own.blinding(current_caller().id, request.index))

    async def SearchLeaves(self, request: pb.SearchLeavesRequest, context: Context) -> pb.SearchLeavesResponse:
        """What an auditor looks for."""
        search = Search(
            purpose=request.purpose,
            basis=request.basis,
            from_time=_moment(request, "from_time"),
            to_time=_moment(request, "to_time"),
            actor=request.actor,
            resource=request.resource,
            used_for=request.used_for,
            outcome=request.outcome,
            case_id=request.case_id,
            subject_id=request.subject_id,
        )
        found = await self._ledger.searches.find(search, request.page_size, request.page_token)
        return pb.SearchLeavesResponse(
            leaves=[leaf.to_wire() for leaf in found.leaves],
            next_page_token=found.next_token,
            receipt=found.receipt.to_wire(),
            archived_below=await self._ledger.archived_below(),
        )

    async def ListLeaves(self, request: pb.ListLeavesRequest, context: Context) -> pb.ListLeavesResponse:
        """Leaves by index."""
        leaves, next_index = await self._ledger.leaves(request.from_index, request.page_size, request.case_id)
        return pb.ListLeavesResponse(leaves=[leaf.to_wire() for leaf in leaves], next_index=next_index)

    async def GetHead(self, request: pb.GetHeadRequest, context: Context) -> pb.GetHeadResponse:
        """A head over every durable leaf."""
        head = await self._ledger.head()
        return pb.GetHeadResponse(
            head=head.to_wire(),
            public_key_jwk=json.dumps(self._ledger.public_key()),
            since_time=_stamp(await self._ledger.since()),
            archived_below=await self._ledger.archived_below(),
        )

    async def GetInclusionProof(
        self, request: pb.GetInclusionProofRequest, context: Context
    ) -> pb.GetInclusionProofResponse:
        """One leaf with its path and head."""
        return pb.GetInclusionProofResponse(proof=(await self._ledger.inclusion(request.index)).to_wire())

    async def GetConsistencyProof(
        self, request: pb.GetConsistencyProofRequest, context: Context
    ) -> pb.GetConsistencyProofResponse:
        """That a later head only adds to an earlier one."""
        return pb.GetConsistencyProofResponse(
            path=await self._ledger.consistency(request.first_size, request.second_size)
        )

    async def CosignHead(self, request: pb.CosignHeadRequest, context: Context) -> pb.CosignHeadResponse:
        """Keep what a witness says of a head."""
        await self._ledger.witnessed.cosign(request.jws, _certificate(context))
        return pb.CosignHeadResponse()

    async def ReportFork(self, request: pb.ReportForkRequest, context: Context) -> pb.ReportForkResponse:
        """Keep and tell what a witness found."""
        return pb.ReportForkResponse(
            evidence_id=await self._ledger.witnessed.report(request.jws, _certificate(context))
        )

    async def ListForkEvidence(
        self, request: pb.ListForkEvidenceRequest, context: Context
    ) -> pb.ListForkEvidenceResponse:
        """What witnesses found."""
        page = await self._ledger.witnessed.evidence(request.page_size, request.page_token)
        return pb.ListForkEvidenceResponse(evidence=page.rows, next_page_token=page.next_token)

    async def CreateHidingOrder(
        self, request: pb.CreateHidingOrderRequest, context: Context
    ) -> pb.CreateHidingOrderResponse:
        """Order that uses be hidden."""
        wanted = Wanted(
            request_id=request.request_id,
            agency=request.agency,
            case_id=request.case_id,
            ground=request.ground,
            end_time=request.end_time.ToDatetime(UTC),
            end_told=request.end_told,
        )
        order = await self._ledger.orders.create(wanted, self._ledger.name(request.subject_id))
        return pb.CreateHidingOrderResponse(order=order.to_wire())

    async def CountersignHidingOrder(
        self, request: pb.CountersignHidingOrderRequest, context: Context
    ) -> pb.CountersignHidingOrderResponse:
        """Put an order into force."""
        order = await self._ledger.orders.countersign(request.request_id, request.order_id)
        return pb.CountersignHidingOrderResponse(order=order.to_wire())

    async def LiftHidingOrder(self, request: pb.LiftHidingOrderRequest, context: Context) -> pb.LiftHidingOrderResponse:
        """End an order early."""
        order = await self._ledger.orders.lift(request.request_id, request.order_id, request.ground)
        return pb.LiftHidingOrderResponse(order=order.to_wire())

    async def ListHidingOrders(
        self, request: pb.ListHidingOrdersRequest, context: Context
    ) -> pb.ListHidingOrdersResponse:
        """Orders, newest first."""
        page = await self._ledger.orders.newest(request.page_size, request.page_token)
        return pb.ListHidingOrdersResponse(
            orders=[order.to_wire() for order in page.rows], next_page_token=page.next_token
        )

    async def ErasePersonKey(self, request: pb.ErasePersonKeyRequest, context: Context) -> pb.ErasePersonKeyResponse:
        """Erase a person's key."""
        receipt = await self._ledger.erase(request.request_id, request.subject_id, request.basis)
        return pb.ErasePersonKeyResponse(receipt=receipt.to_wire())

    async def ArchiveLeaves(self, request: pb.ArchiveLeavesRequest, context: Context) -> pb.ArchiveLeavesResponse:
        """Drop the bodies that a segment holds."""
        segment = Segment(request.from_index, request.to_index, request.root_hash)
        return pb.ArchiveLeavesResponse(dropped=await self._ledger.segments.archive(segment, request.request_id))


def _moment(request: Any, name: str) -> datetime | None:
    moment: datetime | None = getattr(request, name).ToDatetime(UTC) if request.HasField(name) else None
    return moment


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _certificate(context: Context) -> x509.Certificate:
    """The certificate that the caller came with."""
    [pem, *_] = context.auth_context().get("x509_pem_cert") or [b""]
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise Unauthenticated("The call came without a certificate.") from error
