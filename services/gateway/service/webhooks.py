# SPDX-License-Identifier: Apache-2.0
"""Tells local front-ends what happens to cases: each piece of news kept until its receiver has it, or two days are over."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import httpx

from services.gateway.domain.webhooks import (
    HOOKS_MAX,
    Delivery,
    DeliveryState,
    News,
    TooManyWebhooks,
    Webhook,
    attempted,
    body_of,
    check_url,
    headers_of,
    rotated,
    secrets_of,
)
from services.gateway.service.ports import CaseRow
from services.kit.caller import current_caller
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.ids import derived_id
from services.kit.logs import get_logger
from services.kit.paging import Page

RIGHT = "gateway.webhooks"
AT_ONCE = 16
SEND_SECONDS = 10.0
REPLAY_MAX = 10_000
KEPT = timedelta(days=30)
LOOK = timedelta(seconds=5)
"""A new webhook is told of what happens from so long after its registration on, at the latest."""
_FAILED = "DELIVERIES_FAILED"


class WebhookTransaction(Protocol):
    """What a transaction reads and writes of webhooks."""

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Whether this request or delivery has not had its effect yet."""

    async def count_webhooks(self) -> int:
        """Count them all."""

    async def webhook(self, webhook_id: str) -> Webhook:
        """Read and lock. Raises WebhookNotFound."""

    async def save_webhook(self, hook: Webhook) -> None:
        """Insert or replace."""

    async def delete_webhook(self, webhook_id: str) -> None:
        """Delete it with what it was told."""

    async def all_webhooks(self) -> Sequence[Webhook]:
        """Every one."""

    async def add_deliveries(self, new: Sequence[Delivery]) -> None:
        """Insert."""

    async def take_deliveries(self, now: datetime, limit: int) -> Sequence[tuple[Delivery, Webhook]]:
        """Due ones, leased to us for one attempt."""

    async def save_delivery(self, delivery: Delivery) -> None:
        """Write what came of an attempt."""

    async def replay_deliveries(self, webhook_id: str, *, since: datetime, now: datetime, limit: int) -> int:
        """Tell again; give how many."""

    async def drop_deliveries(self, before: datetime) -> None:
        """Forget what was settled before a moment."""


class WebhookStore(Protocol):
    """What is kept."""

    def transaction(self) -> AbstractAsyncContextManager[WebhookTransaction]:
        """All or nothing."""

    async def find(self, receipt_or_case_id: str) -> CaseRow | None:
        """One case."""

    async def list_webhooks(self) -> Sequence[Webhook]:
        """Every one, oldest first."""

    async def list_deliveries(
        self, webhook_id: str, *, state: DeliveryState | None, page_size: int, page_token: str
    ) -> Page[Delivery]:
        """A hook's, newest first."""


@dataclass(frozen=True, slots=True)
class AddWebhook:
    """A front-end is to be told."""

    url: str
    news: tuple[News, ...]
    matters: tuple[str, ...]
    idempotency_key: str


class WebhookDesk:
    """Operators come here; every method but `tell` and `run` acts for the calling operator."""

    def __init__(self, store: WebhookStore, *, clock: Clock, hosts: Collection[str], poll_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._hosts = hosts
        self._poll_seconds = poll_seconds
        self._news = asyncio.Event()
        self._known: Sequence[Webhook] | None = None
        self._read = clock()

    async def add(self, command: AddWebhook) -> Webhook:
        """Register one; the secret is shown with this answer alone. A repeat under the same key gives the same one.

        WebhookUrlRefused, TooManyWebhooks, REQUEST_ID_REUSED.
        """
        caller = _operator()
        check_url(command.url, self._hosts)
        webhook_id = derived_id("webhook", caller, command.idempotency_key)
        asked = (command.url, ",".join(command.news), ",".join(command.matters))
        async with self._store.transaction() as tx:
            if not await tx.first_sight(f"webhook:{command.idempotency_key}", *asked):
                return await tx.webhook(webhook_id)
            if await tx.count_webhooks() >= HOOKS_MAX:
                raise TooManyWebhooks(f"There are {HOOKS_MAX} webhooks.", remedy="Delete one that is not needed.")
            hook = Webhook(
                webhook_id, command.url, command.news, command.matters, self._clock(), caller, secrets.token_bytes(32)
            )
            await tx.save_webhook(hook)
        return hook

    async def list(self) -> Sequence[Webhook]:
        """Every one, oldest first."""
        _operator()
        return await self._store.list_webhooks()

    async def delete(self, webhook_id: str) -> None:
        """Delete it; what it was not told yet is not told any more. Raises WebhookNotFound."""
        _operator()
        async with self._store.transaction() as tx:
            await tx.webhook(webhook_id)
            await tx.delete_webhook(webhook_id)

    async def rotate(self, webhook_id: str, key: str) -> Webhook:
        """Give it a new secret; the old one signs beside it for a day. Raises WebhookNotFound."""
        _operator()
        async with self._store.transaction() as tx:
            hook = await tx.webhook(webhook_id)
            if await tx.first_sight(f"webhook-secret:{key}", webhook_id):
                hook = rotated(hook, secrets.token_bytes(32), self._clock())
                await tx.save_webhook(hook)
        return hook

    async def pause(self, webhook_id: str) -> Webhook:
        """Tell it nothing for now; what happens meanwhile waits for it. Raises WebhookNotFound."""
        return await self._set(webhook_id, paused=self._clock(), reason="OPERATOR")

    async def resume(self, webhook_id: str) -> Webhook:
        """Tell it again, beginning with what waits. Raises WebhookNotFound."""
        hook = await self._set(webhook_id, paused=None, reason="")
        self._news.set()
        return hook

    async def replay(self, webhook_id: str, since: datetime, key: str) -> int:
        """Tell again what it was told, or could not be told, since a moment; give how many. Raises WebhookNotFound."""
        _operator()
        async with self._store.transaction() as tx:
            await tx.webhook(webhook_id)
            if not await tx.first_sight(f"webhook-replay:{key}", webhook_id, since.isoformat()):
                return 0
            told = await tx.replay_deliveries(webhook_id, since=since, now=self._clock(), limit=REPLAY_MAX)
        self._news.set()
        return told

    async def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None, page_size: int, page_token: str
    ) -> Page[Delivery]:
        """What it was told, newest first. Raises WebhookNotFound."""
        _operator()
        async with self._store.transaction() as tx:
            await tx.webhook(webhook_id)
        return await self._store.list_deliveries(webhook_id, state=state, page_size=page_size, page_token=page_token)

    async def tell(self, news: News, case_id: str, step_id: str, *, event_id: str, at: datetime) -> None:
        """Keep a piece of news for every hook that wants it, once."""
        hooks = await self._hooks_now()
        case = await self._store.find(case_id) if hooks else None
        if case is None or not any(hook.wants(news, case.matter) for hook in hooks):
            return
        body = body_of(
            news,
            receipt=case.receipt,
            case_id=case_id,
            matter=case.matter,
            status=case.status.value,
            step_id=step_id,
            at=at,
        )
        async with self._store.transaction() as tx:
            if not await tx.first_sight(f"webhook-news:{event_id}"):
                return
            now = self._clock()
            await tx.add_deliveries(
                [
                    Delivery(derived_id(event_id, hook.webhook_id), hook.webhook_id, news, case_id, body, now, now)
                    for hook in await tx.all_webhooks()
                    if hook.wants(news, case.matter)
                ]
            )
        self._news.set()

    async def run(self) -> None:
        """Send what is due until cancelled; every process does, and takes what no other has in hand."""
        async with _client() as client:
            while True:
                self._news.clear()
                sent = 0
                with suppress(Unavailable):  # The next round catches up.
                    sent = await self.send_due(client)
                if not sent:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._poll_seconds):
                            await self._news.wait()

    async def send_due(self, client: httpx.AsyncClient) -> int:
        """Make one attempt for each of some due deliveries; give how many."""
        async with self._store.transaction() as tx:
            taken = await tx.take_deliveries(self._clock(), AT_ONCE)
        await asyncio.gather(*(self._send(client, delivery, hook) for delivery, hook in taken))
        return len(taken)

    async def forget_old(self) -> None:
        """Forget what was settled a month ago."""
        async with self._store.transaction() as tx:
            await tx.drop_deliveries(self._clock() - KEPT)

    async def _hooks_now(self) -> Sequence[Webhook]:
        """Read them again every few seconds: most news are of cases that nobody wants to be told of."""
        now = self._clock()
        if now - self._read >= LOOK or self._known is None:
            self._known, self._read = await self._store.list_webhooks(), now
        return self._known

    async def _send(self, client: httpx.AsyncClient, delivery: Delivery, hook: Webhook) -> None:
        now = self._clock()
        status = 0
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                headers = headers_of(delivery, secrets_of(hook, now), now)
                async with client.stream("POST", hook.url, content=delivery.body, headers=headers) as answer:
                    status = answer.status_code
        after = attempted(delivery, status, self._clock())
        async with self._store.transaction() as tx:
            await tx.save_delivery(after)
            if after.state is DeliveryState.FAILED:
                current = await tx.webhook(hook.webhook_id)
                await tx.save_webhook(replace(current, paused=self._clock(), pause_reason=_FAILED))
        if after.state is DeliveryState.FAILED:
            get_logger().error("webhook_paused", webhook_id=hook.webhook_id, status=status)

    async def _set(self, webhook_id: str, *, paused: datetime | None, reason: str) -> Webhook:
        _operator()
        async with self._store.transaction() as tx:
            hook = replace(await tx.webhook(webhook_id), paused=paused, pause_reason=reason)
            await tx.save_webhook(hook)
        return hook


def _operator() -> str:
    caller = current_caller()
    caller.must(RIGHT)
    return caller.label


@asynccontextmanager
async def _client() -> AsyncIterator[httpx.AsyncClient]:
    """Never follows a redirect: it would lead to hosts that the settings don't name."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=SEND_SECONDS, limits=limits) as made:
        yield made
