# SPDX-License-Identifier: Apache-2.0
"""The calls of a leakage scene at the real doors: each gives the payload as it arrived and its words, or raises the refusal."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
from tongban.exchange.v1 import batches_service_pb2 as batches
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import grants_service_pb2 as grants
from tongban.exchange.v1 import requests_service_pb2 as requests
from tongban.exchange.v1 import subscriptions_service_pb2 as subscriptions
from tongban.exchange.v1.batches_service_pb2_grpc import BatchServiceStub
from tongban.exchange.v1.subscriptions_service_pb2_grpc import SubscriptionServiceStub

from services.kit.errors import NotFound, Refusal
from services.kit.ids import new_id
from tests.support.exchange_city import NUMBER, POLICE, City
from tests.support.exchange_leakage import FIELDS, Call, Record
from tests.support.neighbors import HOSPITAL

SUBJECT = pb.Subject(number=NUMBER)
TRUTHS = {grants.TRUTH_TRUE: True, grants.TRUTH_FALSE: False, grants.TRUTH_UNKNOWN: None}
WAIT_SECONDS = 30


@dataclass(frozen=True)
class Payload:
    """What came back: the answer in the words of a scene, the grant where the door names it, all of it as text."""

    answer: Any
    grant_id: str
    text: str


class RefusedAtTheDoor(Refusal):
    """A refusal as it was told: by a row of a batch, or over HTTP."""

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(told)
        self._told_reason = reason

    @property
    def reason(self) -> str:  # type: ignore[override] # as it was told
        """The reason that was told."""
        return self._told_reason


@dataclass
class Doors:
    """The hospital at every door of one resource; `values` are what it compares."""

    town: City
    code: str
    record: Record

    async def make(self, call: Call, values: Mapping[str, str]) -> Payload:
        """Make a call. Raises the refusal that was told."""
        doors: dict[str, Callable[[Call, Mapping[str, str]], Coroutine[Any, Any, Payload]]] = {
            "query": self._query,
            "verify": self._verify,
            "ask": self._ask,
            "batch": self._batch,
            "hear": self._hear,
            "request": self._request,
            "xroad_query": self._xroad,
            "xroad_verify": self._xroad,
        }
        return await doors[call.kind](call, values)

    async def _query(self, call: Call, _: Mapping[str, str]) -> Payload:
        request = pb.QueryRequest(**self._about(call), fields=call.asked)
        response = await self.town.call(HOSPITAL, "Query", request)
        return Payload(dict(response.values.items()), response.grant_id, str(response))

    async def _verify(self, call: Call, values: Mapping[str, str]) -> Payload:
        request = pb.VerifyRequest(**self._about(call), values=dict(values))
        response = await self.town.call(HOSPITAL, "Verify", request)
        response.ClearField("receipt")
        return Payload(dict(response.fields), response.grant_id, str(response))

    async def _ask(self, call: Call, _: Mapping[str, str]) -> Payload:
        request = grants.AskRequest(**self._about(call), questions=call.asked)
        response = await self.town.call(HOSPITAL, "Ask", request)
        response.ClearField("receipt")
        answers = {name: TRUTHS[truth] for name, truth in response.answers.items()}
        return Payload(answers, response.grant_id, str(response))

    async def _request(self, call: Call, _: Mapping[str, str]) -> Payload:
        asking = requests.RequestDataRequest(request_id=new_id(), **self._about(call), fields=call.asked)
        asked = (await self.town.call(HOSPITAL, "RequestData", asking)).request
        leasing = requests.LeaseDataRequestsRequest()
        (work,) = (await self.town.call(POLICE, "LeaseDataRequests", leasing)).leased
        answer = requests.AnswerDataRequestRequest(id=asked.id, lease_id=work.lease_id)
        answer.values.update(self.record)
        await self.town.call(POLICE, "AnswerDataRequest", answer)
        response = await self.town.call(HOSPITAL, "CollectData", requests.CollectDataRequest(id=asked.id))
        return Payload(dict(response.values.items()), "", str(response))

    async def _batch(self, call: Call, _: Mapping[str, str]) -> Payload:
        peer = await self.town.peer(f"spiffe://tongban/agency/{HOSPITAL}")
        opening = batches.BatchOpening(batch_id=new_id(), resource=self.code, purpose=call.purpose, fields=call.asked)
        subjects = batches.BatchSubjects(subjects=[SUBJECT])
        sent = [batches.QueryBatchRequest(open=opening), batches.QueryBatchRequest(subjects=subjects)]
        stub = peer.stub(BatchServiceStub).QueryBatch
        async with asyncio.timeout(WAIT_SECONDS), aclosing(peer.stream(stub, _staying(sent))) as stream:
            async for response in stream:
                if response.HasField("part"):
                    (row,) = response.part.rows
                    break
        if not row.values:
            raise RefusedAtTheDoor(row.outcome, str(row))
        return Payload(_read(row.values), "", str(row))

    async def _hear(self, call: Call, _: Mapping[str, str]) -> Payload:
        creating = subscriptions.CreateSubscriptionRequest(
            request_id=new_id(), resource=self.code, purpose=call.purpose, fields=call.asked, with_values=True
        )
        made = (await self.town.call(HOSPITAL, "CreateSubscription", creating)).subscription
        watching = subscriptions.WatchSubjectsRequest(subscription_id=made.subscription_id, added=[SUBJECT])
        await self.town.call(HOSPITAL, "WatchSubjects", watching)
        change = subscriptions.RecordChange(subject=SUBJECT, fields=FIELDS)
        publishing = subscriptions.PublishChangesRequest(request_id=new_id(), resource=self.code, changes=[change])
        await self.town.call(POLICE, "PublishChanges", publishing)
        try:
            return await self._heard(made.subscription_id)
        finally:
            ending = subscriptions.EndSubscriptionRequest(subscription_id=made.subscription_id)
            await self.town.call(HOSPITAL, "EndSubscription", ending)

    async def _heard(self, subscription_id: str) -> Payload:
        """The change, or that there was none: nothing is told of a record that the grant does not cover."""
        peer = await self.town.peer(f"spiffe://tongban/agency/{HOSPITAL}")
        first = [subscriptions.SubscribeRequest(subscription_id=subscription_id)]
        stub = peer.stub(SubscriptionServiceStub).Subscribe
        async with asyncio.timeout(WAIT_SECONDS), aclosing(peer.stream(stub, _staying(first))) as stream:
            async for response in stream:
                if response.HasField("change"):
                    assert set(response.change.values) == set(response.change.fields)
                    return Payload(dict(response.change.values.items()), "", str(response))
                if response.HasField("caught_up"):
                    break
        raise NotFound("Nothing was told.")

    async def _xroad(self, call: Call, values: Mapping[str, str]) -> Payload:
        folder = self.town.folder / "pki"
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        own = folder / "agencies" / HOSPITAL
        context.load_cert_chain(own / "tls.crt", own / "tls.key")
        verb = call.kind.removeprefix("xroad_")
        asked = {"values": dict(values)} if verb == "verify" else {"fields": list(call.asked)}
        headers = {"X-Road-Client": f"CN-990100/GOV/{HOSPITAL}/his", "X-Road-Issue": call.purpose}
        address = f"https://127.0.0.1:{self.town.service.http_port}/r1/CN-990100/GOV/{POLICE}/{self.code}/{verb}"
        async with httpx.AsyncClient(verify=context, timeout=WAIT_SECONDS) as client:
            response = await client.post(address, json={"subject": {"number": NUMBER}, **asked}, headers=headers)
        body = response.json()
        if response.status_code != httpx.codes.OK:
            found = re.search(r"\((\w+)\)$", body.get("message", ""))
            raise RefusedAtTheDoor(found[1] if found else body["reason"], response.text + repr(response.headers))
        answer = body["fields"] if verb == "verify" else body["values"]
        body.pop("receipt")
        return Payload(answer, body["grant_id"], repr(body) + repr(response.headers))

    def _about(self, call: Call) -> dict[str, Any]:
        return {"resource": self.code, "purpose": call.purpose, "subject": SUBJECT}


async def _staying(messages: list[Any]) -> AsyncIterator[Any]:
    """Send these, and stay on the line until the other side hangs up."""
    for each in messages:
        yield each
    await asyncio.Event().wait()


def _read(values: bytes) -> Any:
    return httpx.Response(200, content=values).json()
