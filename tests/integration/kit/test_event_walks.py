# SPDX-License-Identifier: Apache-2.0
"""Random walks: whatever is delivered twice, refused, broken or away, order per key and one effect each hold."""

import asyncio
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kit.consumer import worker
from services.kit.envelope import pack
from services.kit.errors import Refusal, Unavailable
from tests.support.eventually import beside, eventually
from tests.support.hearing import Hearing, hearing
from tests.support.profiles import Profile

Kind = str
KINDS = ("fine", "fine", "fine", "refused", "away twice", "broken twice", "broken")
walks = st.lists(
    st.tuples(st.sampled_from(("a", "b", "c")), st.sampled_from(KINDS), st.booleans()), min_size=1, max_size=19
)


class NotWanted(Refusal):
    pass


async def walk(folder: Path, plan: list[tuple[str, Kind, bool]], restart_at: int) -> None:
    numbers: Counter[str] = Counter()
    kinds: dict[tuple[str, int], Kind] = {}

    def trouble(key: str, number: int, tries: int) -> None:
        kind = kinds[key, number]
        if kind == "refused":
            raise NotWanted("Not wanted.")
        if kind == "away twice" and tries <= 2:
            raise Unavailable("Away.")
        if kind == "broken" or (kind == "broken twice" and tries <= 2):
            raise ZeroDivisionError

    async with AsyncExitStack() as stack:
        profile = Profile("embedded", folder, f"sqlite:///{folder}/events.sqlite", None, None, stack)
        service = await stack.enter_async_context(hearing(profile))
        service.trouble, service.wait_seconds = trouble, 0.001
        await stack.enter_async_context(beside(service.relay().run()))
        async with beside(service.consumer().run()):
            for at, (key, kind, twice) in enumerate(plan):
                numbers[key] += 1
                kinds[key, numbers[key]] = kind
                await service.tell((key, numbers[key]))
                if twice:
                    await send_again(service)
                if at == restart_at:
                    break
        async with beside(service.consumer().run()):
            for key, kind, _ in plan[restart_at + 1 :]:
                numbers[key] += 1
                kinds[key, numbers[key]] = kind
                await service.tell((key, numbers[key]))
            await eventually(lambda: settled(service, len(plan)))
        await check(service, numbers, kinds)


async def send_again(service: Hearing) -> None:
    """What the log has had already comes once more, as after a relay that died before it could forget."""
    for envelope, value in list(zip(service.envelopes, service.values, strict=True))[-3:]:
        await service.log.send([pack(envelope, value)])


async def settled(service: Hearing, told: int) -> bool:
    return len(await service.store.effects()) + await service.parked.count() == told


async def check(service: Hearing, numbers: Counter[str], kinds: dict[tuple[str, int], Kind]) -> None:
    parked = (await service.parked.list(page_size=500)).rows
    for key, last in numbers.items():
        effects = await service.effects_of(key)
        assert effects == sorted(set(effects)), "order per key, one effect each"
        first_broken = next((at for at in range(1, last + 1) if kinds[key, at] == "broken"), last + 1)
        wanted = [at for at in range(1, first_broken) if kinds[key, at] != "refused"]
        assert effects == wanted
        behind = [message for message in parked if message.key == key and message.blocking]
        assert len(behind) == last + 1 - first_broken
        assert [message.attempts for message in behind[:1]] in ([], [worker.TRIES])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=walks, restart_at=st.integers(0, 30))
def test_order_per_key_and_one_effect_hold_on_every_walk(plan: list[tuple[str, Kind, bool]], restart_at: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(walk(Path(folder), plan, restart_at))
