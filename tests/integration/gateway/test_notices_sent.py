# SPDX-License-Identifier: Apache-2.0
"""Mail by SMTP to a real server, and the posts of two processes on one database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.gateway.clients import MailSender, MailServer
from services.gateway.domain.contacts import Channel
from services.gateway.domain.notices import Message, Outcome, PostState
from services.gateway.service.notices import PostDesk
from tests.support.gateway_matters import NOW
from tests.support.gateway_voices import URL, Hall, StubSender, hall
from tests.support.smtp import Mailbox, Served, smtp_server

MESSAGE = Message(
    "6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52", "wang@example.cn", "通办：“出生”有新通知", "您好：\n\n.请看\n"
)


@pytest.fixture
async def town(database: str, tmp_path: Path) -> AsyncIterator[Hall]:
    async with hall(database, tmp_path) as opened:
        yield opened


def sender(served: Served) -> MailSender:
    server = MailServer("localhost", served.port, "tongban@example.cn", context=served.context)
    return MailSender(server, clock=lambda: NOW)


async def test_mail_goes_over_tls_and_says_that_a_machine_sent_it() -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox) as served:
        assert await sender(served).send(MESSAGE) == (Outcome.SENT, "")
    (letter,) = mailbox.got
    assert mailbox.encrypted == [True]
    assert (letter["to"], letter["subject"]) == ("wang@example.cn", MESSAGE.subject)
    assert letter["message-id"] == f"<{MESSAGE.message_id}@example.cn>"
    assert letter["auto-submitted"] == "auto-generated"
    assert letter.get_content().replace("\r\n", "\n") == MESSAGE.body


async def test_no_mail_goes_where_there_is_no_tls() -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox, tls=False) as served:
        assert await sender(served).send(MESSAGE) == (Outcome.LATER, "STARTTLS_MISSING")
    assert mailbox.got == []


async def test_no_mail_goes_to_a_server_that_nobody_vouches_for() -> None:
    mailbox, other = Mailbox(), Mailbox()
    with smtp_server(mailbox) as served, smtp_server(other) as stranger:
        assert await sender(replace(served, port=stranger.port)).send(MESSAGE) == (Outcome.LATER, "TLS")
    assert other.got == []


@pytest.mark.parametrize(
    ("mailbox", "ended"),
    [
        (Mailbox(rcpt="550 No such user"), (Outcome.REFUSED, "SMTP_550")),
        (Mailbox(rcpt="450 Busy"), (Outcome.LATER, "SMTP_450")),
        (Mailbox(data="451 Later"), (Outcome.LATER, "SMTP_451")),
        (Mailbox(data="554 Not this"), (Outcome.REFUSED, "SMTP_554")),
        (Mailbox(drop=True), (Outcome.UNSURE, "ANSWER_LOST")),
    ],
)
async def test_what_the_server_says_decides_whether_it_is_tried_again(
    mailbox: Mailbox, ended: tuple[Outcome, str]
) -> None:
    with smtp_server(mailbox) as served:
        assert await sender(served).send(MESSAGE) == ended


async def test_a_server_that_is_away_is_tried_again() -> None:
    with smtp_server(Mailbox()) as served:
        gone = served
    assert await sender(gone).send(MESSAGE) == (Outcome.LATER, "CONNECTION")


async def test_two_processes_send_each_notice_once(town: Hall) -> None:
    await town.verified()
    for number in range(12):
        await town.tell(f"told-{number}")
    both = StubSender()
    desks = [
        PostDesk(town.store, town.world.engine, {Channel.MAIL: both}, public_url=URL, poll_seconds=1) for _ in range(2)
    ]
    while sum(await asyncio.gather(*(desk.send_due() for desk in desks))):
        pass
    assert len({each.message_id for each in both.got}) == len(both.got) == 12
    assert {post.state for post in await town.sent()} == {PostState.SENT}
