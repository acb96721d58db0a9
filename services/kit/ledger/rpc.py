# SPDX-License-Identifier: Apache-2.0
"""The ledger's doorway: tongban.ledger.v1.LedgerService, served by every service that keeps a ledger."""

import json
from typing import Any

import grpc.aio
from tongban.ledger.v1 import ledger_service_pb2 as pb
from tongban.ledger.v1 import ledger_service_pb2_grpc

from services.kit.caller import current_caller
from services.kit.ledger.ledger import Ledger

Context = grpc.aio.ServicerContext[Any, Any]


class LedgerRpc(ledger_service_pb2_grpc.LedgerServiceServicer):
    """Reads one service's ledger; rights stand in the contract."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def ListOwnLeaves(self, request: pb.ListOwnLeavesRequest, context: Context) -> pb.ListOwnLeavesResponse:
        """The calling resident's own leaves, newest first."""
        page = await self._ledger.own_leaves(current_caller().id, request.page_size, request.page_token)
        return pb.ListOwnLeavesResponse(leaves=[row.to_wire() for row in page.rows], next_page_token=page.next_token)

    async def ListLeaves(self, request: pb.ListLeavesRequest, context: Context) -> pb.ListLeavesResponse:
        """Leaves by index."""
        leaves, next_index = await self._ledger.leaves(request.from_index, request.page_size, request.case_id)
        return pb.ListLeavesResponse(leaves=[leaf.to_wire() for leaf in leaves], next_index=next_index)

    async def GetHead(self, request: pb.GetHeadRequest, context: Context) -> pb.GetHeadResponse:
        """A head over every durable leaf."""
        head = await self._ledger.head()
        return pb.GetHeadResponse(head=head.to_wire(), public_key_jwk=json.dumps(self._ledger.public_key()))

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
