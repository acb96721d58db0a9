# SPDX-License-Identifier: Apache-2.0
"""Small matters to drive the case engine with."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.gateway.domain.case import CaseState, fold
from services.gateway.domain.definition import Matter
from services.gateway.domain.history import CaseOpened, Event
from services.gateway.domain.plan import Plan, compile_plan
from services.gateway.workflows import Agency, Workflows
from services.kit.text import Text

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
MOTHER = "0d1c2b3a-0000-4000-8000-000000000002"
FATHER = "0d1c2b3a-0000-4000-8000-000000000003"
CASE = "7c9d4c1a-0000-4000-8000-000000000001"
HEALTH = "11990100000001011X"
HOSPITAL = "1299010000000102XJ"
POLICE = "11990100000001046G"
AGENCIES = {
    role: Agency(role, uscc, Text(role, role))
    for role, uscc in (("health", HEALTH), ("hospital", HOSPITAL), ("police", POLICE))
}
BIRTH = Path(__file__).resolve().parents[2] / "services" / "gateway" / "matters" / "birth.yaml"

TITLE = {"zh": "题", "en": "Title"}


def step(step_id: str, kind: str = "task", **more: Any) -> dict[str, Any]:
    """One step of a definition, with what its kind must have."""
    needed: dict[str, dict[str, Any]] = {
        "verify": {"agency": "hospital", "input": {"subject_id": "applicant.id"}},
        "fetch": {
            "agency": "hospital",
            "resource": "307001/000001",
            "fields": ["status"],
            "input": {"subject_id": "applicant.id"},
        },
        "license": {"agency": "hospital", "license_type": "1" * 21, "input": {"holder_id": "applicant.id"}},
        "task": {"agency": "hospital"},
        "pay": {"agency": "hospital", "amount": "100"},
        "wait": {} if {"duration", "until"} & set(more) else {"signal": step_id, "agency": "hospital"},
        "sub_case": {"matter": "other"},
        "sign": {"signer": f"'{FATHER}'"},
        "decide": {"rules": [{"test": "true", "reason": "NEVER", "message": TITLE}]},
        "notify": {"message": TITLE},
    }
    return {"id": step_id, "kind": kind, "title": TITLE, **needed.get(kind, {}), **more}


def field(name: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    """One question of a form."""
    return {"name": name, "type": kind, "title": TITLE, **more}


def definition(*steps: Mapping[str, Any], form: tuple[Mapping[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
    """A definition as a file would have it."""
    return {
        "code": "sample",
        "basic_code": "992000009000",
        "title": TITLE,
        "summary": TITLE,
        "lead": "health",
        "purpose": "sample",
        "basis": "PIPL art. 13(1)(3)",
        "form": list(form),
        "steps": list(steps),
        **more,
    }


def plan_of(*steps: Mapping[str, Any], form: tuple[Mapping[str, Any], ...] = (), **more: Any) -> Plan:
    """The same, ready to run."""
    return compile_plan(Matter.model_validate(definition(*steps, form=form, **more)))


def workflows_of(*plans: Plan) -> Workflows:
    """On offer."""
    return Workflows({plan.matter.code: plan for plan in plans}, AGENCIES)


def draft(plan: Plan, answers: Mapping[str, str] | None = None, *, without: tuple[str, ...] = ()) -> CaseState:
    """A draft of this matter."""
    return fold([opened(plan, answers, without=without)])


def opened(plan: Plan, answers: Mapping[str, str] | None = None, *, without: tuple[str, ...] = ()) -> CaseOpened:
    """Its first event."""
    return CaseOpened(NOW, "receipt-1", plan.matter.code, plan.digest, MOTHER, dict(answers or {}), without)


def states(state: CaseState) -> dict[str, str]:
    """Where each step stands that something has happened to."""
    return {step_id: record.state.value for step_id, record in state.steps.items()}


def kinds(events: tuple[Event, ...]) -> list[str]:
    """What happened, by name."""
    return [type(event).__name__ for event in events]
