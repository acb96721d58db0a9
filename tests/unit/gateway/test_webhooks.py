# SPDX-License-Identifier: Apache-2.0
"""Webhooks on a real store: told once each, signed, told again until they answer, paused, replayed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.gateway.domain.history import CaseOpened
from services.gateway.domain.webhooks import WAITS, DeliveryState, News, WebhookUrlRefused, check_url, shown_secret
from services.gateway.events import to_wire
from services.gateway.service.webhooks import LOOK, AddWebhook, WebhookDesk
from services.gateway.store import SqlGatewayStore
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import RightMissing
from tests.support.gateway_desks import Receiver, verified
from tests.support.gateway_door import MOTHER, doorway
from tests.support.gateway_matters import CASE, NOW, plan_of, step
from tests.support.gateway_world import MovingClock
from tests.support.probe import resources

URL = "https://front.example.cn/news"
OPERATOR = Caller(CallerKind.OPERATOR, "op", frozenset({"gateway.webhooks"}))
BEARER = {"authorization": "Bearer operator:op:gateway.webhooks"}


class Town:
    """A desk on a store that has one case."""

    def __init__(self, store: SqlGatewayStore, clock: MovingClock) -> None:
        self.store = store
        self.clock = clock
        self.desk = WebhookDesk(store, clock=clock, hosts=("front.example.cn",), poll_seconds=0.05)

    async def tell(self, news: News = News.SUBMITTED, event: str = "e-1") -> None:
        self.clock.forward(seconds=LOOK.total_seconds())
        await self.desk.tell(news, CASE, "", event_id=event, at=NOW)

    async def send(self, receiver: Receiver) -> int:
        async with receiver.client() as client:
            return await self.desk.send_due(client)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    clock = MovingClock()
    given = resources(f"sqlite:///{tmp_path}/g.sqlite", tmp_path, clock)
    async with SqlGatewayStore.open(given, encode=to_wire) as store:
        plan = plan_of(step("a"))
        async with store.transaction() as tx:
            await tx.open_case(CASE, plan, CaseOpened(NOW, "r-1", "sample", plan.digest, "a", {}))
        with acting_as(OPERATOR):
            yield Town(store, clock)


async def add(town: Town, key: str = "k", news: tuple[News, ...] = (), matters: tuple[str, ...] = ()) -> str:
    return (await town.desk.add(AddWebhook(URL, news, matters, key))).webhook_id


async def states(town: Town, webhook_id: str) -> list[DeliveryState]:
    page = await town.desk.deliveries(webhook_id, state=None, page_size=50, page_token="")
    return [each.state for each in page.rows]


async def test_news_go_once_signed_and_without_anything_personal(town: Town) -> None:
    hook = await town.desk.add(AddWebhook(URL, (), (), "k"))
    for _ in range(2):  # told twice by the bus
        await town.tell()
    receiver = Receiver()
    assert [await town.send(receiver), await town.send(receiver)] == [1, 0]
    assert verified(receiver.got[0], shown_secret(hook.secret))
    assert receiver.bodies() == [
        {
            "type": "case.submitted",
            "timestamp": "2026-11-23T02:00:00.000Z",
            "data": {"case_id": CASE, "receipt": "r-1", "matter": "sample", "status": "draft"},
        }
    ]
    assert await states(town, hook.webhook_id) == [DeliveryState.DONE]


async def test_only_what_is_wanted_is_told(town: Town) -> None:
    ended = await add(town, "a", news=(News.ENDED,))
    other = await add(town, "b", matters=("birth",))
    await town.tell(News.SUBMITTED, "e-1")
    await town.tell(News.ENDED, "e-2")
    assert (len(await states(town, ended)), len(await states(town, other))) == (1, 0)


@pytest.mark.parametrize("status", [0, 302, 404, 500])
async def test_whoever_does_not_take_it_is_told_again_with_growing_waits(town: Town, status: int) -> None:
    await add(town)
    await town.tell()
    receiver = Receiver(status)
    await town.send(receiver)
    for wait in WAITS:
        town.clock.now += wait - timedelta(seconds=1)
        assert await town.send(receiver) == 0
        town.clock.forward(seconds=1)
        assert await town.send(receiver) == 1
    assert len({each.headers["webhook-id"] for each in receiver.got}) == 1
    assert len(receiver.got) == len(WAITS) + 1


async def test_after_the_last_attempt_the_hook_is_paused_and_a_replay_tells_it_everything(town: Town) -> None:
    webhook_id = await add(town)
    await town.tell()
    down = Receiver(500)
    for wait in (timedelta(0), *WAITS):
        town.clock.now += wait
        await town.send(down)
    assert await states(town, webhook_id) == [DeliveryState.FAILED]
    (hook,) = await town.desk.list()
    assert (hook.paused, hook.pause_reason) == (town.clock.now, "DELIVERIES_FAILED")
    await town.tell(News.ENDED, "e-2")
    up = Receiver()
    assert await town.send(up) == 0
    await town.desk.resume(webhook_id)
    assert [await town.desk.replay(webhook_id, NOW, "r"), await town.desk.replay(webhook_id, NOW, "r")] == [1, 0]
    assert await town.send(up) == 2
    assert {each["type"] for each in up.bodies()} == {"case.submitted", "case.ended"}


async def test_an_attempt_whose_sender_was_killed_is_made_by_another(town: Town) -> None:
    await add(town)
    await town.tell()
    async with town.store.transaction() as tx:
        assert len(await tx.take_deliveries(town.clock(), 10)) == 1
    receiver = Receiver()
    assert await town.send(receiver) == 0
    town.clock.forward(seconds=60)
    assert await town.send(receiver) == 1


async def test_for_a_day_both_secrets_sign(town: Town) -> None:
    before = await town.desk.add(AddWebhook(URL, (), (), "k"))
    after = await town.desk.rotate(before.webhook_id, "r")
    assert (await town.desk.rotate(before.webhook_id, "r")).secret == after.secret != before.secret
    receiver = Receiver()
    await town.tell()
    await town.send(receiver)
    town.clock.forward(hours=25)
    await town.tell(event="e-2")
    await town.send(receiver)
    kept = [[verified(each, shown_secret(one.secret)) for one in (before, after)] for each in receiver.got]
    assert kept == [[True, True], [False, True]]


@pytest.mark.parametrize(
    "url",
    [
        "http://front.example.cn/",
        "https://elsewhere.example.cn/",
        "https://front.example.cn.evil.cn/",
        "https://u:p@front.example.cn/",
        "https://front.example.cn:99999/",
        "https://169.254.169.254/",
        "ftp://front.example.cn/",
    ],
)
def test_no_other_host_is_knocked_at(url: str) -> None:
    with pytest.raises(WebhookUrlRefused):
        check_url(url, ("front.example.cn",))


async def test_only_operators_with_the_right_come_here(town: Town) -> None:
    with acting_as(Caller(CallerKind.OPERATOR, "x", frozenset({"gateway.cases"}))), pytest.raises(RightMissing):
        await town.desk.list()


async def test_the_rest_door_shows_the_secret_once(town: Town) -> None:
    async with doorway(webhooks=town.desk) as door:
        body = {"url": URL, "news": ["case.ended"]}
        made = await door.client.post("/api/v1/webhooks", json=body, headers={**BEARER, "idempotency-key": "k"})
        assert made.status_code == 201
        assert made.json()["secret"].startswith("whsec_")
        again = await door.client.post("/api/v1/webhooks", json=body, headers={**BEARER, "idempotency-key": "k"})
        assert again.json() == made.json()
        listed = await door.client.get("/api/v1/webhooks", headers=BEARER)
        assert "secret" not in listed.text
        one = f"/api/v1/webhooks/{made.json()['webhook_id']}"
        await town.tell(News.ENDED)
        page = (await door.client.get(f"{one}/deliveries", headers=BEARER)).json()
        assert [each["state"] for each in page["deliveries"]] == ["waiting"]
        told = await door.client.post(
            f"{one}/replay", json={"since": "yesterday"}, headers={**BEARER, "idempotency-key": "x"}
        )
        assert (told.status_code, told.json()["violations"][0]["field"]) == (400, "since")
        assert (await door.client.get("/api/v1/webhooks", headers=MOTHER)).status_code == 403
        assert (await door.client.delete(one, headers=BEARER)).status_code == 204
        assert (await door.client.get(f"{one}/deliveries", headers=BEARER)).status_code == 404
        foreign = {"url": "https://elsewhere.example.cn/"}
        refused = await door.client.post("/api/v1/webhooks", json=foreign, headers={**BEARER, "idempotency-key": "y"})
        assert (refused.status_code, refused.json()["reason"]) == (409, "WEBHOOK_URL_REFUSED")
