# SPDX-License-Identifier: Apache-2.0
"""Exchange: the resident's consents, and previews of what would be sent, on the resident's own token."""

from collections.abc import Sequence
from datetime import UTC, datetime

from cachetools import TTLCache
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.exchange.v1 import consents_pb2 as nouns
from tongban.exchange.v1 import consents_service_pb2 as pb
from tongban.exchange.v1.consents_service_pb2_grpc import ConsentServiceStub, PreviewServiceStub
from tongban.exchange.v1.exchange_pb2 import Resource
from tongban.exchange.v1.exchange_service_pb2 import GetResourceRequest
from tongban.exchange.v1.exchange_service_pb2_grpc import CatalogueServiceStub

from services.gateway.service.commands import GiveConsent
from services.gateway.service.present import agency_view
from services.gateway.service.views import ConsentView, NamedField, PreviewView, ResourceView
from services.gateway.workflows import Workflows
from services.kit.caller import Caller, CallerKind
from services.kit.errors import Code, RemoteRefusal
from services.kit.paging import Page
from services.kit.rpc.peer import Peer
from services.kit.text import Text

_ITSELF = Caller(CallerKind.SERVICE, "gateway")
_RESOURCES_MAX = 1_000
_RESOURCE_SECONDS = 60.0
_LOOK_SECONDS = 10.0
"""A person waits for a department's answer, and wants it more than speed."""


class ConsentsClient:
    """Consents and previews at the exchange, told in names that people read."""

    def __init__(self, peer: Peer, workflows: Workflows) -> None:
        self._peer = peer
        self._consents = peer.stub(ConsentServiceStub)
        self._previews = peer.stub(PreviewServiceStub)
        self._catalogue = peer.stub(CatalogueServiceStub)
        self._workflows = workflows
        self._resources: TTLCache[str, Resource] = TTLCache(_RESOURCES_MAX, _RESOURCE_SECONDS)

    async def consents(self, page_size: int, page_token: str) -> Page[ConsentView]:
        """The caller's consents, newest first."""
        request = pb.ListConsentsRequest(page_size=page_size, page_token=page_token)
        response = await self._peer.call(self._consents.ListConsents, request)
        return Page(tuple([await self._consent(one) for one in response.consents]), response.next_page_token)

    async def give(self, command: GiveConsent, request_id: str) -> ConsentView:
        """Give a consent."""
        request = pb.GiveConsentRequest(
            request_id=request_id,
            grantee=command.grantee,
            resource=command.resource,
            purpose=command.purpose,
            fields=command.fields,
        )
        request.expire_time.FromDatetime(command.expires)
        response = await self._peer.call(self._consents.GiveConsent, request)
        return await self._consent(response.consent)

    async def withdraw(self, consent_id: str, request_id: str) -> ConsentView:
        """Withdraw a consent."""
        request = pb.WithdrawConsentRequest(request_id=request_id, consent_id=consent_id)
        response = await self._peer.call(self._consents.WithdrawConsent, request)
        return await self._consent(response.consent)

    async def previews(self, page_size: int, page_token: str) -> Page[PreviewView]:
        """The caller's previews, newest first, without values."""
        request = pb.ListPreviewsRequest(page_size=page_size, page_token=page_token)
        response = await self._peer.call(self._previews.ListPreviews, request)
        return Page(tuple([await self._preview(one) for one in response.previews]), response.next_page_token)

    async def preview(self, preview_id: str) -> PreviewView:
        """What would go now, with the token that stands for it."""
        request = pb.ShowPreviewRequest(preview_id=preview_id)
        response = await self._peer.call(self._previews.ShowPreview, request, timeout_seconds=_LOOK_SECONDS)
        values = MessageToDict(response.values) if response.HasField("values") else None
        return await self._preview(response.preview, values, response.token)

    async def confirm(self, preview_id: str, token: str, request_id: str) -> PreviewView:
        """Let what was shown be sent."""
        request = pb.ConfirmPreviewRequest(request_id=request_id, preview_id=preview_id, token=token)
        response = await self._peer.call(self._previews.ConfirmPreview, request)
        return await self._preview(response.preview)

    async def decline(self, preview_id: str, request_id: str) -> PreviewView:
        """Keep it from being sent."""
        request = pb.DeclinePreviewRequest(request_id=request_id, preview_id=preview_id)
        response = await self._peer.call(self._previews.DeclinePreview, request)
        return await self._preview(response.preview)

    async def _consent(self, one: nouns.Consent) -> ConsentView:
        resource, fields = await self._named(one.resource, one.fields)
        return ConsentView(
            consent_id=one.consent_id,
            grantee=agency_view(self._workflows.agency_of(one.grantee)),
            provider=agency_view(self._workflows.agency_of(one.provider)),
            resource=resource,
            purpose=one.purpose,
            fields=fields,
            given=_moment(one.give_time),
            expires=_moment(one.expire_time),
            withdrawn=_moment(one.withdraw_time) if one.HasField("withdraw_time") else None,
        )

    async def _preview(
        self, one: nouns.Preview, values: dict[str, object] | None = None, token: str = ""
    ) -> PreviewView:
        resource, fields = await self._named(one.resource, one.fields)
        return PreviewView(
            preview_id=one.preview_id,
            agency=agency_view(self._workflows.agency_of(one.agency)),
            provider=agency_view(self._workflows.agency_of(one.provider)),
            resource=resource,
            purpose=one.purpose,
            case_id=one.case_id,
            fields=fields,
            state=nouns.PreviewState.Name(one.state).removeprefix("PREVIEW_STATE_").lower(),
            requested=_moment(one.create_time),
            expires=_moment(one.expire_time),
            values=values,
            token=token,
        )

    async def _named(self, code: str, fields: Sequence[str]) -> tuple[ResourceView, tuple[NamedField, ...]]:
        """Give names for people: consent is informed (PIPL, art. 14). What the catalogue no longer has keeps its code."""
        resource = self._resources.get(code)
        if resource is None:
            try:
                response = await self._peer.call(
                    self._catalogue.GetResource, GetResourceRequest(code=code), caller=_ITSELF
                )
            except RemoteRefusal as refusal:
                if refusal.code is not Code.NOT_FOUND:
                    raise
                resource = Resource(code=code, name_zh=code, name_en=code)
            else:
                resource = self._resources[code] = response.resource
        titles = {each.name: Text(each.label_zh, each.label_en) for each in resource.fields}
        named = tuple(NamedField(name, titles.get(name, Text(name, name))) for name in fields)
        return ResourceView(code, Text(resource.name_zh, resource.name_en)), named


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
