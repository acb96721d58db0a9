# SPDX-License-Identifier: Apache-2.0
"""Webhooks, and what they were told."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.gateway.rest.shapes.base import Asked, Moment, Shape

_MATTER = r"^[a-z][a-z0-9_]{0,63}$"
NewsName = Literal["case.submitted", "case.step_requested", "case.parked", "case.ended"]


class NewWebhook(Asked):
    """A front-end that wants to be told."""

    url: Annotated[
        str,
        StringConstraints(min_length=8, max_length=500, pattern=r"^https?://[\x21-\x7e]+$"),
        Field(description="Where news are sent by POST: https, and a host that the platform's settings name."),
    ]
    news: list[NewsName] = Field(default=[], max_length=4, description="What it is told; empty for everything.")
    matters: list[Annotated[str, StringConstraints(pattern=_MATTER)]] = Field(
        default=[], max_length=100, description="Codes of matters; empty for all.", examples=[["birth"]]
    )


class Replay(Asked):
    """From when on everything is told again."""

    since: Annotated[
        str,
        StringConstraints(max_length=40),
        Field(description="RFC 3339; news from this moment on.", examples=["2026-11-23T00:00:00Z"]),
    ]


class Webhook(Shape):
    """Where news go."""

    webhook_id: str = Field(description="UUID.")
    url: str
    news: list[str] = Field(description="What it is told; empty for everything.")
    matters: list[str] = Field(description="Codes of matters; empty for all.")
    created: Moment
    paused: Moment | None = Field(description="Since when it is told nothing; what happens meanwhile waits for it.")
    pause_reason: str = Field(description="`OPERATOR`, or `DELIVERIES_FAILED`: two days without success.")


class WebhookWithSecret(Webhook):
    """The same with the secret, which is shown once."""

    secret: str = Field(
        description="Verifies signatures (Standard Webhooks, `whsec_` and base64). Keep it; it is not shown again."
    )


class Webhooks(Shape):
    """Every webhook."""

    webhooks: list[Webhook]


class Delivery(Shape):
    """One piece of news for one webhook."""

    delivery_id: str = Field(description="`webhook-id` of every attempt: repeats are known by it.")
    news: str = Field(examples=["case.ended"])
    case_id: str
    state: str = Field(description="`waiting`, `done` or `failed`.")
    attempts: int
    status: int = Field(description="HTTP status of the last attempt; 0 where there was no answer.")
    created: Moment
    due: Moment = Field(description="When the next attempt is made, while it is waiting.")
    settled: Moment | None


class Deliveries(Shape):
    """A page of deliveries."""

    deliveries: list[Delivery]
    next_page_token: str = Field(description="Empty on the last page.")


class Replayed(Shape):
    """What a replay asked for."""

    deliveries: int = Field(description="How many are told again, at most 10,000 at a time.")
