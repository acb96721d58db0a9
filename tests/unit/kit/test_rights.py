# SPDX-License-Identifier: Apache-2.0
import asyncio

import pytest

from services.kit.errors import Unavailable
from services.kit.rights import AgencyNotActive, RightsSource, Standing


class Source:
    def __init__(self) -> None:
        self.standing = Standing(active=True, rights=frozenset({"a.b"}))
        self.asked = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, _: str) -> Standing:
        self.asked += 1
        standing = self.standing
        await self.gate.wait()
        if self.away:
            raise Unavailable("away")
        return standing


async def test_rights_are_asked_once_within_their_age() -> None:
    source = Source()
    rights = RightsSource(source.fetch)
    assert await rights.rights_of("x") == {"a.b"}
    assert await rights.rights_of("x") == {"a.b"}
    assert source.asked == 1


async def test_rights_beyond_their_age_are_asked_again_and_never_guessed() -> None:
    source = Source()
    rights = RightsSource(source.fetch, seconds_max=0)
    await rights.rights_of("x")
    source.away = True
    with pytest.raises(Unavailable):
        await rights.rights_of("x")
    assert source.asked == 2


async def test_everybody_who_waits_gets_the_answer_of_one_question() -> None:
    source = Source()
    source.gate.clear()
    rights = RightsSource(source.fetch)
    waiting = [asyncio.create_task(rights.rights_of("x")) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    source.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [frozenset({"a.b"})] * 9
    assert source.asked == 1


async def test_an_answer_from_before_a_change_is_not_kept() -> None:
    source = Source()
    source.gate.clear()
    rights = RightsSource(source.fetch)
    early = asyncio.create_task(rights.rights_of("x"))
    await asyncio.sleep(0.01)
    source.standing = Standing(active=False)
    rights.forget("x")
    source.gate.set()
    await early
    with pytest.raises(AgencyNotActive):
        await rights.rights_of("x")
