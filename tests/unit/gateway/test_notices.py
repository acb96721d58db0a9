# SPDX-License-Identifier: Apache-2.0
"""Notices on a real store: shown, read, sent once by each channel, tried again, and never twice where nobody knows."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.gateway.console.routes import console_routes
from services.gateway.console.store import TraceStore
from services.gateway.domain.contacts import Channel
from services.gateway.domain.notices import LEASE, WAITS, Message, NoticeNotFound, Outcome, PostState
from services.gateway.rest.limits import Buckets, Limits
from services.gateway.service.notices import SANDBOX_MESSAGES_MAX, PostDesk, SandboxSender
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import RightMissing
from tests.support.gateway_door import MOTHER as MOTHER_DOOR
from tests.support.gateway_door import doorway
from tests.support.gateway_fake import FakeGateway, FakeVerifier
from tests.support.gateway_matters import CASE, MOTHER
from tests.support.gateway_voices import URL, Hall, hall
from tests.support.gateway_world import NEIGHBOR, RESIDENT

BEARER = {"authorization": f"Bearer citizen:{MOTHER}"}
OPERATOR = {"authorization": "Bearer operator:op:gateway.notices,gateway.cases"}


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Hall]:
    async with hall(f"sqlite:///{tmp_path}/g.sqlite", tmp_path) as opened:
        yield opened


async def states(town: Hall) -> list[PostState]:
    return [post.state for post in await town.sent()]


async def test_a_notice_is_sent_once_by_each_verified_channel_and_says_nothing_personal(town: Hall) -> None:
    await town.verified(Channel.MAIL)
    await town.verified(Channel.SMS, "13800138000")
    for _ in range(2):
        await town.tell()
    assert [await town.posts.send_due(), await town.posts.send_due()] == [2, 0]
    (mail,), (sms,) = (town.senders[channel].got for channel in (Channel.MAIL, Channel.SMS))
    for sent in (mail, sms):
        assert "r-1" in sent.body
        assert f"{URL}/cases/{CASE}" in sent.body
        assert "出生登记已办结" not in sent.body + sent.subject
    assert (mail.address, sms.address) == ("wang@example.cn", "13800138000")
    assert await states(town) == [PostState.SENT] * 2


async def test_whoever_has_verified_nothing_is_sent_nothing_and_reads_it_all_the_same(town: Hall) -> None:
    await town.tell()
    assert await town.posts.send_due() == 0
    with acting_as(RESIDENT):
        page, unread = await town.voices.notices.list(unread=False, page_size=50, page_token="")
    assert ([each.text.zh for each in page.rows], unread) == (["出生登记已办结"], 1)


async def test_a_channel_that_is_away_is_tried_again_with_growing_waits_and_then_operators_are_told(town: Hall) -> None:
    await town.verified()
    sender = town.senders[Channel.MAIL]
    sender.outcomes = [Outcome.LATER]
    await town.tell()
    await town.posts.send_due()
    for wait in WAITS:
        town.clock.forward(seconds=wait.total_seconds() - 1)
        assert await town.posts.send_due() == 0
        town.clock.forward(seconds=1)
        assert await town.posts.send_due() == 1
    assert len({each.message_id for each in sender.got}) == 1
    assert len(sender.got) == len(WAITS) + 1
    with acting_as(Caller(CallerKind.OPERATOR, "op", frozenset({"gateway.notices"}))):
        page = await town.voices.notices.posts(state=PostState.FAILED, page_size=50, page_token="")
    assert [(post.problem, post.attempts) for post in page.rows] == [("STUB", len(WAITS) + 1)]


@pytest.mark.parametrize(
    ("outcome", "state"), [(Outcome.REFUSED, PostState.FAILED), (Outcome.UNSURE, PostState.UNSURE)]
)
async def test_what_is_refused_or_may_have_gone_is_not_sent_again(
    town: Hall, outcome: Outcome, state: PostState
) -> None:
    await town.verified()
    town.senders[Channel.MAIL].outcomes = [outcome]
    await town.tell()
    await town.posts.send_due()
    town.clock.forward(days=30)
    assert await town.posts.send_due() == 0
    assert await states(town) == [state]


async def test_what_a_killed_sender_had_in_hand_is_not_sent_again_and_counts_as_unsure(town: Hall) -> None:
    await town.verified()
    await town.tell()
    async with town.store.transaction() as tx:
        assert len(await tx.take_posts(town.clock(), 10)) == 1
    assert await town.posts.send_due() == 0
    town.clock.forward(seconds=LEASE.total_seconds())
    assert await town.posts.send_due() == 0
    (post,) = await town.sent()
    assert (post.state, post.problem) == (PostState.UNSURE, "SENDER_GONE")
    assert town.senders[Channel.MAIL].got == []


async def test_what_waits_is_not_sent_to_an_address_that_was_taken_back(town: Hall) -> None:
    await town.verified()
    await town.tell()
    with acting_as(RESIDENT):
        await town.voices.contacts.delete(Channel.MAIL)
    await town.posts.send_due()
    assert town.senders[Channel.MAIL].got == []
    assert [post.problem for post in await town.sent()] == ["CONTACT_GONE"]


async def test_a_notice_is_read_once_and_only_by_its_owner(town: Hall) -> None:
    await town.tell()
    with acting_as(RESIDENT):
        page, _ = await town.voices.notices.list(unread=True, page_size=50, page_token="")
        (notice,) = page.rows
        first = await town.voices.notices.read(notice.notice_id)
        town.clock.forward(hours=1)
        assert (await town.voices.notices.read(notice.notice_id)).read == first.read
        page, unread = await town.voices.notices.list(unread=True, page_size=50, page_token="")
        assert (page.rows, unread) == ((), 0)
    with acting_as(NEIGHBOR), pytest.raises(NoticeNotFound):
        await town.voices.notices.read(notice.notice_id)


async def test_only_operators_with_the_right_see_how_notices_go(town: Hall) -> None:
    with acting_as(Caller(CallerKind.OPERATOR, "x", frozenset({"gateway.cases"}))), pytest.raises(RightMissing):
        await town.voices.notices.posts(state=None, page_size=1, page_token="")


async def test_the_rest_door_pages_marks_and_counts(town: Hall) -> None:
    await town.verified()
    for number in range(3):
        await town.tell(f"told-{number}")
        town.clock.forward(seconds=1)
    await town.posts.send_due()
    async with doorway(voices=town.voices) as door:
        first = await door.client.get("/api/v1/notices", params={"page_size": 2}, headers=BEARER)
        body = first.json()
        assert (len(body["notices"]), body["unread"]) == (2, 3)
        assert body["notices"][0]["posts"] == [
            {"channel": "mail", "state": "sent", "attempts": 1, "settled": "2026-11-23T02:00:03.000Z"}
        ]
        assert 'rel="next"' in first.headers["link"]
        rest = await door.client.get(
            "/api/v1/notices", params={"page_size": 2, "page_token": body["next_page_token"]}, headers=BEARER
        )
        assert [len(rest.json()["notices"]), rest.json()["next_page_token"]] == [1, ""]
        one = body["notices"][1]
        until = await door.client.post("/api/v1/notices/read", json={"until": one["created"]}, headers=BEARER)
        assert until.json() == {"marked": 2}
        newest = f"/api/v1/notices/{body['notices'][0]['notice_id']}/read"
        assert (await door.client.post(newest, headers=MOTHER_DOOR)).status_code == 404
        assert (await door.client.post(newest, headers=BEARER)).json()["read"] == "2026-11-23T02:00:03.000Z"
        wrong = await door.client.post("/api/v1/notices/read", json={"until": "now"}, headers=BEARER)
        assert (wrong.status_code, wrong.json()["violations"][0]["field"]) == (400, "until")
        posts = await door.client.get("/api/v1/posts", params={"state": "sent"}, headers=OPERATOR)
        assert len(posts.json()["posts"]) == 3
        assert "example.cn" not in posts.text
        assert (await door.client.get("/api/v1/posts", headers=BEARER)).status_code == 403


async def test_a_sandbox_sends_to_nobody_and_its_console_says_so(town: Hall) -> None:
    await town.verified(Channel.SMS, "13800138000")
    senders = {Channel.SMS: SandboxSender(town.store, Channel.SMS, town.world.engine)}
    posts = PostDesk(town.store, town.world.engine, senders, public_url=URL, poll_seconds=1)
    await town.tell()
    assert await posts.send_due() == 1
    gateway = FakeGateway()
    async with TraceStore.open() as traces:
        attempts = Buckets(Limits(per_second=1, burst=10))
        routes = console_routes(gateway, FakeVerifier(), traces, attempts, sandbox=True, outbox=town.voices.notices)
        async with doorway(gateway=gateway, console=routes, voices=town.voices) as door:
            page = await door.client.get("/console/outbox", headers=OPERATOR)
            assert "没有发给任何人" in page.text
            assert "13800138000" in page.text
            english = await door.client.get("/console/outbox", params={"lang": "en"}, headers=OPERATOR)
            assert "sent to nobody" in english.text
            less = {"authorization": "Bearer operator:op:gateway.cases"}
            assert (await door.client.get("/console/outbox", headers=less)).status_code == 403


async def test_the_outbox_of_a_sandbox_is_bounded(town: Hall) -> None:
    sender = SandboxSender(town.store, Channel.SMS, town.world.engine)
    message = await _message(town)
    async with town.store.transaction() as tx:
        for number in range(5):
            town.clock.forward(seconds=1)
            await tx.add_sandbox_message(Channel.SMS, replace(message, message_id=f"m-{number}"), town.clock(), 3)
    await sender.send(message)
    assert len(await town.store.sandbox_messages(SANDBOX_MESSAGES_MAX)) == 4


async def _message(town: Hall) -> Message:
    await town.verified()
    await town.tell()
    await town.posts.send_due()
    return town.senders[Channel.MAIL].got[0]
