# SPDX-License-Identifier: Apache-2.0
"""A department at the platform's doors: tasks by lease, a line that it dials itself, and what breaks in between."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tongban.exchange.v1 import exchange_service_pb2 as exchange

from sandbox.connector import Connector
from sandbox.departments.hospital import Hospital
from sandbox.register import Output, Register
from sandbox.work import TaskRefused, Work
from sandbox.worker import TaskWorker
from services.kit.clock import utc_now
from services.kit.errors import Unavailable
from services.kit.ids import new_id
from services.kit.telemetry import Telemetry
from tests.support.eventually import beside, eventually
from tests.support.sandbox_doors import Doors, doors, task

TRACE = "0af7651916cd43dd8448eb211c80319c"
CHILD = {"child_name": "澹台望舒", "child_sex": "female", "birth_date": "2026-11-20"}
RESOURCE = "307003/000001"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Doors]:
    async with doors(tmp_path) as door:
        yield door


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def telemetry(spans: InMemorySpanExporter) -> Telemetry:
    return Telemetry("department.hospital", processors=(SimpleSpanProcessor(spans),))


@pytest.fixture
async def worker(door: Doors, telemetry: Telemetry, tmp_path: Path) -> AsyncIterator[TaskWorker]:
    async with Register(tmp_path / "hospital.sqlite", Hospital.schema) as register:
        hospital = Hospital(register, utc_now)
        yield TaskWorker("hospital", await door.peer(telemetry), telemetry, hospital.operations, utc_now)


async def test_a_task_is_done_and_its_trace_goes_on(
    door: Doors, worker: TaskWorker, spans: InMemorySpanExporter
) -> None:
    async with beside(worker.run()):
        await door.tasks.tasks.put(task("birth_certificate", CHILD, traceparent=f"00-{TRACE}-b7ad6b7169203331-01"))
        await eventually(lambda: len(door.tasks.completed) == 1)
        await eventually(lambda: any(span.name == "task birth_certificate" for span in spans.get_finished_spans()))
    assert door.tasks.completed[0].output["certificate_number"]
    done = next(span for span in spans.get_finished_spans() if span.name == "task birth_certificate")
    assert done.context is not None
    assert f"{done.context.trace_id:032x}" == TRACE


async def test_a_task_that_comes_again_is_answered_as_the_first_time(door: Doors, worker: TaskWorker) -> None:
    first, again = task("birth_certificate", CHILD), task("birth_certificate", CHILD)
    async with beside(worker.run()):
        await door.tasks.tasks.put(first)
        await eventually(lambda: len(door.tasks.completed) == 1)
        await door.tasks.tasks.put(again)
        await eventually(lambda: len(door.tasks.completed) == 2)
    one, two = door.tasks.completed
    assert dict(one.output) == dict(two.output)
    assert one.request_id != two.request_id


async def test_an_answer_whose_acknowledgment_was_lost_is_given_again_under_the_same_id(
    door: Doors, worker: TaskWorker
) -> None:
    door.tasks.lost = 2
    async with beside(worker.run()):
        await door.tasks.tasks.put(task("birth_certificate", CHILD))
        await eventually(lambda: len(door.tasks.completed) == 3)
    assert len({request.request_id for request in door.tasks.completed}) == 1


async def test_a_refusal_is_told_in_both_languages_and_names_nobody(door: Doors, worker: TaskWorker) -> None:
    async with beside(worker.run()):
        await door.tasks.tasks.put(task("birth_certificate", {**CHILD, "birth_date": "yesterday"}))
        await door.tasks.tasks.put(task("something_else", CHILD))
        await eventually(lambda: len(door.tasks.refused) == 2)
    assert {refused.reason for refused in door.tasks.refused} == {"INPUT_MALFORMED", "OPERATION_UNKNOWN"}
    for refused in door.tasks.refused:
        assert refused.message_zh
        assert refused.message_en
        assert CHILD["child_name"] not in refused.message_zh + refused.message_en


async def test_the_department_comes_back_when_the_gateway_does(door: Doors, worker: TaskWorker) -> None:
    async with beside(worker.run()):
        await eventually(lambda: door.tasks.streams == 1)
        await door.close()
        await door.open()
        await eventually(lambda: door.tasks.streams == 2)
        await door.tasks.tasks.put(task("birth_certificate", CHILD))
        await eventually(lambda: len(door.tasks.completed) == 1)


async def test_work_that_takes_longer_than_its_lease_holds_it(door: Doors, telemetry: Telemetry) -> None:
    finish = asyncio.Event()

    async def slow(_work: Work) -> Output:
        await finish.wait()
        return {"done": True}

    worker = TaskWorker("hospital", await door.peer(telemetry), telemetry, {"slow": slow}, utc_now)
    async with beside(worker.run()):
        await door.tasks.tasks.put(task("slow", lease_seconds=0.4))
        await eventually(lambda: len(door.tasks.renewed) >= 2)
        assert door.tasks.completed == []
        finish.set()
        await eventually(lambda: len(door.tasks.completed) == 1)


async def test_a_platform_that_is_away_is_waited_for_and_a_broken_operation_ends_nothing(
    door: Doors, telemetry: Telemetry
) -> None:
    tries: list[str] = []

    async def away_at_first(work: Work) -> Output:
        tries.append(work.case_id)
        if len(tries) < 3:
            raise Unavailable("Identity is away.")
        return {"done": True}

    async def broken(_work: Work) -> Output:
        raise ZeroDivisionError

    async def never(_work: Work) -> Output:
        raise TaskRefused("NEVER", "不予办理。", "Never.")

    operations = {"away": away_at_first, "broken": broken, "never": never}
    worker = TaskWorker("hospital", await door.peer(telemetry), telemetry, operations, utc_now)
    async with beside(worker.run()):
        for operation in ("broken", "never", "away"):
            await door.tasks.tasks.put(task(operation))
        await eventually(lambda: len(door.tasks.completed) == 1 and len(door.tasks.refused) == 1)
    assert len(tries) == 3


def question(number: str, *fields: str) -> exchange.ConnectResponse:
    return exchange.ConnectResponse(work_id=new_id(), resource=RESOURCE, subject_key=number, fields=fields)


async def test_a_line_answers_found_not_found_and_failed_and_gives_no_more_than_was_asked(
    door: Doors, telemetry: Telemetry
) -> None:
    async def lookup(number: str) -> Mapping[str, str] | None:
        if number == "broken":
            raise OSError
        if number == "nobody":
            return None
        return {"subject_key": number, "scheme": "resident", "status": "active", "enroll_date": "2020-01-01"}

    connector = Connector(await door.peer(telemetry), telemetry, {RESOURCE: lookup})
    found, nobody, broken = question("somebody", "status"), question("nobody", "status"), question("broken", "status")
    async with beside(connector.run()):
        for each in (broken, nobody, found):
            await door.line.questions.put(each)
        await eventually(lambda: len(door.line.answers) == 3)
    assert door.line.hellos == [[RESOURCE]]
    assert door.line.answers[found.work_id].outcome == exchange.CONNECTOR_OUTCOME_FOUND
    assert dict(door.line.answers[found.work_id].values) == {"status": "active", "subject_key": "somebody"}
    assert door.line.answers[nobody.work_id].outcome == exchange.CONNECTOR_OUTCOME_NOT_FOUND
    assert door.line.answers[broken.work_id].outcome == exchange.CONNECTOR_OUTCOME_FAILED


async def test_a_line_that_broke_is_dialed_again(door: Doors, telemetry: Telemetry) -> None:
    async def lookup(number: str) -> Mapping[str, str] | None:
        return {"subject_key": number, "status": "active"}

    connector = Connector(await door.peer(telemetry), telemetry, {RESOURCE: lookup})
    async with beside(connector.run()):
        await eventually(lambda: len(door.line.hellos) == 1)
        await door.close()
        await door.open()
        await eventually(lambda: len(door.line.hellos) == 2)
        asked = question("somebody", "status")
        await door.line.questions.put(asked)
        await eventually(lambda: asked.work_id in door.line.answers)
