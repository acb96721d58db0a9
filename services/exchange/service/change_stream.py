# SPDX-License-Identifier: Apache-2.0
"""One stream of a subscription: changes in their order, each with a leaf before it leaves, no more than are acknowledged."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Protocol

from services.exchange.domain.answer import Scalar
from services.exchange.domain.permit import Permit
from services.exchange.domain.refusals import ConsentMissing, ends_stream
from services.exchange.domain.subscriptions import (
    Change,
    Flow,
    Gap,
    Log,
    Subscription,
    gap_of,
    must_go_on,
    relevant,
)
from services.exchange.domain.terms import Method
from services.exchange.service.bell import Bell
from services.exchange.service.broker import Broker
from services.exchange.service.corrections.disputes import Disputes
from services.exchange.service.pace import ask_paced
from services.exchange.service.ports import Ledger
from services.exchange.service.rulebook import Rulebook
from services.exchange.service.subscriptions import RIGHT, SubscriptionStore
from services.kit.caller import Caller
from services.kit.errors import NotFound, Refusal
from services.kit.ids import new_id
from services.kit.ledger.access import ANSWERED, Access, Receipt, canonical

READ_MAX = 100
POLL_SECONDS = 5.0
"""How long a ring that never came is waited for: what the event would have said is then looked up."""


@dataclass(frozen=True, slots=True)
class Told:
    """One change as the subscriber hears it; `values` where it asked for them and there are any."""

    change: Change
    fields: tuple[str, ...]
    outcome: str
    receipt: Receipt
    values: dict[str, Scalar] | None = field(default=None, repr=False)
    disputed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """There is nothing more for this subscriber up to this position; it may be acknowledged like a change."""

    position: int


class StreamStore(SubscriptionStore, Protocol):
    """What a stream needs of the store."""

    @property
    def ledger(self) -> Ledger:
        """The ledger beside the rows."""

    def digest(self, payload: bytes) -> str:
        """Give the digest of an answer, for its leaf."""


class ChangeStreams:
    """Opens streams."""

    def __init__(
        self, store: StreamStore, rulebook: Rulebook, broker: Broker, bell: Bell, *, disputes: Disputes
    ) -> None:
        self.store = store
        self.rulebook = rulebook
        self.broker = broker
        self.bell = bell
        self.disputes = disputes

    async def open(self, subscription_id: str, caller: Caller) -> "ChangeStream":
        """Go on with a subscription; the stream that had it before has lost it.

        Raises SubscriptionNotFound, SubscriptionEnded.
        """
        caller.must(RIGHT)
        async with self.store.transaction() as tx:
            before = await tx.subscription(subscription_id, agency=caller.agency or caller.id)
            must_go_on(before)
            after = replace(before, stream_id=new_id())
            await tx.save_subscription(after)
        self.bell.ring(after.resource)
        return ChangeStream(after, self)


class ChangeStream:
    """Gives what is to be told, and takes acknowledgments beside it."""

    def __init__(self, subscription: Subscription, streams: ChangeStreams) -> None:
        self.subscription = subscription
        self._streams = streams
        self._store = streams.store
        self._flow = Flow(subscription.position)
        self._room = asyncio.Event()

    async def acknowledge(self, position: int) -> None:
        """Write that everything up to a position is held. Raises SubscriptionPositionWrong."""
        if self._flow.acknowledge(position):
            async with self._store.transaction() as tx:
                await tx.acknowledge(
                    self.subscription.subscription_id, position=position, stream_id=self.subscription.stream_id
                )
            self._room.set()

    async def told(self) -> AsyncGenerator[Told | CaughtUp | Gap, None]:
        """Give changes as they come, for as long as the stream lives.

        Raises SubscriptionTakenOver, SubscriptionEnded, what refuses a query of this subscriber, and what keeps the
        provider from answering: nothing is skipped, a new stream begins at what was not acknowledged.
        """
        resource = self.subscription.resource
        rung = self._streams.bell.listen(resource)
        try:
            while True:
                rung.clear()
                log = await self._log()
                if (gap := gap_of(log, self._flow.sent)) is not None:
                    self._flow.send(gap.last)
                    yield gap
                while self._flow.sent < log.last:
                    async for one in self._some(log):
                        yield one
                await self._wait(rung)
        finally:
            self._streams.bell.leave(resource, rung)

    async def _some(self, log: Log) -> AsyncGenerator[Told | CaughtUp, None]:
        subscription = self.subscription
        changes = await self._store.changes_for(
            subscription.subscription_id,
            subscription.resource,
            after=self._flow.sent,
            until=log.last,
            limit=READ_MAX,
        )
        for change in changes:
            await self._has_room()
            told = await self._tell(change)
            if told is not None:
                self._flow.send(change.position)
                yield told
        reached = log.last if len(changes) < READ_MAX else changes[-1].position
        if reached > self._flow.sent:
            self._flow.send(reached)
            yield CaughtUp(reached)

    async def _tell(self, change: Change) -> Told | None:
        """Tell a change if any field of it is granted now, with its leaf; None where it is not for this subscriber."""
        subscription = self.subscription
        permit = await self._streams.rulebook.permit_query(
            subscription.agency,
            subscription.resource,
            purpose=subscription.purpose,
            fields=subscription.fields,
            method=Method.SUBSCRIBE,
        )
        fields = relevant(change, permit.fields)
        if not fields:
            return None
        access = Access(
            operation="change_told",
            subject_id=change.subject_id,
            purpose=subscription.purpose,
            basis=permit.basis,
            fields=fields,
            resource=subscription.resource,
        )
        account = self._store.ledger.account(access)
        try:
            async with account as entry:
                values = await self._values(change, permit)
                told = None if values is None else {name: values[name] for name in fields}
                digest = "" if told is None else self._store.digest(canonical(told))
                receipt = await entry.answered(digest=digest)
                disputed = self._streams.disputes.among(subscription.resource, change.subject_id, fields)
                return Told(change, fields, ANSWERED, receipt, told, disputed)
        except Refusal as refusal:
            if ends_stream(refusal):
                raise
            if permit.view is not None or isinstance(refusal, ConsentMissing):
                return None  # Not even that something changed is told; the leaf says why.
            return Told(change, fields, refusal.reason, entry.receipt)

    async def _values(self, change: Change, permit: Permit) -> dict[str, Scalar] | None:
        """Give the record where it is told, or decides whether anything is; None where names are enough."""
        subscription = self.subscription
        about = {
            "subject_id": change.subject_id,
            "purpose": subscription.purpose,
            "grantee": subscription.agency,
        }
        if not subscription.with_values and permit.view is None:
            await self._streams.broker.must_consent(permit, **about)
            return None
        values = await ask_paced(self._streams.broker, permit, change.subject, case_id="", **about)
        if values is None:
            raise NotFound("The provider has no record of the subject.")
        return values if subscription.with_values else None

    async def _log(self) -> Log:
        """Read how far the log is, after making sure that this stream still has the subscription."""
        subscription = self.subscription
        current = await self._store.read_subscription(subscription.subscription_id, agency=subscription.agency)
        must_go_on(current, subscription.stream_id)
        return await self._store.read_log(subscription.resource)

    async def _has_room(self) -> None:
        while self._flow.full:
            self._room.clear()
            await self._wait(self._room)
            await self._log()

    @staticmethod
    async def _wait(event: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await event.wait()
        except TimeoutError:
            return
