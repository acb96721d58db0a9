# SPDX-License-Identifier: Apache-2.0
"""Contacts on a real store: an address counts once a code that was sent there was shown."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from services.gateway.domain.contacts import (
    CODE_TRIES,
    CODES_PER_DAY,
    Channel,
    ChannelNotOffered,
    CodeWrong,
    ContactNotFound,
    Language,
    TooManyCodes,
    check_address,
)
from services.gateway.domain.notices import Outcome
from services.gateway.service.contacts import ContactDesk, SetContact
from services.kit.caller import acting_as
from services.kit.errors import RequestIdReused, RequestInvalid, Unavailable
from tests.support.gateway_door import doorway
from tests.support.gateway_matters import MOTHER
from tests.support.gateway_voices import Hall, hall
from tests.support.gateway_world import NEIGHBOR, RESIDENT

BEARER = {"authorization": f"Bearer citizen:{MOTHER}"}
MAIL = "wang@example.cn"


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Hall]:
    async with hall(f"sqlite:///{tmp_path}/g.sqlite", tmp_path) as opened:
        with acting_as(RESIDENT):
            yield opened


def asked(key: str, address: str = MAIL, language: Language = Language.ZH) -> SetContact:
    return SetContact(Channel.MAIL, address, language, key)


def other(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


async def test_an_address_counts_once_its_code_was_shown(town: Hall) -> None:
    desk, sender = town.voices.contacts, town.senders[Channel.MAIL]
    assert (await desk.set(asked("k"))).verified is None
    await town.tell()
    assert await town.posts.send_due() == 0
    with pytest.raises(CodeWrong):
        await desk.confirm(Channel.MAIL, other(sender.code))
    assert (await desk.confirm(Channel.MAIL, sender.code)).verified == town.clock()
    assert (await desk.confirm(Channel.MAIL, sender.code)).verified == town.clock()


async def test_a_code_dies_with_its_time_with_too_many_tries_and_with_the_next_one(town: Hall) -> None:
    desk, sender = town.voices.contacts, town.senders[Channel.MAIL]
    await desk.set(asked("a"))
    old = sender.code
    town.clock.forward(minutes=10)
    with pytest.raises(CodeWrong):
        await desk.confirm(Channel.MAIL, old)
    await desk.set(asked("b"))
    for _ in range(CODE_TRIES):
        with pytest.raises(CodeWrong):
            await desk.confirm(Channel.MAIL, other(sender.code))
    with pytest.raises(CodeWrong):
        await desk.confirm(Channel.MAIL, sender.code)
    await desk.set(asked("c", "li@example.cn"))
    stale = sender.code
    await desk.set(asked("d"))
    if sender.code != stale:
        with pytest.raises(CodeWrong):
            await desk.confirm(Channel.MAIL, stale)
    assert (await desk.confirm(Channel.MAIL, sender.code)).verified


async def test_a_repeat_sends_no_second_code_and_one_that_failed_is_tried_again(town: Hall) -> None:
    desk, sender = town.voices.contacts, town.senders[Channel.MAIL]
    sender.outcomes = [Outcome.LATER, Outcome.SENT]
    with pytest.raises(Unavailable):
        await desk.set(asked("k"))
    for _ in range(2):
        await desk.set(asked("k"))
    assert len(sender.got) == 2
    with pytest.raises(RequestIdReused):
        await desk.set(asked("k", "li@example.cn"))
    sender.outcomes = [Outcome.REFUSED]
    with pytest.raises(RequestInvalid):
        await desk.set(asked("l", "nobody@example.cn"))


async def test_another_language_needs_no_code_another_address_does(town: Hall) -> None:
    desk, sender = town.voices.contacts, town.senders[Channel.MAIL]
    await town.verified(address=MAIL)
    assert (await desk.set(asked("b", language=Language.EN))).verified
    assert sender.got == []
    await town.tell()
    await town.posts.send_due()
    assert sender.got[0].subject.startswith("Tongban: a new notice")
    assert (await desk.set(asked("c", "li@example.cn"))).verified is None


async def test_nobody_is_flooded_with_codes(town: Hall) -> None:
    desk = town.voices.contacts
    for number in range(CODES_PER_DAY):
        await desk.set(asked(f"k-{number}"))
    with pytest.raises(TooManyCodes):
        await desk.set(asked("one more"))
    with acting_as(NEIGHBOR), pytest.raises(TooManyCodes):
        await desk.set(asked("by another"))
    town.clock.forward(days=1)
    await desk.set(asked("tomorrow"))
    await desk.forget_old()


async def test_addresses_are_sealed_and_codes_are_not_kept(town: Hall) -> None:
    await town.voices.contacts.set(asked("k"))
    async with town.store.reading() as connection:
        rows = (await connection.execute(text("SELECT * FROM contact"))).all()
        counts = (await connection.execute(text("SELECT * FROM contact_code_count"))).all()
    kept = repr(rows) + repr(counts)
    assert MAIL not in kept
    assert MOTHER not in repr(counts)
    assert town.senders[Channel.MAIL].code not in kept


async def test_what_is_not_offered_or_not_there_is_refused(town: Hall) -> None:
    with pytest.raises(ContactNotFound):
        await town.voices.contacts.confirm(Channel.SMS, "123456")
    with pytest.raises(ContactNotFound):
        await town.voices.contacts.delete(Channel.SMS)
    with pytest.raises(ChannelNotOffered):
        await ContactDesk(town.store, {}, clock=town.clock).set(asked("k"))


@pytest.mark.parametrize(
    ("channel", "address"),
    [(Channel.MAIL, "a@b.cn"), (Channel.MAIL, "a.b+c@mail.example.com"), (Channel.SMS, "13800138000")],
)
def test_what_can_be_an_address_is_taken(channel: Channel, address: str) -> None:
    check_address(channel, address)


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        (Channel.MAIL, "a@b"),
        (Channel.MAIL, "a b@c.cn"),
        (Channel.MAIL, "a@b.cn\r\nBcc: c@d.cn"),
        (Channel.MAIL, "a@-b.cn"),
        (Channel.SMS, "1380013800"),
        (Channel.SMS, "12800138000"),
        (Channel.SMS, "+8613800138000"),
    ],
)
def test_what_can_not_be_an_address_is_refused_without_being_repeated(channel: Channel, address: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        check_address(channel, address)
    assert address not in str(refused.value) + repr(refused.value.violations)


async def test_the_rest_door_shows_addresses_masked(town: Hall) -> None:
    async with doorway(voices=town.voices) as door:
        put = {"address": "13800138000", "language": "en"}
        key = {**BEARER, "idempotency-key": "k"}
        made = await door.client.put("/api/v1/contacts/sms", json=put, headers=key)
        assert (made.status_code, made.json()["address"], made.json()["verified"]) == (200, "138****8000", None)
        wrong = {"code": other(town.senders[Channel.SMS].code)}
        refused = await door.client.post("/api/v1/contacts/sms/confirm", json=wrong, headers=BEARER)
        assert (refused.status_code, refused.json()["reason"]) == (409, "CODE_WRONG")
        right = {"code": town.senders[Channel.SMS].code}
        counts = await door.client.post("/api/v1/contacts/sms/confirm", json=right, headers=BEARER)
        assert counts.json()["verified"] == "2026-11-23T02:00:00.000Z"
        listed = (await door.client.get("/api/v1/contacts", headers=BEARER)).json()
        assert (len(listed["contacts"]), listed["offered"]) == (1, ["mail", "sms"])
        assert (await door.client.delete("/api/v1/contacts/sms", headers=BEARER)).status_code == 204
        assert (await door.client.delete("/api/v1/contacts/sms", headers=BEARER)).status_code == 404
