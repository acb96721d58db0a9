# SPDX-License-Identifier: Apache-2.0
"""A subscriber and a provider that publishes, over the use cases."""

from typing import Any

from services.exchange.domain.subscriptions import Notice, Subscription
from services.exchange.service.change_stream import ChangeStream
from services.exchange.service.subscriptions import CreateSubscription, PublishChanges, WatchSubjects
from services.kit.caller import Caller, CallerKind
from services.kit.ids import new_id
from tests.support.exchange_calls import CallsWorld, person
from tests.support.exchange_world import HOSPITAL_CALLER, HOUSEHOLD, POLICE, asking

PROVIDER = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.provide"}), agency=POLICE)


async def publish(world: CallsWorld, *people: int, fields: tuple[str, ...] = ("address",), **changes: Any) -> int:
    command = PublishChanges(new_id(), HOUSEHOLD, tuple(Notice(person(at), fields) for at in people))
    with asking(PROVIDER):
        return await world.subscriptions.publish(command, changes.get("caller", PROVIDER))


async def subscribed(world: CallsWorld, *people: int, with_values: bool = True) -> Subscription:
    command = CreateSubscription(new_id(), HOUSEHOLD, "birth", (), with_values)
    with asking():
        made = await world.subscriptions.create(command, HOSPITAL_CALLER)
        watching = WatchSubjects(made.subscription_id, tuple(person(at) for at in people), ())
        return (await world.subscriptions.watch(watching, HOSPITAL_CALLER))[0]


async def opened(world: CallsWorld, subscription: Subscription) -> ChangeStream:
    return await world.streams.open(subscription.subscription_id, HOSPITAL_CALLER)
