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
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.exchange.v1 import grants_pb2
from tongban.exchange.v1 import grants_service_pb2 as grants_pb

from services.exchange.rpc.terms import terms_to
from services.kit import logs, logwriter
from services.kit.errors import Refusal
from tests.support.exchange_city import NUMBER as SUBJECT_NUMBER
from tests.support.exchange_city import OPERATOR, POLICE, City, city, grant_request, resource
from tests.support.exchange_leakage import FIELDS, MARK, NUMBER_MARK, Call, Expected, Reckoning, Scene, scenes
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

EXAMPLES = 25


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
        database = [path.read_bytes() for path in self.town.folder.glob("exchange.sqlite*")]
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
    if call.kind != "verify":
        return {}
    return {name: str(scene.record[name]) if call.right else f"not {scene.record[name]}" for name in call.asked}


def request_of(call: Call, code: str, values: Mapping[str, str]) -> tuple[str, Message]:
    """The call on the wire."""
    common: dict[str, Any] = {"resource": code, "purpose": call.purpose, "subject": pb.Subject(number=SUBJECT_NUMBER)}
    if call.kind == "query":
        return "Query", pb.QueryRequest(**common, fields=call.asked)
    if call.kind == "verify":
        return "Verify", pb.VerifyRequest(**common, values=dict(values))
    return "Ask", grants_pb.AskRequest(**common, questions=call.asked)


def explain_of(call: Call, code: str) -> grants_pb.ExplainRequest:
    method = grants_pb2.METHOD_QUERY if call.kind == "query" else grants_pb2.METHOD_VERIFY
    asked = {"questions": call.asked} if call.kind == "ask" else {"fields": call.asked}
    return grants_pb.ExplainRequest(resource=code, purpose=call.purpose, method=method, **asked)  # type: ignore[arg-type] # one of the two lists


TRUTHS = {True: grants_pb.TRUTH_TRUE, False: grants_pb.TRUTH_FALSE, None: grants_pb.TRUTH_UNKNOWN}


def answer_of(call: Call, response: Any) -> Any:
    """The answer in the words of a scene."""
    if call.kind == "query":
        return dict(response.values.items())
    if call.kind == "verify":
        return dict(response.fields)
    return {
        name: next(word for word, told in TRUTHS.items() if told == truth) for name, truth in response.answers.items()
    }


async def play(stage: Stage, scene: Scene) -> None:
    """Every call of a scene, explained before, answered as reckoned, with marks in granted payloads alone."""
    code, ids = await stage.put(scene)
    reckoning = Reckoning(scene)
    for call in scene.calls:
        values = sent(call, scene)
        expected = reckoning.expect(call, scene.record, values)
        explained = await stage.town.call(HOSPITAL, "Explain", explain_of(call, code))
        method, request = request_of(call, code, values)
        try:
            response = await stage.town.call(HOSPITAL, method, request)
        except Refusal as refusal:
            check_refused(expected, explained, refusal)
            continue
        assert (expected.reason, answer_of(call, response)) == ("", expected.answer)
        assert expected.place is not None
        assert explained.allowed
        assert explained.grant_id == response.grant_id == ids[expected.place]
        if call.kind != "query":
            response.ClearField("receipt")
            assert MARK not in str(response)
            assert str(NUMBER_MARK // 1000) not in str(response)


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
    @given(scenes())
    def draw(scene: Scene) -> None:
        drawn.append(scene)

    draw()
    for scene in drawn:
        await play(stage, scene)
    kinds = {call.kind for scene in drawn for call in scene.calls}
    assert kinds == {"query", "verify", "ask"}
    written = await stage.written()
    # Values end in a scene's seed and a field's name, which no condition does.
    for scene in drawn:
        for value in scene.record.values():
            if isinstance(value, str):
                assert value not in written
    assert "query" in written
