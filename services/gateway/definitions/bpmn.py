# SPDX-License-Identifier: Apache-2.0
"""Names that writing and reading BPMN 2.0 (OMG formal/2013-12-09, ISO/IEC 19510) share.

A step is a task; `needs` and `after` are sequence flows, between parallel gateways where there are several; a step with
a condition stands in an exclusive gateway that leads around it. Lanes are agencies. What BPMN has no word for stands in
extension elements of our own namespace, as JSON.
"""

from collections.abc import Mapping

BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
DI = "http://www.omg.org/spec/BPMN/20100524/DI"
DC = "http://www.omg.org/spec/DD/20100524/DC"
DD = "http://www.omg.org/spec/DD/20100524/DI"
OURS = "urn:tongban:matter:1"
CEL = "https://cel.dev/"

PREFIXES: Mapping[str, str] = {"bpmn": BPMN, "bpmndi": DI, "dc": DC, "di": DD, "tongban": OURS}

ELEMENTS: Mapping[str, str] = {
    "verify": "serviceTask",
    "fetch": "serviceTask",
    "license": "serviceTask",
    "task": "userTask",
    "decide": "task",
    "notify": "sendTask",
    "wait": "receiveTask",
    "pay": "userTask",
    "sign": "userTask",
    "sub_case": "task",
}
"""Which element stands for which kind of step; the kind itself is in the extension."""

GATEWAYS = frozenset({"parallelGateway", "exclusiveGateway"})
SETTLED = "settled"
"""On a flow: `after` rather than `needs`."""


def name(space: str, local: str) -> str:
    """As ElementTree spells a name in a namespace."""
    return f"{{{space}}}{local}"
