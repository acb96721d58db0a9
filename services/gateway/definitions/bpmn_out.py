# SPDX-License-Identifier: Apache-2.0
"""A definition as BPMN 2.0, with its diagram: any modeler shows it, ours reads it back the same."""

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from xml.etree import ElementTree as ET

from services.gateway.definitions.bpmn import BPMN as B
from services.gateway.definitions.bpmn import CEL, DC, DD, DI, ELEMENTS, OURS, PREFIXES, SETTLED, name
from services.gateway.definitions.layout import lane_of, layout
from services.gateway.domain.definition import Matter, Step, canonical_json
from services.gateway.domain.plan import compile_plan
from services.kit.text import Text

_GRAPH = frozenset({"id", "title", "needs", "after", "when"})
"""What the graph itself says of a step."""
_COLUMN, _ROW, _BOX, _GATEWAY, _EVENT = 320, 120, (140, 70), 40, 36
START, END = "start-event", "end-event"
"""Ids of ours have a hyphen, which no id of a definition has."""
Point = tuple[int, int]


def to_bpmn(matter: Matter, agencies: Mapping[str, Text]) -> str:
    """Write it. Raises DefinitionInvalid where its structure does not hold."""
    compile_plan(matter)
    for prefix, space in PREFIXES.items():
        ET.register_namespace(prefix, space)
    about = {"id": f"definitions-{matter.code}", "targetNamespace": OURS, "expressionLanguage": CEL}
    root = ET.Element(name(B, "definitions"), about)
    process = _Process(matter, agencies)
    root.append(process.element)
    root.append(process.diagram())
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


class _Process:
    """Nodes and flows as they are added, and where each node is drawn."""

    def __init__(self, matter: Matter, agencies: Mapping[str, Text]) -> None:
        self._matter = matter
        self._agencies = agencies
        self._spots: dict[str, tuple[Point, Point]] = {}
        """Node to its upper left corner and size."""
        self._flows: list[tuple[str, str, str]] = []
        self._nodes: dict[str, ET.Element] = {}
        self._elements: list[ET.Element] = []
        self.element = ET.Element(
            name(B, "process"), {"id": f"process-{matter.code}", "name": matter.title.zh, "isExecutable": "true"}
        )
        _extended(self.element, "matter", matter.model_dump(mode="json", exclude_defaults=True, exclude={"steps"}))
        self._build()
        self.element.append(self._lanes())
        for node_id, node in self._nodes.items():
            for tag, end in (("incoming", 2), ("outgoing", 1)):
                for flow in self._flows:
                    if flow[end] == node_id:
                        ET.SubElement(node, name(B, tag)).text = flow[0]
        self.element.extend([*self._nodes.values(), *self._elements])

    def _build(self) -> None:
        steps = self._matter.steps
        placed = layout(self._matter)
        followers = Counter(other for step in steps for other in (*step.needs, *step.after))
        firsts = [step for step in steps if not (*step.needs, *step.after)]
        lasts = [step for step in steps if not followers[step.id]]
        tops = dict(zip(placed.lanes, accumulate(placed.lanes.values(), initial=0), strict=False))
        right = 160 + placed.columns * _COLUMN
        self._node("startEvent", START, (20, _ROW // 2), (_EVENT, _EVENT))
        leave = self._fork(START, len(firsts), (80, _ROW // 2))
        starts: dict[str, str] = {}
        ends: dict[str, str] = {}
        for step in steps:
            place = placed.places[step.id]
            corner = (160 + place.column * _COLUMN, 40 + (tops[place.lane] + place.row) * _ROW)
            starts[step.id], ends[step.id] = self._step(step, corner, followers[step.id])
        self._node("endEvent", END, (right + 80, _ROW // 2), (_EVENT, _EVENT))
        arrive = END
        if len(lasts) > 1:
            arrive = self._gateway("parallelGateway", f"join-{END}", (right, _ROW // 2))
            self._flow(f"joined-{END}", arrive, END)
        for step in firsts:
            self._flow(f"flow-{START}-{step.id}", leave, starts[step.id])
        self._waits(starts, ends)
        for step in lasts:
            self._flow(f"flow-{step.id}-{END}", ends[step.id], arrive)

    def _waits(self, starts: Mapping[str, str], ends: Mapping[str, str]) -> None:
        """One flow for each `needs` and each `after`."""
        for step in self._matter.steps:
            for other in step.needs:
                self._flow(f"flow-{other}-{step.id}", ends[other], starts[step.id])
            for other in step.after:
                self._flow(f"flow-{other}-{step.id}-after", ends[other], starts[step.id], wait=SETTLED)

    def _step(self, step: Step, corner: Point, followers: int) -> tuple[str, str]:
        """The task with the gateways around it; gives the nodes where flows arrive and leave."""
        x, y = corner
        middle = y + _BOX[1] // 2
        node = self._node(ELEMENTS[step.kind.value], step.id, (x + 70, y), _BOX, step.title.zh)
        ET.SubElement(node, name(B, "documentation")).text = step.title.en
        own = step.model_dump(mode="json", exclude_defaults=True, exclude=set(_GRAPH))
        _extended(node, "step", {**own, "title_en": step.title.en})
        arrive = leave = step.id
        if step.when is not None:
            split, merge = f"if-{step.id}", f"fi-{step.id}"
            arrive = self._gateway("exclusiveGateway", split, (x + 25, middle))
            self._nodes[split].set("default", f"around-{step.id}")
            self._flow(f"when-{step.id}", split, step.id, condition=step.when)
            leave = self._gateway("exclusiveGateway", merge, (x + 235, middle))
            self._flow(f"done-{step.id}", step.id, merge)
            self._flow(f"around-{step.id}", split, merge)
        if len(step.needs) + len(step.after) > 1:
            join = self._gateway("parallelGateway", f"join-{step.id}", (x - 20, middle))
            self._flow(f"joined-{step.id}", join, arrive)
            arrive = join
        return arrive, self._fork(leave, followers, (x + 280, middle), step.id)

    def _fork(self, leave: str, followers: int, at: Point, step_id: str = START) -> str:
        if followers < 2:  # noqa: PLR2004 - a fork has at least two ways
            return leave
        fork = self._gateway("parallelGateway", f"fork-{step_id}", at)
        self._flow(f"forked-{step_id}", leave, fork)
        return fork

    def _node(self, tag: str, node_id: str, corner: Point, size: Point, title: str = "") -> ET.Element:
        node = ET.Element(name(B, tag), {"id": node_id, **({"name": title} if title else {})})
        self._nodes[node_id] = node
        self._spots[node_id] = (corner, size)
        return node

    def _gateway(self, tag: str, node_id: str, at: Point) -> str:
        self._node(tag, node_id, (at[0] - _GATEWAY // 2, at[1] - _GATEWAY // 2), (_GATEWAY, _GATEWAY))
        return node_id

    def _flow(self, flow_id: str, source: str, target: str, *, condition: str = "", wait: str = "") -> None:
        flow = ET.Element(name(B, "sequenceFlow"), {"id": flow_id, "sourceRef": source, "targetRef": target})
        if wait:
            flow.set(name(OURS, "wait"), wait)
        if condition:
            ET.SubElement(flow, name(B, "conditionExpression")).text = condition
        self._elements.append(flow)
        self._flows.append((flow_id, source, target))

    def _lanes(self) -> ET.Element:
        lanes = ET.Element(name(B, "laneSet"), {"id": "all-lanes"})
        for role in dict.fromkeys(lane_of(step) for step in self._matter.steps):
            title = self._agencies[role].zh if role in self._agencies else role
            lane = ET.SubElement(lanes, name(B, "lane"), {"id": f"lane-{role}", "name": title or "引擎"})
            for step in self._matter.steps:
                if lane_of(step) == role:
                    ET.SubElement(lane, name(B, "flowNodeRef")).text = step.id
        return lanes

    def diagram(self) -> ET.Element:
        """Where a modeler draws each node and flow."""
        diagram = ET.Element(name(DI, "BPMNDiagram"), {"id": "the-diagram"})
        plane = ET.SubElement(
            diagram, name(DI, "BPMNPlane"), {"id": "the-plane", "bpmnElement": f"process-{self._matter.code}"}
        )
        for node_id, ((x, y), (width, height)) in self._spots.items():
            shape = ET.SubElement(plane, name(DI, "BPMNShape"), {"id": f"shape-{node_id}", "bpmnElement": node_id})
            bounds = {"x": x, "y": y, "width": width, "height": height}
            ET.SubElement(shape, name(DC, "Bounds"), {key: str(value) for key, value in bounds.items()})
        for flow_id, source, target in self._flows:
            edge = ET.SubElement(plane, name(DI, "BPMNEdge"), {"id": f"edge-{flow_id}", "bpmnElement": flow_id})
            for node_id, side in ((source, 1), (target, 0)):
                (x, y), (width, height) = self._spots[node_id]
                point = {"x": str(x + side * width), "y": str(y + height // 2)}
                ET.SubElement(edge, name(DD, "waypoint"), point)
        return diagram


def _extended(element: ET.Element, tag: str, values: Mapping[str, object]) -> None:
    extension = ET.SubElement(element, name(B, "extensionElements"))
    ET.SubElement(extension, name(OURS, tag)).text = canonical_json(values)
