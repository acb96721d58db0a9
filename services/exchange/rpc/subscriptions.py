# SPDX-License-Identifier: Apache-2.0
"""SubscriptionService: changes out, acknowledgments in, beside the calls that make and end subscriptions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from grpc import aio
from tongban.exchange.v1 import subscriptions_pb2 as nouns
from tongban.exchange.v1 import subscriptions_service_pb2 as pb
from tongban.exchange.v1 import subscriptions_service_pb2_grpc

from services.exchange.domain.subscriptions import Gap, Notice, Subscription, SubscriptionNotOpened
from services.exchange.rpc.wire import subject_from, values_to
from services.exchange.service.change_stream import CaughtUp, ChangeStream, ChangeStreams, Told
from services.exchange.service.subscriptions import (
    CreateSubscription,
    PublishChanges,
    SubscriptionService,
    WatchSubjects,
)
from services.kit.caller import current_caller

Context = aio.ServicerContext[Any, Any]
Requests = AsyncIterator[pb.SubscribeRequest]

OPEN_SECONDS = 10.0


class SubscriptionRpc(subscriptions_service_pb2_grpc.SubscriptionServiceServicer):
    """Subscriptions and the changes they hear of."""

    def __init__(self, service: SubscriptionService, streams: ChangeStreams) -> None:
        self._service = service
        self._streams = streams

    async def PublishChanges(self, request: pb.PublishChangesRequest, context: Context) -> pb.PublishChangesResponse:
        """Tell that records changed."""
        notices = tuple(Notice(subject_from(each.subject), tuple(each.fields)) for each in request.changes)
        command = PublishChanges(request.request_id, request.resource, notices)
        return pb.PublishChangesResponse(last=await self._service.publish(command, current_caller()))

    async def CreateSubscription(
        self, request: pb.CreateSubscriptionRequest, context: Context
    ) -> pb.CreateSubscriptionResponse:
        """Subscribe from now on."""
        command = CreateSubscription(
            request_id=request.request_id,
            resource=request.resource,
            purpose=request.purpose,
            fields=tuple(request.fields),
            with_values=request.with_values,
        )
        made = await self._service.create(command, current_caller())
        return pb.CreateSubscriptionResponse(subscription=_subscription_to(made))

    async def WatchSubjects(self, request: pb.WatchSubjectsRequest, context: Context) -> pb.WatchSubjectsResponse:
        """Change whom a subscription watches."""
        command = WatchSubjects(
            request.subscription_id,
            added=tuple(subject_from(each) for each in request.added),
            removed=tuple(subject_from(each) for each in request.removed),
        )
        subscription, ids = await self._service.watch(command, current_caller())
        return pb.WatchSubjectsResponse(subscription=_subscription_to(subscription), subject_ids=ids)

    async def EndSubscription(self, request: pb.EndSubscriptionRequest, context: Context) -> pb.EndSubscriptionResponse:
        """End a subscription."""
        ended = await self._service.end(request.subscription_id, current_caller())
        return pb.EndSubscriptionResponse(subscription=_subscription_to(ended))

    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, context: Context
    ) -> pb.ListSubscriptionsResponse:
        """List subscriptions, newest first."""
        page = await self._service.list(
            page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        return pb.ListSubscriptionsResponse(
            subscriptions=[_subscription_to(each) for each in page.rows], next_page_token=page.next_token
        )

    async def Subscribe(self, request_iterator: Requests, context: Context) -> AsyncIterator[pb.SubscribeResponse]:
        """Give changes, take acknowledgments; whichever side fails ends both."""
        stream = await self._streams.open(await _named(request_iterator), current_caller())
        yield pb.SubscribeResponse(opened=_subscription_to(stream.subscription))
        hearing = asyncio.create_task(_hear(request_iterator, stream), name="subscription-acknowledgments")
        try:
            async with aclosing(stream.told()) as told:
                telling = asyncio.ensure_future(anext(told))
                try:
                    while True:
                        await asyncio.wait({telling, hearing}, return_when=asyncio.FIRST_COMPLETED)
                        if hearing.done():
                            await hearing  # Raises what it refused; else the subscriber has hung up.
                            return
                        yield _response(await telling)
                        telling = asyncio.ensure_future(anext(told))
                finally:
                    telling.cancel()
                    with suppress(asyncio.CancelledError, Exception):
                        await telling
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await hearing


async def _named(requests: Requests) -> str:
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            first = await anext(requests, None)
    except TimeoutError:
        first = None
    if first is None or not first.HasField("subscription_id"):
        raise SubscriptionNotOpened("A stream says first which subscription it goes on with.")
    return first.subscription_id


async def _hear(requests: Requests, stream: ChangeStream) -> None:
    async for request in requests:
        if not request.HasField("acknowledge"):
            raise SubscriptionNotOpened("A stream says once which subscription it goes on with.")
        await stream.acknowledge(request.acknowledge)


def _response(told: Told | CaughtUp | Gap) -> pb.SubscribeResponse:
    if isinstance(told, Gap):
        return pb.SubscribeResponse(gap=nouns.ChangeGap(first=told.first, last=told.last))
    if isinstance(told, CaughtUp):
        return pb.SubscribeResponse(caught_up=told.position)
    wire = nouns.SubscribedChange(
        position=told.change.position,
        subject_id=told.change.subject_id,
        fields=told.fields,
        outcome=told.outcome,
        values=None if told.values is None else values_to(told.values),
        receipt=told.receipt.to_wire(),
        disputed=told.disputed,
    )
    wire.publish_time.FromDatetime(told.change.publish_time)
    return pb.SubscribeResponse(change=wire)


def _subscription_to(subscription: Subscription) -> nouns.Subscription:
    wire = nouns.Subscription(
        subscription_id=subscription.subscription_id,
        agency=subscription.agency,
        resource=subscription.resource,
        purpose=subscription.purpose,
        fields=subscription.fields,
        with_values=subscription.with_values,
        position=subscription.position,
        watched=subscription.watched,
    )
    wire.create_time.FromDatetime(subscription.create_time)
    if subscription.end_time is not None:
        wire.end_time.FromDatetime(subscription.end_time)
    return wire
