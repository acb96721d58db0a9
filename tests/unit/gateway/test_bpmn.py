# SPDX-License-Identifier: Apache-2.0
"""BPMN 2.0: what we write holds for strangers, and what we read back is the same definition."""

from pathlib import Path

import pytest
import SpiffWorkflow
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from SpiffWorkflow.bpmn import BpmnWorkflow
from SpiffWorkflow.bpmn.parser import BpmnParser, BpmnValidator
from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine
from SpiffWorkflow.util.task import TaskState

from services.cli.definitions import agencies, as_yaml, read, shipped
from services.gateway.definitions.bpmn_in import BpmnUnreadable, from_bpmn
from services.gateway.definitions.bpmn_out import to_bpmn
from services.gateway.domain.definition import Matter
from services.gateway.workflows import read_matter
from tests.support.gateway_matters import definition, field, step

SCHEMA = etree.XMLSchema(
    etree.parse(str(Path(SpiffWorkflow.__file__).parent / "bpmn" / "parser" / "schema" / "BPMN20.xsd"))
)


class Yes(PythonScriptEngine):  # type: ignore[misc] # it has no types
    """Every condition holds: our conditions are CEL."""

    def evaluate(self, *_given: object, **_named: object) -> bool:
        return True


def order_of(text: str, code: str) -> list[str]:
    """The order in which a foreign engine does the steps; it must come to the end."""
    parser = BpmnParser(validator=BpmnValidator())
    parser.add_bpmn_str(text.encode())
    workflow = BpmnWorkflow(parser.get_spec(f"process-{code}"), script_engine=Yes())
    workflow.do_engine_steps()
    done = []
    while not workflow.is_completed():
        started = workflow.get_tasks(state=TaskState.STARTED)
        ready = workflow.get_tasks(state=TaskState.READY, manual=True)
        task = (started or ready)[0]
        done.append(task.task_spec.name)
        if started:
            task.complete()
        else:
            task.run()
        workflow.do_engine_steps()
    return done


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_every_matter_that_ships_is_valid_bpmn_and_comes_back_the_same(path: Path) -> None:
    matter = read(path)
    text = to_bpmn(matter, agencies())
    assert SCHEMA.validate(etree.fromstring(text.encode())), SCHEMA.error_log
    again = from_bpmn(text)
    assert again == matter
    assert again.digest == matter.digest


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_foreign_engine_does_every_step_of_another_owner_in_an_order_that_holds(path: Path) -> None:
    matter = read(path)
    done = order_of(to_bpmn(matter, agencies()), matter.code)
    place = {step_id: index for index, step_id in enumerate(done)}
    for one in matter.steps:
        for other in (*one.needs, *one.after):
            if one.id in place and other in place:
                assert place[other] < place[one.id]
    assert {one.id for one in matter.steps if one.kind.value in {"verify", "fetch", "license", "task"}} <= set(done)


IDS = ["sample", "start", "end", "join", "s4", "after", "s6"]
"""Ids of steps that others might take for their own."""


@st.composite
def matters(draw: st.DrawFn) -> Matter:
    """Any structure: who waits for whom, how, on a condition or not."""
    steps = []
    for index in range(draw(st.integers(1, 7))):
        before = IDS[:index]
        waits = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        needs = [one for one in waits if draw(st.booleans())]
        more: dict[str, object] = {"needs": needs, "after": [one for one in waits if one not in needs]}
        if draw(st.booleans()):
            more["when"] = "answers.x != ''"
        steps.append(step(IDS[index], draw(st.sampled_from(["task", "verify", "notify"])), optional=True, **more))
    return Matter.model_validate(definition(*steps, form=(field("x"),)))


@given(matters())
def test_any_definition_comes_back_the_same_and_ends_in_a_foreign_engine(matter: Matter) -> None:
    text = to_bpmn(matter, {})
    assert from_bpmn(text) == matter
    assert SCHEMA.validate(etree.fromstring(text.encode()))
    order_of(text, matter.code)


def test_what_a_modeler_drew_anew_is_what_is_read() -> None:
    text = to_bpmn(Matter.model_validate(definition(step("a"), step("b", needs=["a"]))), {})
    drawn = text.replace('id="a" name="题"', 'id="a" name="新题"').replace(
        '<bpmn:sequenceFlow id="flow-a-b" sourceRef="a"', '<bpmn:sequenceFlow id="flow-a-b" sourceRef="start-event"'
    )
    changed = from_bpmn(drawn)
    assert changed.steps[0].title.zh == "新题"
    assert changed.steps[1].needs == ()


def test_a_definition_written_as_yaml_is_read_the_same() -> None:
    for path in shipped():
        matter = read(path)
        assert read_matter(path.stem, as_yaml(matter)) == matter


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no xml", "no XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a/>', "entities"),
        ("<a/>", "one process"),
        ("x" * 1_000_001, "at most"),
    ],
)
def test_what_is_no_definition_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(BpmnUnreadable, match=why):
        from_bpmn(text)


def test_more_of_bpmn_than_a_definition_can_be_is_refused_by_name() -> None:
    text = to_bpmn(Matter.model_validate(definition(step("a"))), {})
    with pytest.raises(BpmnUnreadable, match="subProcess more has no counterpart"):
        from_bpmn(text.replace("<bpmn:endEvent", '<bpmn:subProcess id="more"/><bpmn:endEvent'))
    with pytest.raises(BpmnUnreadable, match="leads from or to nothing"):
        from_bpmn(text.replace('sourceRef="start-event"', 'sourceRef="nowhere"'))
    with pytest.raises(BpmnUnreadable, match="steps"):
        from_bpmn(text.replace('"kind":"task"', '"kind":"dance"'))
