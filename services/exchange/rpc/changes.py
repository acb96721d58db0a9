# SPDX-License-Identifier: Apache-2.0
"""ChangeService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import changes_pb2 as nouns
from tongban.exchange.v1 import changes_service_pb2 as pb
from tongban.exchange.v1 import changes_service_pb2_grpc

from services.exchange.domain.change import Change, ChangeState, Notice, NoticeState
from services.exchange.rpc.entries import difference_to
from services.exchange.rpc.enums import Enum
from services.exchange.rpc.wire import resource_from, resource_to
from services.exchange.service.changes import ChangeService, ProposeChange, ReviewChange
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]
STATES = Enum(nouns.ChangeState, ChangeState, "CHANGE_STATE")
NOTICE_STATES = Enum(nouns.NoticeState, NoticeState, "NOTICE_STATE")


class ChangeRpc(changes_service_pb2_grpc.ChangeServiceServicer):
    """Takes changes from proposal to effect, and tells holders of grants."""

    def __init__(self, service: ChangeService) -> None:
        self._service = service

    async def ProposeChange(self, request: pb.ProposeChangeRequest, context: Context) -> pb.ProposeChangeResponse:
        """Propose a version of a resource."""
        command = ProposeChange(request.request_id, resource_from(request.resource, reached=False), request.note)
        return pb.ProposeChangeResponse(change=_change_to(await self._service.propose(command, current_caller())))

    async def ReviewChange(self, request: pb.ReviewChangeRequest, context: Context) -> pb.ReviewChangeResponse:
        """Publish a change, or give it back."""
        command = ReviewChange(
            request_id=request.request_id,
            change_id=request.change_id,
            publish=request.publish,
            note=request.note,
            notice_days=request.notice_days,
            urgent_basis=request.urgent_basis,
        )
        return pb.ReviewChangeResponse(change=_change_to(await self._service.review(command, current_caller())))

    async def WithdrawChange(self, request: pb.WithdrawChangeRequest, context: Context) -> pb.WithdrawChangeResponse:
        """Take a change back."""
        change = await self._service.withdraw(request.request_id, request.change_id, current_caller())
        return pb.WithdrawChangeResponse(change=_change_to(change))

    async def GetChange(self, request: pb.GetChangeRequest, context: Context) -> pb.GetChangeResponse:
        """Read a change."""
        return pb.GetChangeResponse(change=_change_to(await self._service.get(request.change_id, current_caller())))

    async def ListChanges(self, request: pb.ListChangesRequest, context: Context) -> pb.ListChangesResponse:
        """List changes, newest first."""
        page = await self._service.list(
            state=STATES.read_any(request.state, "state"),
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ListChangesResponse(changes=[_change_to(each) for each in page.rows], next_page_token=page.next_token)

    async def PreviewChange(self, request: pb.PreviewChangeRequest, context: Context) -> pb.PreviewChangeResponse:
        """Tell who would lose what."""
        caller = current_caller()
        change = await self._service.get(request.change_id, caller) if request.change_id else None
        resource = resource_from(request.resource, reached=False) if change is None else change.resource
        found = await self._service.preview(
            resource, page_size=request.page_size, page_token=request.page_token, caller=caller
        )
        return pb.PreviewChangeResponse(
            differences=[difference_to(each) for each in found.differences],
            losses=[
                nouns.GrantLoss(
                    grant_id=each.grant_id,
                    grantee=each.grantee,
                    fields=each.fields,
                    verify_fields=each.verify_fields,
                    questions=each.questions,
                )
                for each in found.losses.rows
            ],
            next_page_token=found.losses.next_token,
            grants=found.grants,
            losing_grants=found.losing,
            losing_agencies=found.agencies,
            recent_calls=found.calls,
            notice_days=found.notice_days,
            more_grants=found.more,
        )

    async def ListNotices(self, request: pb.ListNoticesRequest, context: Context) -> pb.ListNoticesResponse:
        """List the notices in the caller's inbox."""
        page = await self._service.inbox(
            open_only=request.open_only,
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ListNoticesResponse(notices=[_notice_to(each) for each in page.rows], next_page_token=page.next_token)

    async def AcknowledgeNotice(
        self, request: pb.AcknowledgeNoticeRequest, context: Context
    ) -> pb.AcknowledgeNoticeResponse:
        """Take note."""
        notice = await self._service.acknowledge(request.request_id, request.change_id, current_caller())
        return pb.AcknowledgeNoticeResponse(notice=_notice_to(notice))


def _change_to(change: Change) -> nouns.ResourceChange:
    wire = nouns.ResourceChange(
        change_id=change.change_id,
        resource=resource_to(change.resource, settings=False),
        base_revision=change.base_revision,
        note=change.note,
        state=STATES.write(change.state),
        review_note=change.review_note,
        urgent_basis=change.urgent_basis,
    )
    wire.submit_time.FromDatetime(change.submit_time)
    if change.effect_time is not None:
        wire.effect_time.FromDatetime(change.effect_time)
    return wire


def _notice_to(notice: Notice) -> nouns.ChangeNotice:
    wire = nouns.ChangeNotice(
        change_id=notice.change_id,
        resource=notice.resource,
        to_revision=notice.to_revision,
        lost_fields=notice.fields,
        lost_verify_fields=notice.verify_fields,
        lost_questions=notice.questions,
        state=NOTICE_STATES.write(notice.state),
        urgent_basis=notice.urgent_basis,
    )
    wire.create_time.FromDatetime(notice.create_time)
    wire.effect_time.FromDatetime(notice.effect_time)
    if notice.acknowledge_time is not None:
        wire.acknowledge_time.FromDatetime(notice.acknowledge_time)
    return wire
