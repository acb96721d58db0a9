# SPDX-License-Identifier: Apache-2.0
"""Surroundings for definitions: two departments, one resource, one license type."""

from services.gateway.definitions.known import Attribute, Known

RESOURCE = "307001/000001"
LICENSE = "1" * 21
KNOWN = Known(
    roles=frozenset({"health", "hospital", "police"}),
    resources={RESOURCE: {"status": "text", "spouse_name": "text", "marriage_date": "date", "children": "number"}},
    licenses={LICENSE: {"name": Attribute("text", required=True), "born": Attribute("date"), "sex": Attribute("sex")}},
    meanings={RESOURCE: {"spouse_name": "spouse.name"}, LICENSE: {"born": "applicant.birth_date"}},
)
