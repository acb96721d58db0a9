# SPDX-License-Identifier: Apache-2.0
"""MatterService: translate in, one use case, translate out."""

from datetime import datetime
from typing import Any

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.gateway.v1 import matters_pb2 as nouns
from tongban.gateway.v1 import matters_service_pb2 as pb
from tongban.gateway.v1 import matters_service_pb2_grpc

from services.gateway.domain.activation import Activation
from services.gateway.service.activations import ActivationDesk, MoveCases, Propose, Replayed

Context = grpc.aio.ServicerContext[Any, Any]


class MatterRpc(matters_service_pb2_grpc.MatterServiceServicer):
    """Versions of matters; rights and field rules stand in the contract."""

    def __init__(self, desk: ActivationDesk) -> None:
        self._desk = desk

    async def ProposeActivation(
        self, request: pb.ProposeActivationRequest, context: Context
    ) -> pb.ProposeActivationResponse:
        """A new version."""
        command = Propose(request.request_id, request.definition, request.why)
        return pb.ProposeActivationResponse(activation=_activation_to(await self._desk.propose(command)))

    async def ConfirmActivation(
        self, request: pb.ConfirmActivationRequest, context: Context
    ) -> pb.ConfirmActivationResponse:
        """The second pair of eyes."""
        activation = await self._desk.confirm(request.request_id, request.digest)
        return pb.ConfirmActivationResponse(activation=_activation_to(activation))

    async def ListActivations(self, request: pb.ListActivationsRequest, context: Context) -> pb.ListActivationsResponse:
        """Versions, newest first."""
        page = await self._desk.list(request.matter, request.page_size, request.page_token)
        return pb.ListActivationsResponse(
            activations=[_activation_to(one) for one in page.rows], next_page_token=page.next_token
        )

    async def ReplayCases(self, request: pb.ReplayCasesRequest, context: Context) -> pb.ReplayCasesResponse:
        """What would become of open cases."""
        page = await self._desk.replay(request.definition, request.page_size, request.page_token)
        return pb.ReplayCasesResponse(cases=[_replayed_to(one) for one in page.rows], next_page_token=page.next_token)

    async def MoveCases(self, request: pb.MoveCasesRequest, context: Context) -> pb.MoveCasesResponse:
        """Those that fit."""
        command = MoveCases(request.request_id, request.digest, request.why, request.page_size, request.page_token)
        page = await self._desk.move(command)
        return pb.MoveCasesResponse(cases=[_replayed_to(one) for one in page.rows], next_page_token=page.next_token)


def _activation_to(activation: Activation) -> nouns.Activation:
    return nouns.Activation(
        digest=activation.digest,
        matter=activation.matter,
        why=activation.why,
        proposed_by=activation.proposed_by,
        propose_time=_stamp(activation.proposed),
        confirmed_by=activation.confirmed_by,
        confirm_time=_stamp(activation.confirmed),
    )


def _replayed_to(one: Replayed) -> nouns.ReplayedCase:
    return nouns.ReplayedCase(
        case_id=one.row.case_id,
        receipt=one.row.receipt,
        definition=one.row.definition,
        stuck=one.replay.stuck.value if one.replay.stuck else "",
        where=one.replay.where,
        starts=one.replay.starts,
        outcome=one.replay.outcome.value if one.replay.outcome else "",
        before=one.replay.before.isoformat() if one.replay.before else "",
        after=one.replay.after.isoformat() if one.replay.after else "",
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
