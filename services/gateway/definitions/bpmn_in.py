# SPDX-License-Identifier: Apache-2.0
"""Reads the subset of BPMN 2.0 that a definition can be: tasks, parallel and exclusive gateways, one start, ends.

What a task is in a matter (its kind, agency, mappings) comes from our extension; who waits for whom, conditions and
titles come from the graph, so what a modeler changed is what is read.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from pydantic import ValidationError

from services.gateway.definitions.bpmn import BPMN as B
from services.gateway.definitions.bpmn import ELEMENTS, GATEWAYS, OURS, SETTLED, name
from services.gateway.domain.definition import Matter
from services.kit.errors import StartupError

BYTES_MAX = 1_000_000
NODES_MAX = 1_000
_TASKS = frozenset(ELEMENTS.values())
_EVENTS = frozenset({"startEvent", "endEvent"})
_BESIDE = frozenset({"extensionElements", "laneSet", "sequenceFlow", "documentation"})


class BpmnUnreadable(StartupError):  # noqa: N818 - it states what is so
    """It is no BPMN, or uses more of it than a definition can be."""


def from_bpmn(text: str) -> Matter:
    """Read it.

    Raises:
        BpmnUnreadable: says which element, and why.
    """
    process = _process(text)
    nodes = _nodes(process)
    flows = process.findall(name(B, "sequenceFlow"))
    incoming: dict[str, list[ET.Element]] = defaultdict(list)
    for flow in flows:
        if flow.get("sourceRef") not in nodes or flow.get("targetRef") not in nodes:
            raise BpmnUnreadable(f"Flow {flow.get('id')} leads from or to nothing.")
        incoming[str(flow.get("targetRef"))].append(flow)
    steps = [_step(node_id, node, nodes, incoming) for node_id, node in nodes.items() if _local(node) in _TASKS]
    values = {"code": process.get("id", "").removeprefix("process-"), **_extension(process, "matter"), "steps": steps}
    try:
        return Matter.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BpmnUnreadable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _process(text: str) -> ET.Element:
    if len(text) > BYTES_MAX or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BpmnUnreadable(f"A document has at most {BYTES_MAX} characters, and declares no entities.")
    try:
        root = ET.fromstring(text)  # noqa: S314 - bounded, and without entities
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise BpmnUnreadable("This is no XML.") from error
    processes = root.findall(name(B, "process"))
    if len(processes) != 1:
        raise BpmnUnreadable("A definition is one process.")
    return processes[0]


def _nodes(process: ET.Element) -> dict[str, ET.Element]:
    nodes: dict[str, ET.Element] = {}
    for element in process:
        tag = _local(element)
        if tag in _BESIDE:
            continue
        node_id = element.get("id", "")
        if tag not in _TASKS | GATEWAYS | _EVENTS:
            raise BpmnUnreadable(f"{tag} {node_id} has no counterpart in a definition.")
        if node_id in nodes:
            raise BpmnUnreadable(f"Two elements have the id {node_id}.")
        nodes[node_id] = element
    if len(nodes) > NODES_MAX:
        raise BpmnUnreadable(f"A process has at most {NODES_MAX} elements.")
    return nodes


def _step(
    step_id: str, node: ET.Element, nodes: Mapping[str, ET.Element], incoming: Mapping[str, list[ET.Element]]
) -> dict[str, Any]:
    own = _extension(node, "step")
    title = {"zh": node.get("name") or step_id, "en": own.pop("title_en", node.get("name") or step_id)}
    values: dict[str, Any] = {**own, "id": step_id, "title": title, "needs": [], "after": []}
    values.setdefault("kind", "task")
    conditions = [
        text
        for flow in incoming[step_id]
        if (text := (flow.findtext(name(B, "conditionExpression")) or "").strip()) != ""
    ]
    if len(conditions) > 1:
        raise BpmnUnreadable(f"{step_id} has several conditions; a step has one.")
    if conditions:
        values["when"] = conditions[0]
    for other, wait in _before(step_id, nodes, incoming):
        waits = values["after" if wait == SETTLED else "needs"]
        if other not in waits:
            waits.append(other)
    return values


def _before(
    step_id: str, nodes: Mapping[str, ET.Element], incoming: Mapping[str, list[ET.Element]]
) -> Iterator[tuple[str, str]]:
    """The tasks from which flows lead here through gateways alone, and how each is waited for.

    The default flow of an exclusive gateway leads around a step: nobody is waited for along it.
    """
    seen: set[str] = set()
    open_flows = [(flow, "") for flow in reversed(incoming[step_id])]
    while open_flows:
        flow, wait = open_flows.pop()
        source = str(flow.get("sourceRef"))
        wait = flow.get(name(OURS, "wait"), wait)
        if nodes[source].get("default") == flow.get("id"):
            continue
        if _local(nodes[source]) in _TASKS:
            yield source, wait
        elif source not in seen:
            seen.add(source)
            open_flows += [(each, wait) for each in reversed(incoming[source])]


def _extension(element: ET.Element, tag: str) -> dict[str, Any]:
    text = element.findtext(f"{name(B, 'extensionElements')}/{name(OURS, tag)}")
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BpmnUnreadable(f"The extension of {element.get('id')} is no JSON.") from error
    if not isinstance(values, dict):
        raise BpmnUnreadable(f"The extension of {element.get('id')} is no object.")
    return values


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
