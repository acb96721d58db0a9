# SPDX-License-Identifier: Apache-2.0
import asyncio
import random
import time
from dataclasses import replace

import pytest
from sqlalchemy import select

from services.kit.caller import CallerKind, current_caller
from services.kit.envelope import Envelope, pack
from services.kit.errors import NotFound, Refusal, RequestInvalid, Unavailable
from services.kit.eventlog import Record
from services.kit.parked import BEHIND, BROKEN, UNDECODABLE
from services.kit.telemetry import current_traceparent
from tests.support.eventually import beside, eventually
from tests.support.hearing import TOPIC, Hearing, heard, hearing
from tests.support.probe import fact_of, step
from tests.support.profiles import Profile


class KeyNotWanted(Refusal):
    pass


async def test_facts_of_one_key_arrive_in_the_order_of_the_changes(profile: Profile) -> None:
    async with heard(profile) as service:
        numbers = {f"k{key}": 0 for key in range(20)}
        draw = random.Random(7)
        for _ in range(60):
            steps = []
            for _ in range(draw.randint(1, 5)):
                key = draw.choice(list(numbers))
                numbers[key] += 1
                steps.append((key, numbers[key]))
            await service.tell(*steps)

        async def all_there() -> bool:
            return len(await service.store.effects()) == sum(numbers.values())

        await eventually(all_there)
        for key, last in numbers.items():
            assert await service.effects_of(key) == list(range(1, last + 1))


async def test_a_handled_event_continues_the_trace_and_names_its_cause(profile: Profile) -> None:
    seen = []

    async def look(key: str, number: int, tries: int) -> None:
        caller = current_caller()
        seen.append((caller.kind, caller.id, current_traceparent()))

    async with heard(profile, look) as service:
        with service.telemetry.span("the change") as span:
            await service.tell(("a", 1))
        await eventually(lambda: len(seen) == 1)
        kind, name, traceparent = seen[0]
        assert (kind, name) == (CallerKind.SERVICE, "probe")
        assert f"{span.get_span_context().trace_id:032x}" in traceparent
        await eventually(lambda: any(each.name == "hear StepAnswered" for each in service.spans.get_finished_spans()))
        (hear,) = (each for each in service.spans.get_finished_spans() if each.name == "hear StepAnswered")
        assert hear.parent is not None
        assert hear.parent.span_id == span.get_span_context().span_id
        assert [link.context.span_id for link in hear.links] == [span.get_span_context().span_id]
        (envelope,) = service.envelopes
        assert envelope.source == "/tongban/probe"
        assert envelope.type == "tongban.events.v1.StepAnswered"
        assert envelope.subject == "a"
        assert envelope.topic == TOPIC


async def test_a_fact_recorded_while_handling_another_names_it_as_its_cause(profile: Profile) -> None:
    async with heard(profile) as service:
        service.tells_on = {("a", 1): ("b", 2)}
        async with service.store.transaction() as tx:
            await tx.record(replace(fact_of(step("a", 1)), correlation="case-7"))
        await eventually(lambda: len(service.envelopes) == 2)
        first, second = service.envelopes
        assert (first.causation, first.correlation) == ("", "case-7")
        assert (second.causation, second.correlation) == (first.event_id, "case-7")


async def test_a_batch_sent_twice_has_one_effect(profile: Profile) -> None:
    """The relay dies between the send and the delete: the next one sends the same again."""
    async with hearing(profile) as service:
        await service.tell(*((f"k{number % 3}", number) for number in range(30)))
        rows = await _outbox(service)
        await service.log.send(rows)  # the relay that died
        consumer = service.consumer()
        async with beside(service.relay().run()), beside(consumer.run()):

            async def handled_twice() -> bool:
                return sum(service.tries.values()) == 60

            await eventually(handled_twice)
        assert len(await service.store.effects()) == 30
        for key in range(3):
            assert await service.effects_of(f"k{key}") == list(range(key, 30, 3))
        assert await _outbox(service) == []


async def test_a_refusal_parks_the_message_with_its_reason_and_the_next_ones_flow(profile: Profile) -> None:
    def refuse(key: str, number: int, tries: int) -> None:
        if number == 2:
            raise KeyNotWanted("This number is not wanted.")

    async with heard(profile, refuse) as service:
        await service.tell(("a", 1), ("a", 2), ("a", 3))

        async def done() -> bool:
            return await service.effects_of("a") == [1, 3] and await service.parked.count() == 1

        await eventually(done)
        (message,) = (await service.parked.list()).rows
        assert (message.reason, message.detail, message.key) == (
            "KEY_NOT_WANTED",
            "This number is not wanted.",
            "a",
        )
        assert not message.blocking
        assert service.tries["a", 2] == 1


async def test_a_broken_handler_parks_its_key_while_others_flow_and_a_replay_keeps_the_order(profile: Profile) -> None:
    broken = {"a"}

    def break_down(key: str, number: int, tries: int) -> None:
        if key in broken:
            raise ZeroDivisionError("secret")

    async with heard(profile, break_down) as service:
        await service.tell(("a", 1), ("a", 2), ("b", 1), ("a", 3))

        async def parked() -> bool:
            return await service.parked.count() == 3

        await eventually(parked)
        await service.tell(("b", 2))

        async def others_flow() -> bool:
            return await service.effects_of("b") == [1, 2]

        await eventually(others_flow)
        assert service.tries["a", 1] == 5
        assert service.tries["a", 2] == 0
        first, second, third = (await service.parked.list(key="a")).rows
        assert [each.reason for each in (first, second, third)] == [BROKEN, BEHIND, BEHIND]
        assert "ZeroDivisionError" in first.detail
        assert "secret" not in first.detail

        await service.parked.replay(first.id)  # still broken: nothing overtakes

        async def tried_again() -> bool:
            return (await service.parked.show(first.id)).attempts == 6

        await eventually(tried_again)
        assert await service.effects_of("a") == []
        assert not (await service.parked.show(second.id)).replay

        broken.clear()
        await service.parked.replay(first.id)
        await service.tell(("a", 4))

        async def all_in_order() -> bool:
            return await service.effects_of("a") == [1, 2, 3, 4] and await service.parked.count() == 0

        await eventually(all_in_order)


async def test_a_dropped_message_needs_a_reason_and_lets_those_behind_it_go_on(profile: Profile) -> None:
    def break_first(key: str, number: int, tries: int) -> None:
        if number == 1:
            raise ZeroDivisionError

    async with heard(profile, break_first) as service:
        await service.tell(("a", 1), ("a", 2), ("a", 3))

        async def parked() -> bool:
            return await service.parked.count() == 3

        await eventually(parked)
        first = (await service.parked.list()).rows[0]
        with pytest.raises(RequestInvalid):
            await service.parked.drop(first.id, " ")
        await service.parked.drop(first.id, "The case was a test.")
        with pytest.raises(NotFound):
            await service.parked.show(first.id)

        async def rest_flows() -> bool:
            return await service.effects_of("a") == [2, 3] and await service.parked.count() == 0

        await eventually(rest_flows)
        await service.log.send([first.record])  # a late copy of what was given up
        await service.tell(("a", 4))

        async def only_the_new() -> bool:
            return await service.effects_of("a") == [2, 3, 4]

        await eventually(only_the_new)


async def test_a_poison_event_is_parked_at_once_and_stops_nobody(profile: Profile) -> None:
    async with heard(profile) as service:
        good = Envelope(
            event_id="poison-1",
            source="/tongban/probe",
            type="tongban.events.v1.StepAnswered",
            subject="a",
            occur_time=service.store.clock(),
            topic=TOPIC,
        )
        await service.log.send(
            [
                pack(good, b"\xff\xff\xff\xff not protobuf"),
                Record(topic=TOPIC, key="a", value=b"no envelope at all"),
                Record(topic=TOPIC, key="a", value=b"", headers=(("ce_id", b"\xff\xfe"),)),
                Record(topic=TOPIC, key="a\x00" * 300, value=b"\x00", headers=(("ce_id", b"\x00"),)),
                pack(replace(good, event_id="\x00", type="\x00" * 300, subject="\x00"), b""),
                pack(replace(good, event_id="poison\x00" * 100), b"\xff\xff\xff\xff"),
            ]
        )
        await service.tell(("a", 1))

        async def flows() -> bool:
            return await service.effects_of("a") == [1]

        await eventually(flows)
        assert [each.reason for each in (await service.parked.list()).rows] == [UNDECODABLE] * 5


async def test_facts_that_nobody_wants_are_skipped(profile: Profile) -> None:
    async with heard(profile) as service:
        fact = fact_of(step("a", 1))
        stranger = Envelope(
            event_id="s-1",
            source="/tongban/probe",
            type="tongban.future.v1.Unheard",
            subject="a",
            occur_time=service.store.clock(),
            topic=TOPIC,
        )
        await service.log.send([pack(stranger, fact.message.SerializeToString())])
        await service.tell(("a", 2))

        async def flows() -> bool:
            return await service.effects_of("a") == [2]

        await eventually(flows)
        assert await service.parked.count() == 0


async def test_what_is_unavailable_pauses_its_partition_and_loses_nothing(profile: Profile) -> None:
    away = True

    def wait(key: str, number: int, tries: int) -> None:
        if key == "a" and away:
            raise Unavailable("A peer does not answer.")

    async with heard(profile, wait) as service:
        others = [f"o{number}" for number in range(16)]
        await service.tell(("a", 1), ("a", 2), *((other, 1) for other in others))

        async def other_partitions_flow() -> bool:
            return len(await service.store.effects()) >= 8 and service.tries["a", 1] >= 4

        await eventually(other_partitions_flow)
        assert await service.effects_of("a") == []
        assert await service.parked.count() == 0
        away = False

        async def all_flow() -> bool:
            return len(await service.store.effects()) == 2 + len(others)

        await eventually(all_flow)
        assert await service.effects_of("a") == [1, 2]


async def test_too_many_parked_in_a_row_stop_the_consumer_until_one_goes_well(profile: Profile) -> None:
    refusing = True

    def refuse(key: str, number: int, tries: int) -> None:
        if refusing:
            raise KeyNotWanted("Not now.")

    async with hearing(profile) as service:
        service.trouble = refuse
        consumer = service.consumer()
        async with beside(service.relay().run()), beside(consumer.run()):
            await consumer.joined()
            await consumer.ready()
            await service.tell(*(("a", number) for number in range(30)))

            async def stopped() -> bool:
                try:
                    await consumer.ready()
                except Unavailable:
                    return True
                return False

            await eventually(stopped)
            await asyncio.sleep(0.2)  # nothing more may be parked meanwhile
            assert await service.parked.count() == 20
            refusing = False
            await service.parked.replay((await service.parked.list()).rows[0].id)

            async def goes_on() -> bool:
                return len(await service.store.effects()) == 11

            await eventually(goes_on)
            await consumer.ready()


async def test_a_message_is_handled_within_milliseconds_of_its_commit(profile: Profile) -> None:
    async with heard(profile) as service:
        waits = []
        for number in range(30):
            began = time.perf_counter()
            await service.tell(("a", number))
            await eventually(lambda number=number: service.tries["a", number] == 1)  # type: ignore[misc]
            waits.append(time.perf_counter() - began)
        assert sorted(waits)[len(waits) // 2] < 0.5  # far below the slow poll of a second


async def _outbox(service: Hearing) -> list[Record]:
    """What waits to be sent, as the relay would send it."""
    outbox = service.store.tables.outbox
    async with service.store.reading() as connection:
        rows = (await connection.execute(select(outbox).order_by(outbox.c.id))).all()
    relay = service.relay()
    return [relay._record(row) for row in rows]
