# SPDX-License-Identifier: Apache-2.0
"""ConsentService and PreviewService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import consents_pb2 as nouns
from tongban.exchange.v1 import consents_service_pb2 as pb
from tongban.exchange.v1 import consents_service_pb2_grpc

from services.exchange.domain.consents import Consent
from services.exchange.domain.previews import Preview, PreviewState
from services.exchange.rpc.wire import moment_from, subject_from, values_to
from services.exchange.service.consents import ConsentService, GiveConsent, WithdrawConsent
from services.exchange.service.previews import DecidePreview, PreviewService, RequestPreview
from services.exchange.service.rulebook import Rulebook
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]

_STATES = {state: nouns.PreviewState.Value(f"PREVIEW_STATE_{state.name}") for state in PreviewState}


class ConsentRpc(consents_service_pb2_grpc.ConsentServiceServicer):
    """Residents' own consents."""

    def __init__(self, service: ConsentService, rulebook: Rulebook) -> None:
        self._service = service
        self._rulebook = rulebook

    async def GiveConsent(self, request: pb.GiveConsentRequest, context: Context) -> pb.GiveConsentResponse:
        """Give a consent."""
        command = GiveConsent(
            request_id=request.request_id,
            grantee=request.grantee,
            resource=request.resource,
            purpose=request.purpose,
            fields=tuple(request.fields),
            expire_time=moment_from(request.expire_time, "expire_time"),
        )
        return pb.GiveConsentResponse(consent=await self._to(await self._service.give(command, current_caller())))

    async def WithdrawConsent(self, request: pb.WithdrawConsentRequest, context: Context) -> pb.WithdrawConsentResponse:
        """Withdraw a consent."""
        command = WithdrawConsent(request.request_id, request.consent_id)
        return pb.WithdrawConsentResponse(
            consent=await self._to(await self._service.withdraw(command, current_caller()))
        )

    async def ListConsents(self, request: pb.ListConsentsRequest, context: Context) -> pb.ListConsentsResponse:
        """List the caller's consents, newest first."""
        page = await self._service.list(
            page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        return pb.ListConsentsResponse(
            consents=[await self._to(each) for each in page.rows], next_page_token=page.next_token
        )

    async def _to(self, consent: Consent) -> nouns.Consent:
        resource = await self._rulebook.resource(consent.resource)
        wire = nouns.Consent(
            consent_id=consent.consent_id,
            grantee=consent.grantee,
            resource=consent.resource,
            purpose=consent.purpose,
            fields=consent.fields,
            provider="" if resource is None else resource.provider,
        )
        wire.give_time.FromDatetime(consent.give_time)
        wire.expire_time.FromDatetime(consent.expire_time)
        if consent.withdraw_time is not None:
            wire.withdraw_time.FromDatetime(consent.withdraw_time)
        return wire


class PreviewRpc(consents_service_pb2_grpc.PreviewServiceServicer):
    """Previews before transfer."""

    def __init__(self, service: PreviewService, rulebook: Rulebook) -> None:
        self._service = service
        self._rulebook = rulebook

    async def RequestPreview(self, request: pb.RequestPreviewRequest, context: Context) -> pb.RequestPreviewResponse:
        """Ask for one transfer that the resident shall see before."""
        command = RequestPreview(
            request_id=request.request_id,
            resource=request.resource,
            subject=subject_from(request.subject),
            purpose=request.purpose,
            case_id=request.case_id,
            fields=tuple(request.fields),
        )
        preview = await self._service.request(command, current_caller())
        return pb.RequestPreviewResponse(preview=await self._to(preview))

    async def CollectPreview(self, request: pb.CollectPreviewRequest, context: Context) -> pb.CollectPreviewResponse:
        """Give what the resident confirmed."""
        collected = await self._service.collect(request.preview_id, current_caller())
        return pb.CollectPreviewResponse(
            preview=await self._to(collected.preview),
            values=values_to(collected.values),
            receipt=collected.receipt.to_wire(),
            disputed=collected.disputed,
        )

    async def ShowPreview(self, request: pb.ShowPreviewRequest, context: Context) -> pb.ShowPreviewResponse:
        """Show the resident what would go."""
        look = await self._service.look(request.preview_id, current_caller())
        return pb.ShowPreviewResponse(
            preview=await self._to(look.preview),
            values=None if look.values is None else values_to(look.values),
            token=look.preview.token,
        )

    async def ConfirmPreview(self, request: pb.ConfirmPreviewRequest, context: Context) -> pb.ConfirmPreviewResponse:
        """Let what was shown be sent."""
        command = DecidePreview(request.request_id, request.preview_id, request.token)
        preview = await self._service.confirm(command, current_caller())
        return pb.ConfirmPreviewResponse(preview=await self._to(preview))

    async def DeclinePreview(self, request: pb.DeclinePreviewRequest, context: Context) -> pb.DeclinePreviewResponse:
        """Keep it from being sent."""
        command = DecidePreview(request.request_id, request.preview_id)
        preview = await self._service.decline(command, current_caller())
        return pb.DeclinePreviewResponse(preview=await self._to(preview))

    async def ListPreviews(self, request: pb.ListPreviewsRequest, context: Context) -> pb.ListPreviewsResponse:
        """List the caller's previews, newest first."""
        page = await self._service.list(
            page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        return pb.ListPreviewsResponse(
            previews=[await self._to(each) for each in page.rows], next_page_token=page.next_token
        )

    async def _to(self, preview: Preview) -> nouns.Preview:
        resource = await self._rulebook.resource(preview.resource)
        wire = nouns.Preview(
            preview_id=preview.preview_id,
            agency=preview.agency,
            resource=preview.resource,
            purpose=preview.purpose,
            case_id=preview.case_id,
            fields=preview.fields,
            state=_STATES[preview.state],
            provider="" if resource is None else resource.provider,
        )
        wire.create_time.FromDatetime(preview.create_time)
        wire.expire_time.FromDatetime(preview.expire_time)
        return wire
