# SPDX-License-Identifier: Apache-2.0
"""What expressions run over, and what a step's mappings come to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from services.gateway.domain.case import CaseState, StepState
from services.gateway.domain.definition import FetchStep, LicenseStep, PayStep
from services.gateway.domain.expressions import Expression, ExpressionFailed, Scalar
from services.gateway.domain.plan import CompiledStep, Plan, outputs_of

CHINA = timezone(timedelta(hours=8))
"""China Standard Time has had no summer time since 1991: days of law are days there."""

StepInput = dict[str, Scalar | dict[str, Scalar]]


def china_date(moment: datetime) -> str:
    """The day in China, YYYY-MM-DD."""
    return moment.astimezone(CHINA).date().isoformat()


def china_dawn(moment: datetime) -> datetime:
    """When the moment's day began in China."""
    return moment.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)


def moment_of(text: str) -> datetime:
    """A day, from its beginning in China, or a moment of RFC 3339. Raises ExpressionFailed for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ExpressionFailed("NotMoment") from None
    if len(text) == len("2026-01-01"):
        return moment.replace(tzinfo=CHINA).astimezone(UTC)
    if moment.tzinfo is None:
        raise ExpressionFailed("NotMoment")
    return moment.astimezone(UTC)


def fen(amount: object) -> int:
    """An amount of money in whole fen. Raises ExpressionFailed where it is none, or negative."""
    if isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0 or amount != int(amount):
        raise ExpressionFailed("NotAmount")
    return int(amount)


def names_of(plan: Plan, case_id: str, state: CaseState) -> dict[str, Any]:
    """What expressions may read. Every field and every declared output is there, empty where nothing is known."""
    answers = state.effective_answers()
    return {
        "answers": {one.name: answers.get(one.name, "") for one in plan.matter.form},
        "applicant": {"id": state.applicant_id},
        "case": {
            "id": case_id,
            "receipt": state.receipt,
            "matter": state.matter,
            "submitted_date": china_date(state.submitted) if state.submitted else "",
        },
        "steps": {step_id: _step_names(state, compiled) for step_id, compiled in plan.steps.items()},
    }


def input_of(compiled: CompiledStep, names: Mapping[str, Any]) -> StepInput:
    """What the step's owner needs. Empty values are left out, but not of what says which licenses end: all would, then.

    Raises:
        ExpressionFailed: a mapping could not be evaluated over this case.
    """
    made: StepInput = {}
    ends = isinstance(compiled.step, LicenseStep) and compiled.step.ends
    for name, mapped in compiled.input.items():
        if isinstance(mapped, Expression):
            made[name] = mapped.value(names)
        else:
            made[name] = {inner: found for inner, one in mapped.items() if (found := one.value(names)) != "" or ends}
    if isinstance(compiled.step, PayStep) and not compiled.undoes:
        made["amount_fen"] = fen(made["amount_fen"])
    if isinstance(compiled.step, FetchStep):
        made |= {"resource": compiled.step.resource, "fields": ",".join(compiled.step.fields)}
    if isinstance(compiled.step, LicenseStep) and not compiled.undoes:
        made["type_code"] = compiled.step.license_type
    return {name: value for name, value in made.items() if value not in ("", {})}


def _step_names(state: CaseState, compiled: CompiledStep) -> dict[str, Any]:
    record = state.step(compiled.step.id)
    empty: dict[str, Scalar] = dict.fromkeys(outputs_of(compiled.step), "")
    output = {**empty, **record.output} if record.state is StepState.DONE else empty
    return {"state": record.state.value, "output": output}
