# SPDX-License-Identifier: Apache-2.0
"""Leakage through the real service: certificates, wire, logs, spans, events, leaves and the database's own file.

Records hold marked values. After random questions under random grants, a mark may stand in the payload of the answer
that was granted it, and nowhere else.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import inspect, text
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import grants_service_pb2 as grants_pb

from services.exchange.rpc.terms import METHODS, terms_to
from services.kit import logs, logwriter
from services.kit.errors import Refusal
from tests.support.exchange_city import OPERATOR, POLICE, City, city, grant_request, resource
from tests.support.exchange_leakage import (
    COMPARING,
    DOORS,
    FIELDS,
    MARK,
    NUMBER_MARK,
    Call,
    Expected,
    Reckoning,
    Scene,
    method_of,
    scenes,
)
from tests.support.exchange_leakage_doors import Doors
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

EXAMPLES = 40


class Register:
    """A provider's register with one record."""

    def __init__(self) -> None:
        self.record: Mapping[str, Any] = {}

    async def ask(self, _inquiry: Any) -> Mapping[str, Any]:
        return self.record

    async def close(self) -> None:
        """Nothing to close."""


class Stage:
    """The real service around a register in memory, and everything that it writes."""

    def __init__(self, town: City, register: Register, spans: InMemorySpanExporter, log: Path) -> None:
        self.town = town
        self.register = register
        self._spans = spans
        self._log = log
        self._scenes = 0

    async def put(self, scene: Scene) -> tuple[str, list[str]]:
        """Store the resource and the grants of a scene; give its code and the grants, newest first."""
        self._scenes += 1
        code = f"307009/{self._scenes}"
        wire = resource(code, POLICE, nouns.ADAPTER_KIND_CONNECTOR, {}, FIELDS)
        await self.town.call(OPERATOR, "PutResource", pb.PutResourceRequest(resource=wire))
        ids: list[str] = []
        for each in reversed(scene.grants):
            request = grant_request(
                resource=code,
                purposes=each.purposes,
                fields=each.fields,
                verify_fields=each.verify_fields,
                daily_quota=each.daily_quota,
                terms=terms_to(each.terms),
            )
            ids.insert(0, (await self.town.call(OPERATOR, "CreateGrant", request)).grant.grant_id)
        self.register.record = scene.record
        return code, ids

    async def written(self) -> str:
        """Everything but payloads: log lines, spans, events, leaves, and the database's own files."""
        logwriter_of(logs).flush()
        leaves = await self.town.leaves()
        database: list[Any] = [path.read_bytes() for path in self.town.folder.glob("exchange.sqlite*")]
        store = self.town.service.app.store
        assert store is not None
        async with store.reading() as connection:
            names = await connection.run_sync(lambda opened: inspect(opened).get_table_names())
            assert "data_request" in names
            for name in names:
                database += (await connection.execute(text(f'SELECT * FROM "{name}"'))).all()
        told = [
            repr((span.name, span.attributes, span.status, span.events)) for span in self._spans.get_finished_spans()
        ]
        heard = [repr(each) for each in self.town.heard]
        return "\n".join([self._log.read_text(encoding="utf-8"), repr(leaves), *told, *heard, *map(repr, database)])


def logwriter_of(module: Any) -> logwriter.LineWriter:
    """The writer that every line of this process goes through."""
    writer: logwriter.LineWriter = module._writer
    return writer


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Write lines of every level to a file."""
    logs.configure("json", "debug", str(path))
    yield
    logs.configure()


@pytest.fixture
async def stage(profile: Profile) -> AsyncIterator[Stage]:
    register, spans, log = Register(), InMemorySpanExporter(), profile.folder / "log.jsonl"
    with logged(log):
        async with city(profile, adapter=lambda _: register) as town:
            town.service.runtime.telemetry._provider.add_span_processor(SimpleSpanProcessor(spans))
            yield Stage(town, register, spans, log)


def sent(call: Call, scene: Scene) -> dict[str, str]:
    if call.kind not in COMPARING:
        return {}
    return {name: str(scene.record[name]) if call.right else f"not {scene.record[name]}" for name in call.asked}


def explain_of(call: Call, code: str) -> grants_pb.ExplainRequest:
    method = METHODS.write(method_of(call.kind))
    asked = {"questions": call.asked} if call.kind == "ask" else {"fields": call.asked}
    return grants_pb.ExplainRequest(resource=code, purpose=call.purpose, method=method, **asked)  # type: ignore[arg-type] # one of the two lists


async def play(stage: Stage, scene: Scene) -> None:
    """Every call of a scene, explained before, answered as reckoned, with marks in granted payloads alone."""
    code, ids = await stage.put(scene)
    reckoning, doors = Reckoning(scene), Doors(stage.town, code, scene.record)
    for call in scene.calls:
        values = sent(call, scene)
        expected = reckoning.expect(call, scene.record, values)
        explained = await stage.town.call(HOSPITAL, "Explain", explain_of(call, code))
        try:
            payload = await doors.make(call, values)
        except Refusal as refusal:
            check_refused(expected, explained, refusal)
            continue
        assert (expected.reason, payload.answer) == ("", expected.answer)
        assert expected.place is not None
        assert explained.allowed
        assert explained.grant_id == ids[expected.place]
        assert payload.grant_id in {"", explained.grant_id}
        if call.kind in (*COMPARING, "ask"):
            assert MARK not in payload.text
            assert str(NUMBER_MARK // 1000) not in payload.text
        for name, value in scene.record.items():
            if isinstance(value, str) and name not in expected.answer:
                assert value not in payload.text


def check_refused(expected: Expected, explained: grants_pb.ExplainResponse, refusal: Refusal) -> None:
    assert refusal.reason == expected.reason
    assert explained.allowed == (refusal.reason == "NOT_FOUND")
    assert explained.allowed or explained.reason == refusal.reason
    told = repr((refusal.message, refusal.remedy, refusal.metadata, refusal.violations))
    assert MARK not in told


async def test_marked_values_stand_in_granted_payloads_and_nowhere_else(stage: Stage) -> None:
    drawn: list[Scene] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(scenes(DOORS))
    def draw(scene: Scene) -> None:
        drawn.append(scene)

    draw()
    for scene in drawn:
        await play(stage, scene)
    kinds = {call.kind for scene in drawn for call in scene.calls}
    assert kinds == set(DOORS)
    written = await stage.written()
    # Values end in a scene's seed and a field's name, which no condition does.
    for scene in drawn:
        for value in scene.record.values():
            if isinstance(value, str):
                assert value not in written
    assert "query" in written
