# SPDX-License-Identifier: Apache-2.0
"""News of cases for local front-ends: who is told what, how it is signed, and when it is told again.

Signed as Standard Webhooks 1.0 has it: HMAC-SHA256 over `<id>.<timestamp>.<body>`, so that receivers verify with a library.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from services.kit.errors import NotFound, Refusal, TooManyRequests

HOOKS_MAX = 100
WAITS = tuple(timedelta(seconds=each) for each in (5, 30, 120, 600, 1800, 3600, 10800, 21600, 43200, 86400))
"""Between attempts; after the last one, two days on, the hook is paused and keeps what it was not told."""
LEASE = timedelta(seconds=60)
"""Of one attempt: a sender that is killed meanwhile leaves the delivery to the next one."""
OLD_SECRET = timedelta(hours=24)
"""How long both secrets sign after a change."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with


class WebhookNotFound(NotFound):
    """There is no such webhook."""


class WebhookUrlRefused(Refusal):
    """Webhooks go only to hosts that the platform's settings name, over TLS (plain HTTP to this machine alone)."""


class TooManyWebhooks(TooManyRequests):
    """There are as many webhooks as there may be."""


class News(StrEnum):
    """What a front-end can be told."""

    SUBMITTED = "case.submitted"
    STEP_REQUESTED = "case.step_requested"
    PARKED = "case.parked"
    ENDED = "case.ended"


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where news go. `news` and `matters` narrow them; empty for all."""

    webhook_id: str
    url: str
    news: tuple[News, ...]
    matters: tuple[str, ...]
    created: datetime
    created_by: str
    secret: bytes = field(repr=False)
    old_secret: bytes = field(default=b"", repr=False)
    old_until: datetime | None = None
    paused: datetime | None = None
    pause_reason: str = ""

    def wants(self, news: News, matter: str) -> bool:
        """Whether it is told of this."""
        return (not self.news or news in self.news) and (not self.matters or matter in self.matters)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One piece of news for one hook. The id is the same at every attempt: receivers know repeats by it."""

    delivery_id: str
    webhook_id: str
    news: News
    case_id: str
    body: str
    created: datetime
    due: datetime
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    status: int = 0
    """HTTP status of the last attempt; 0 where there was no answer."""
    settled: datetime | None = None


def check_url(url: str, hosts: Collection[str]) -> None:
    """Only hosts that the settings name: nobody makes the gateway knock at doors inside. Raises WebhookUrlRefused."""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        parts, place = urlsplit(""), None
    here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    good = parts.scheme == "https" or (parts.scheme == "http" and here)
    if not good or parts.username or parts.password or parts.fragment or not {place, parts.hostname} & set(hosts):
        raise WebhookUrlRefused(
            "Webhooks don't go to this address.",
            remedy="Use https and a host that GATEWAY_WEBHOOK_HOSTS names.",
        )


def body_of(news: News, *, receipt: str, case_id: str, matter: str, status: str, step_id: str, at: datetime) -> str:
    """Ids and states only: who needs more asks for it with a right of their own."""
    data = {"case_id": case_id, "receipt": receipt, "matter": matter, "status": status}
    if step_id:
        data["step_id"] = step_id
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": news.value, "timestamp": moment, "data": data}, separators=(",", ":"))


def headers_of(delivery: Delivery, secrets: Sequence[bytes], now: datetime) -> dict[str, str]:
    """Id, time and a signature for each secret that counts now."""
    seconds = str(int(now.timestamp()))
    signed = f"{delivery.delivery_id}.{seconds}.{delivery.body}".encode()
    signatures = (base64.b64encode(hmac.new(one, signed, hashlib.sha256).digest()).decode() for one in secrets)
    return {
        "content-type": "application/json",
        "user-agent": "tongban-webhooks/1",
        "webhook-id": delivery.delivery_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }


def secrets_of(hook: Webhook, now: datetime) -> tuple[bytes, ...]:
    """Those that sign now."""
    if hook.old_until is not None and now < hook.old_until:
        return (hook.secret, hook.old_secret)
    return (hook.secret,)


def rotated(hook: Webhook, secret: bytes, now: datetime) -> Webhook:
    """A new secret; the old one signs beside it for a day."""
    return replace(hook, secret=secret, old_secret=hook.secret, old_until=now + OLD_SECRET)


def attempted(delivery: Delivery, status: int, now: datetime) -> Delivery:
    """After an attempt: done on 2xx; told again after a growing wait; failed when all waits are over."""
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110
        return replace(delivery, state=DeliveryState.DONE, status=status, settled=now)
    if delivery.attempts > len(WAITS):
        return replace(delivery, state=DeliveryState.FAILED, status=status, settled=now)
    return replace(delivery, status=status, due=now + WAITS[delivery.attempts - 1])


def shown_secret(secret: bytes) -> str:
    """As Standard Webhooks writes it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()
