# SPDX-License-Identifier: Apache-2.0
"""Subscriptions, consents, previews and requests as they are served: rights, events, several processes, both databases."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from tongban.exchange.v1 import (
    consents_events_pb2,
    consents_pb2,
    consents_service_pb2,
    exchange_service_pb2,
    grants_pb2,
    requests_events_pb2,
    requests_pb2,
    requests_service_pb2,
    subscriptions_service_pb2,
)
from tongban.exchange.v1.subscriptions_service_pb2_grpc import SubscriptionServiceStub

from services.exchange.app import running
from services.kit.errors import Refusal
from services.kit.ids import new_id
from services.kit.run import serving
from tests.support.eventually import eventually
from tests.support.exchange_city import (
    ADDRESS,
    HOUSEHOLD,
    NUMBER,
    OPERATOR,
    POLICE,
    SUBJECT_ID,
    City,
    city,
    grant_request,
    query,
)
from tests.support.mesh import free_port
from tests.support.neighbors import HOSPITAL, ready
from tests.support.profiles import Profile

ABOUT = exchange_service_pb2.Subject(subject_id=SUBJECT_ID)


@pytest.fixture
async def town(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as town:
        town.identity.rights[POLICE] = (True, ("exchange.provide", "exchange.read"))
        yield town


async def allow(town: City, *methods: "grants_pb2.Method.ValueType", consent: bool = False) -> None:
    request = exchange_service_pb2.PutResourceRequest(resource=town.household())
    await town.call(OPERATOR, "PutResource", request)
    terms = grants_pb2.GrantTerms(methods=methods, consent=consent)
    await town.call(OPERATOR, "CreateGrant", grant_request(terms=terms, verify_fields=[]))


async def refused(town: City, who: str, method: str, request: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        await town.call(who, method, request)
    return refusal.value.reason


@asynccontextmanager
async def second(town: City) -> AsyncIterator[Any]:
    """Another process of the exchange on the same store."""
    settings = town.settings.model_copy(update={"grpc_port": free_port(), "worker": "2"})
    async with serving(settings, running) as other:
        await eventually(lambda: ready(other))
        yield other


@asynccontextmanager
async def at(town: City, service: Any) -> AsyncIterator[None]:
    """Ask this process."""
    before, town.service = town.service, service
    town.peers.clear()
    yield
    town.service = before
    town.peers.clear()


# ---- subscriptions --------------------------------------------------------------------------------------------------


async def subscribed(town: City) -> str:
    request = subscriptions_service_pb2.CreateSubscriptionRequest(
        request_id=new_id(), resource=HOUSEHOLD, purpose="birth", with_values=True
    )
    made = (await town.call(HOSPITAL, "CreateSubscription", request)).subscription
    watching = subscriptions_service_pb2.WatchSubjectsRequest(
        subscription_id=made.subscription_id, added=[exchange_service_pb2.Subject(number=NUMBER)]
    )
    answer = await town.call(HOSPITAL, "WatchSubjects", watching)
    assert list(answer.subject_ids) == [SUBJECT_ID]
    return str(made.subscription_id)


async def publish(town: City, *fields: str) -> None:
    notice = subscriptions_service_pb2.RecordChange(subject=ABOUT, fields=fields)
    request = subscriptions_service_pb2.PublishChangesRequest(request_id=new_id(), resource=HOUSEHOLD, changes=[notice])
    await town.call(POLICE, "PublishChanges", request)


@asynccontextmanager
async def listening(town: City, subscription_id: str) -> AsyncIterator[Any]:
    """A subscriber's stream: what came, and a queue for acknowledgments."""
    peer = await town.peer(f"spiffe://tongban/agency/{HOSPITAL}")
    sending: asyncio.Queue[Any] = asyncio.Queue()
    sending.put_nowait(subscriptions_service_pb2.SubscribeRequest(subscription_id=subscription_id))

    async def requests() -> AsyncIterator[Any]:
        while True:
            yield await sending.get()

    async with aclosing(peer.stream(peer.stub(SubscriptionServiceStub).Subscribe, requests())) as stream:
        opened = await anext(stream)
        assert opened.opened.subscription_id == subscription_id
        yield stream, sending


async def change(stream: Any) -> Any:
    async with asyncio.timeout(20):
        async for response in stream:
            if response.HasField("change"):
                return response.change
    raise AssertionError


async def test_a_change_is_told_wherever_the_subscriber_is_connected(town: City) -> None:
    await allow(town, grants_pb2.METHOD_SUBSCRIBE)
    subscription_id = await subscribed(town)
    first = town.service
    async with second(town) as other, at(town, other), listening(town, subscription_id) as (stream, sending):
        async with at(town, first):
            await publish(town, "address")
        told = await change(stream)
        assert (told.position, told.subject_id, list(told.fields)) == (1, SUBJECT_ID, ["address"])
        assert dict(told.values.items()) == {"address": ADDRESS}
        leaf = (await town.leaves())[told.receipt.index]
        assert (leaf["operation"], leaf["outcome"]) == ("change_told", "answered")
        sending.put_nowait(subscriptions_service_pb2.SubscribeRequest(acknowledge=1))
        await eventually(lambda: _position(town, subscription_id, 1))


async def _position(town: City, subscription_id: str, position: int) -> bool:
    listed = await town.call(HOSPITAL, "ListSubscriptions", subscriptions_service_pb2.ListSubscriptionsRequest())
    return [each.position for each in listed.subscriptions] == [position]


async def test_what_was_not_acknowledged_comes_again_from_another_process(town: City) -> None:
    await allow(town, grants_pb2.METHOD_SUBSCRIBE)
    subscription_id = await subscribed(town)
    async with listening(town, subscription_id) as (stream, _):
        await publish(town, "address")
        before = await change(stream)
    async with second(town) as other, at(town, other), listening(town, subscription_id) as (stream, _):
        again = await change(stream)
    assert (again.position, again.subject_id) == (before.position, before.subject_id)


async def test_nothing_of_a_change_is_on_the_bus_in_clear(town: City) -> None:
    await allow(town, grants_pb2.METHOD_SUBSCRIBE)
    await subscribed(town)
    await publish(town, "address")
    await eventually(lambda: any(envelope.type.endswith("ChangesPublished") for envelope, _ in town.heard))
    assert all(NUMBER.encode() not in value and SUBJECT_ID.encode() not in value for _, value in town.heard)


# ---- consents and previews ------------------------------------------------------------------------------------------


def consent() -> consents_service_pb2.GiveConsentRequest:
    request = consents_service_pb2.GiveConsentRequest(
        request_id=new_id(), grantee=HOSPITAL, resource=HOUSEHOLD, purpose="birth", fields=["address"]
    )
    request.expire_time.GetCurrentTime()
    request.expire_time.seconds += 86_400
    return request


async def test_a_withdrawn_consent_refuses_here_at_once_and_elsewhere_soon(town: City, profile: Profile) -> None:
    await allow(town, grants_pb2.METHOD_QUERY, consent=True)
    assert await refused(town, HOSPITAL, "Query", query()) == "CONSENT_MISSING"
    given = (await town.call(SUBJECT_ID, "GiveConsent", consent())).consent
    assert given.provider == POLICE
    first = town.service
    async with second(town) as other:
        async with at(town, other):
            await town.call(HOSPITAL, "Query", query())
        request = consents_service_pb2.WithdrawConsentRequest(request_id=new_id(), consent_id=given.consent_id)
        await town.call(SUBJECT_ID, "WithdrawConsent", request)
        assert await refused(town, HOSPITAL, "Query", query()) == "CONSENT_MISSING"
        async with at(town, other):

            async def lets_go() -> bool:
                try:
                    await town.call(HOSPITAL, "Query", query())
                except Refusal as refusal:
                    return refusal.reason == "CONSENT_MISSING"
                return False

            await eventually(lets_go, seconds=5 if profile.name == "embedded" else 15)
    assert town.service is first
    await eventually(
        lambda: [fact.withdrawn for fact in town.told(consents_events_pb2.ConsentChanged)] == [False, True]
    )
    assert await refused(town, HOSPITAL, "GiveConsent", consent()) == "CALLER_NOT_ALLOWED"


async def test_what_the_resident_saw_is_what_is_sent(town: City) -> None:
    await allow(town, grants_pb2.METHOD_QUERY, consent=True)
    request = consents_service_pb2.RequestPreviewRequest(
        request_id=new_id(), resource=HOUSEHOLD, subject=ABOUT, purpose="birth"
    )
    preview = (await town.call(HOSPITAL, "RequestPreview", request)).preview
    collecting = consents_service_pb2.CollectPreviewRequest(preview_id=preview.preview_id)
    assert await refused(town, HOSPITAL, "CollectPreview", collecting) == "PREVIEW_NOT_CONFIRMED"
    showing = consents_service_pb2.ShowPreviewRequest(preview_id=preview.preview_id)
    shown = await town.call(SUBJECT_ID, "ShowPreview", showing)
    assert dict(shown.values.items()) == {"address": ADDRESS}
    confirming = consents_service_pb2.ConfirmPreviewRequest(
        request_id=new_id(), preview_id=preview.preview_id, token=shown.token
    )
    await town.call(SUBJECT_ID, "ConfirmPreview", confirming)
    with sqlite3.connect(town.folder / "police.sqlite") as register:
        register.execute("UPDATE household SET address = '2 Spring Lane'")
    register.close()
    assert await refused(town, HOSPITAL, "CollectPreview", collecting) == "PREVIEW_CHANGED"
    shown = await town.call(SUBJECT_ID, "ShowPreview", showing)
    confirming = consents_service_pb2.ConfirmPreviewRequest(
        request_id=new_id(), preview_id=preview.preview_id, token=shown.token
    )
    await town.call(SUBJECT_ID, "ConfirmPreview", confirming)
    collected = await town.call(HOSPITAL, "CollectPreview", collecting)
    assert dict(collected.values.items()) == {"address": "2 Spring Lane"}
    listed = await town.call(SUBJECT_ID, "ListPreviews", consents_service_pb2.ListPreviewsRequest())
    assert [each.state for each in listed.previews] == [consents_pb2.PREVIEW_STATE_COLLECTED]


# ---- requests -------------------------------------------------------------------------------------------------------


async def test_people_answer_what_they_leased_and_the_asker_collects_it(town: City) -> None:
    await allow(town, grants_pb2.METHOD_QUERY)
    asking = requests_service_pb2.RequestDataRequest(
        request_id=new_id(), resource=HOUSEHOLD, subject=ABOUT, purpose="birth"
    )
    asked = (await town.call(HOSPITAL, "RequestData", asking)).request
    assert asked.due_time.seconds > asked.create_time.seconds
    (work,) = (await town.call(POLICE, "LeaseDataRequests", requests_service_pb2.LeaseDataRequestsRequest())).leased
    assert (work.subject_key, list(work.request.fields)) == (NUMBER, ["address"])
    answer = requests_service_pb2.AnswerDataRequestRequest(id=asked.id, lease_id=work.lease_id)
    answer.values.update({"address": "From the paper file", "head_name": "Li Wei"})
    await town.call(POLICE, "AnswerDataRequest", answer)
    collected = await town.call(HOSPITAL, "CollectData", requests_service_pb2.CollectDataRequest(id=asked.id))
    assert dict(collected.values.items()) == {"address": "From the paper file"}
    leaf = (await town.leaves())[collected.receipt.index]
    assert (leaf["operation"], leaf["caller"]) == ("request_collected", f"agency:{HOSPITAL}")
    await eventually(
        lambda: (
            [fact.state for fact in town.told(requests_events_pb2.DataRequestChanged)]
            == [requests_pb2.DATA_REQUEST_STATE_OPEN, requests_pb2.DATA_REQUEST_STATE_ANSWERED]
        )
    )


async def test_two_people_never_get_the_same_request(town: City) -> None:
    await allow(town, grants_pb2.METHOD_QUERY)
    for _ in range(6):
        asking = requests_service_pb2.RequestDataRequest(
            request_id=new_id(), resource=HOUSEHOLD, subject=ABOUT, purpose="birth"
        )
        await town.call(HOSPITAL, "RequestData", asking)
    leasing = requests_service_pb2.LeaseDataRequestsRequest(most=2)
    answers = await asyncio.gather(*(town.call(POLICE, "LeaseDataRequests", leasing) for _ in range(4)))
    ids = [each.request.id for answer in answers for each in answer.leased]
    assert len(ids) == len(set(ids)) == 6


async def test_who_may_not_query_asks_no_people(town: City) -> None:
    await allow(town, grants_pb2.METHOD_QUERY)
    asking = requests_service_pb2.RequestDataRequest(
        request_id=new_id(), resource=HOUSEHOLD, subject=ABOUT, purpose="birth"
    )
    assert await refused(town, POLICE, "RequestData", asking) == "RIGHT_MISSING"
