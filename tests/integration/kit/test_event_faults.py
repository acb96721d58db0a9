# SPDX-License-Identifier: Apache-2.0
import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.cli.postgres import Postgres
from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import Unavailable
from services.kit.eventlog import Record, open_eventlog
from services.kit.ledger import Access
from services.kit.outbox import Relay
from tests.support.eventually import beside, eventually
from tests.support.hearing import TOPIC, hearing
from tests.support.kafka import Broker
from tests.support.probe import opened
from tests.support.profiles import Profile


async def test_two_consumers_share_the_partitions_and_one_takes_over(profile: Profile) -> None:
    async with hearing(profile) as service:
        one, two = service.consumer("1"), service.consumer("2")
        async with beside(service.relay().run()), beside(one.run()):
            await one.joined()
            every = one.places
            async with beside(two.run()):
                await eventually(lambda: bool(two.places) and one.places | two.places == every, 40)
                assert not one.places & two.places
                assert abs(len(one.places) - len(two.places)) <= 1
                for number in range(1, 21):
                    await service.tell(*((f"k{key}", number) for key in range(12)))

                async def all_handled() -> bool:
                    return len(await service.store.effects()) == 240

                await eventually(all_handled, 40)
            await service.tell(*((f"k{key}", 21) for key in range(12)))

            async def the_rest_handled() -> bool:
                return len(await service.store.effects()) == 252

            await eventually(the_rest_handled, 60)
            assert one.places == every
        for key in range(12):
            assert await service.effects_of(f"k{key}") == list(range(1, 22))


async def test_a_consumer_that_restarts_goes_on_where_it_was(profile: Profile) -> None:
    async with hearing(profile) as service, beside(service.relay().run()):
        for turn in range(3):
            consumer = service.consumer()
            async with beside(consumer.run()):
                await service.tell(*((f"k{key}", turn) for key in range(10)))

                async def handled(turn: int = turn) -> bool:
                    return len(await service.store.effects()) == 10 * (turn + 1)

                await eventually(handled, 40)
        assert all(tries <= 2 for tries in service.tries.values())


async def test_a_message_in_hand_is_finished_when_the_consumer_stops(profile: Profile) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow(key: str, number: int, tries: int) -> None:
        begun.set()
        await finish.wait()

    async with hearing(profile) as service, beside(service.relay().run()):
        service.trouble = slow
        consumer = service.consumer()
        async with beside(consumer.run()) as running:
            await service.tell(("a", 1))
            await begun.wait()
            running.cancel()
            asyncio.get_running_loop().call_later(0.2, finish.set)
        assert await service.store.effects() == [("a", 1)]
        service.trouble = None
        async with beside(service.consumer().run()):
            await service.tell(("a", 2))

            async def handled() -> bool:
                return await service.effects_of("a") == [1, 2]

            await eventually(handled, 40)
        assert service.tries["a", 1] == 1


async def test_a_second_relay_waits_and_takes_over(profile: Profile) -> None:
    async with (
        hearing(profile) as service,
        opened(await profile.database(), profile.folder / "keys") as store,
        open_eventlog(profile.events) as log,
    ):
        first, second = service.relay(), Relay(store, log)
        async with beside(service.consumer().run()), beside(second.run()):
            async with beside(first.run()):
                await eventually(lambda: first.leads or second.leads)
                await asyncio.sleep(0.3)
                assert first.leads != second.leads
                await service.tell(*(("a", number) for number in range(10)))
            await eventually(lambda: second.leads)
            await service.tell(*(("a", number) for number in range(10, 20)))

            async def handled() -> bool:
                return await service.effects_of("a") == list(range(20))

            await eventually(handled)


async def test_the_broker_is_killed_and_comes_back_and_everything_goes_on(full: Profile, kafka: Broker) -> None:
    async with hearing(full) as service:
        consumer = service.consumer()
        async with beside(service.relay().run()), beside(consumer.run()):
            await consumer.joined()
            await service.tell(*((f"k{key}", 1) for key in range(10)))

            async def handled(turns: int) -> bool:
                return len(await service.store.effects()) == 10 * turns

            await eventually(lambda: handled(1))
            await asyncio.to_thread(kafka.kill)
            await service.tell(*((f"k{key}", 2) for key in range(10)))
            await asyncio.sleep(5)
            with pytest.raises(Unavailable):
                await service.log.ready()
            await service.tell(*((f"k{key}", 3) for key in range(10)))
            await asyncio.to_thread(kafka.start)
            await eventually(lambda: handled(3), 90)
            await service.tell(*((f"k{key}", 4) for key in range(10)))
            await eventually(lambda: handled(4), 60)
        for key in range(10):
            assert await service.effects_of(f"k{key}") == [1, 2, 3, 4]


async def test_a_service_starts_while_the_broker_is_away(full: Profile, kafka: Broker) -> None:
    kafka.kill()
    try:
        async with open_eventlog(full.events) as log:
            with pytest.raises(Unavailable):
                await log.ensure_topics(["tongban.probe.events.v1"])
    finally:
        kafka.start()


async def test_the_database_goes_away_and_comes_back_and_everything_goes_on(full: Profile, postgres: Postgres) -> None:
    caller = Caller(kind=CallerKind.SERVICE, id="probe")
    async with hearing(full) as service:
        consumer = service.consumer()
        async with beside(service.relay().run()), beside(consumer.run()):
            await consumer.joined()
            await service.tell(("a", 1), ("b", 1))

            async def handled(turns: int) -> bool:
                return len(await service.store.effects()) == 2 * turns

            await eventually(lambda: handled(1))
            await service.log.send([])
            postgres.stop()
            with pytest.raises(Unavailable):
                await service.tell(("a", 2), ("b", 2))
            with acting_as(caller), pytest.raises(Unavailable):
                await service.store.ledger.append(Access("verify", "s1", "birth", "law"))
            await asyncio.sleep(2)
            Postgres.start(postgres.folder)
            await service.tell(("a", 2), ("b", 2))
            await eventually(lambda: handled(2), 60)
            with acting_as(caller):
                await service.store.ledger.append(Access("verify", "s1", "birth", "law"))
        assert await service.effects_of("a") == [1, 2]


async def test_a_connection_that_held_the_lead_is_cut_and_the_lead_is_won_again(full: Profile) -> None:
    async with hearing(full) as service:
        relay = service.relay()
        async with beside(relay.run()), beside(service.consumer().run()):
            await eventually(lambda: relay.leads)
            async with service.store.reading() as connection:
                await connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            await service.tell(("a", 1))

            async def handled() -> bool:
                return await service.effects_of("a") == [1]

            await eventually(handled)


async def test_everybody_hears_what_is_told_from_now_on_without_a_group(profile: Profile) -> None:
    async with hearing(profile) as service, beside(service.relay().run()):
        await service.tell(("a", 1))
        async with service.log.tail([TOPIC]) as one, service.log.tail([TOPIC]) as two:
            heard: dict[str, list[str]] = {"one": [], "two": []}

            async def follow(name: str, records: AsyncIterator[Record]) -> None:
                async for record in records:
                    heard[name].append(record.key)

            async with beside(follow("one", one)), beside(follow("two", two)):
                await service.tell(("b", 1), ("c", 1))
                await eventually(lambda: all(sorted(keys)[-2:] == ["b", "c"] for keys in heard.values()))


async def test_an_embedded_log_is_shared_by_processes_and_survives_a_kill(tmp_path: Path) -> None:
    """Another process sends and is killed right after its send has returned: nothing acknowledged is lost."""
    url = f"sqlite:///{tmp_path}/events.sqlite"
    program = (
        "import asyncio, os, signal\n"
        "from services.kit.eventlog import Record, open_eventlog\n"
        "async def main():\n"
        f"    async with open_eventlog({url!r}) as log:\n"
        "        for number in range(1000):\n"
        "            await log.send([Record('t', 'k', str(number).encode())])\n"
        "            print(number, flush=True)\n"
        "asyncio.run(main())\n"
    )

    async with open_eventlog(url) as log:
        await log.ensure_topics(["t"])
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        got: list[int] = []
        async with log.tail(["t"]) as records:

            async def follow() -> None:
                async for record in records:
                    got.append(int(record.value))  # noqa: PERF401 - one at a time, as they come

            async with beside(follow()):
                for _ in range(50):
                    last = int(await process.stdout.readline())
                process.kill()
                rest = (await process.stdout.read()).split()
                last = int(rest[-1]) if rest else last
                await process.wait()
                await eventually(lambda: bool(got) and got[-1] >= last)
        assert got == list(range(got[0], got[0] + len(got)))
