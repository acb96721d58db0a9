# SPDX-License-Identifier: Apache-2.0
"""Verify steps over the event log: heard, answered once, and never lost while the gateway is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from tongban.events.v1 import steps_pb2
from tongban.events.v1.steps_pb2 import StepAnswered
from tongban.gateway.v1 import gateway_pb2
from tongban.gateway.v1.gateway_events_pb2 import StepRequested
from tongban.identity.v1 import identity_pb2
from tongban.identity.v1 import identity_service_pb2 as pb

from services.kit.envelope import Envelope, pack, service_topic, unpack
from services.kit.eventlog import EventLog, Record, open_eventlog
from services.kit.ids import new_id
from tests.support.eventually import eventually
from tests.support.identity_served import City, city
from tests.support.identity_world import NAME, NUMBER
from tests.support.profiles import Profile

ASKED = service_topic("gateway")
TOLD = service_topic("identity")


@pytest.fixture
async def place(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as place:
        yield place


def requested(case_id: str, kind: Any = gateway_pb2.STEP_KIND_VERIFY, event_id: str = "") -> Record:
    fact = StepRequested(case_id=case_id, step_id="verify_mother", attempt=1, kind=kind, matter="birth")
    envelope = Envelope(
        event_id or new_id(),
        "/tongban/gateway",
        "tongban.gateway.v1.StepRequested",
        case_id,
        datetime.now(UTC),
        correlation=case_id,
        topic=ASKED,
    )
    return pack(envelope, fact.SerializeToString())


@dataclass
class Bus:
    """The event log, and what identity has answered since."""

    log: EventLog
    answers: list[tuple[Envelope, StepAnswered]]
    told: list[str]

    def of(self, case_id: str) -> list[StepAnswered]:
        return [answer for _, answer in self.answers if answer.case_id == case_id]


@asynccontextmanager
async def bus(profile: Profile) -> AsyncIterator[Bus]:
    async with open_eventlog(profile.events) as log:
        await log.ensure_topics([ASKED, TOLD])
        async with log.tail([TOLD]) as records:
            heard = Bus(log, [], [])

            async def listen() -> None:
                async for record in records:
                    envelope = unpack(record)
                    heard.told.append(envelope.type)
                    if envelope.type == "tongban.events.v1.StepAnswered":
                        heard.answers.append((envelope, StepAnswered.FromString(record.value)))

            task = asyncio.create_task(listen())
            try:
                yield heard
            finally:
                task.cancel()
                await asyncio.wait([task])


def mother() -> pb.NewPerson:
    return pb.NewPerson(number_kind=identity_pb2.NUMBER_KIND_CITIZEN, number=NUMBER, name=NAME, region="990100")


async def test_a_verify_step_is_answered_under_its_case_and_cause(place: City) -> None:
    async with bus(place.profile) as heard, place.gateway_open(), place.identity():
        await place.put_agencies()
        (person,) = (await place.register(mother())).persons
        place.gateway.inputs["case-1"] = {"number": NUMBER, "number_kind": "citizen", "name": NAME}
        await heard.log.send([requested("case-1", event_id="11111111-1111-4111-8111-111111111111")])
        await eventually(lambda: bool(heard.answers))
        ((envelope, answer),) = heard.answers
    assert answer.outcome == steps_pb2.STEP_OUTCOME_DONE
    assert dict(answer.output) == {"result": "match", "subject_id": person.subject_id}
    assert (envelope.subject, envelope.correlation) == ("case-1", "case-1")
    assert envelope.causation == "11111111-1111-4111-8111-111111111111"
    assert "tongban.identity.v1.PersonRegistered" in heard.told
    assert "tongban.identity.v1.AgencyChanged" in heard.told


async def test_a_step_delivered_twice_is_answered_once_and_others_kinds_not_at_all(place: City) -> None:
    async with bus(place.profile) as heard, place.gateway_open(), place.identity():
        for case_id in ("case-1", "case-2"):
            place.gateway.inputs[case_id] = {"number": NUMBER, "number_kind": "citizen"}
        twice = requested("case-1")
        fetch = requested("case-1", gateway_pb2.STEP_KIND_FETCH)
        overtaken = requested("case-3")
        await heard.log.send([twice, twice, fetch, overtaken, requested("case-2")])
        await eventually(lambda: len(heard.answers) >= 2 and "case-3" in place.gateway.asked)
        await heard.log.send([requested("case-2")])
        await eventually(lambda: len(heard.of("case-2")) >= 2)
    assert len(heard.of("case-1")) == 1
    assert heard.of("case-3") == []
    assert heard.of("case-1")[0].output["result"] == "not_found"


async def test_a_step_that_asks_nonsense_is_refused_and_does_not_stop_the_next(place: City) -> None:
    async with bus(place.profile) as heard, place.gateway_open(), place.identity():
        place.gateway.inputs["case-1"] = {"number": "110105194912310021", "number_kind": "citizen"}
        place.gateway.inputs["case-2"] = {"number": NUMBER, "number_kind": "citizen"}
        await heard.log.send([requested("case-1"), requested("case-2")])
        await eventually(lambda: len(heard.answers) == 2)
    (answer,) = heard.of("case-1")
    assert (answer.outcome, answer.reason) == (steps_pb2.STEP_OUTCOME_REFUSED, "NUMBER_CHECK_FAILED")
    assert heard.of("case-2")[0].outcome == steps_pb2.STEP_OUTCOME_DONE


async def test_while_the_gateway_is_away_a_step_waits_and_is_answered_when_it_comes_back(place: City) -> None:
    place.gateway.inputs["case-1"] = {"number": NUMBER, "number_kind": "citizen"}
    async with bus(place.profile) as heard, place.identity():
        await heard.log.send([requested("case-1")])
        place.gateway.busy = 2
        async with place.gateway_open():
            await eventually(lambda: len(place.gateway.asked) >= 3)
            await eventually(lambda: bool(heard.answers), 30)
    assert len(heard.of("case-1")) == 1


async def test_a_step_told_while_identity_is_down_is_answered_once_it_is_up(place: City) -> None:
    place.gateway.inputs["case-1"] = {"number": NUMBER, "number_kind": "citizen"}
    async with bus(place.profile) as heard, place.gateway_open():
        async with place.identity():
            pass
        await heard.log.send([requested("case-1")])
        async with place.identity():
            await eventually(lambda: bool(heard.answers))
    assert len(heard.of("case-1")) == 1
