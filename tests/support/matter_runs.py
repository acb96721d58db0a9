# SPDX-License-Identifier: Apache-2.0
"""Runs a matter over the pure core: owners answer as the sandbox's registers do, in memory, unless they are told otherwise."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from sandbox import catalogue, shared
from sandbox.cast import cast
from sandbox.office import Office, offices
from sandbox.register import BOOKKEEPING
from sandbox.scripts import ScriptCase, Told
from sandbox.work import TaskRefused, Work
from services.gateway.domain.advance import Answer, react_to_answer, react_to_retry, submit
from services.gateway.domain.case import CaseState, StepState, fold
from services.gateway.domain.definition import (
    ExchangePrefill,
    FetchStep,
    FormField,
    LicenseStep,
    TaskStep,
    VerifyStep,
)
from services.gateway.domain.expressions import Scalar
from services.gateway.domain.form import check_answers, check_complete, check_output
from services.gateway.domain.history import CaseOpened, Outcome, Prefilled, PrefillState
from services.gateway.domain.plan import Plan
from services.gateway.domain.values import StepInput, china_date, input_of, names_of
from services.gateway.workflows import Workflows, load_workflows
from services.kit.errors import Refusal
from services.licenses.config import Settings as LicensesSettings
from services.licenses.domain.catalogue import Catalogue
from services.licenses.store.types import read_catalogue
from tests.support.gateway_matters import BIRTH, NOW

AWAY = Told(outcome="unavailable", reason="UNAVAILABLE")
_ROUNDS_MAX = 200
_ROOT = Path(__file__).resolve().parents[2]


@cache
def matters() -> Workflows:
    """Everything that ships."""
    return load_workflows(BIRTH.parent, _ROOT / "sandbox" / "agencies.yaml")


def subject_of(number: str) -> str:
    """A subject id, as random as a test allows."""
    return str(uuid5(NAMESPACE_OID, number))


@dataclass
class Registers:
    """The registers of every office, fresh and in memory."""

    today: date
    _open: dict[str, sqlite3.Connection] = field(default_factory=dict)

    def perform(self, office: Office, work: Work) -> Answer:
        """Do a task as the department's program does."""
        try:
            output = office.perform(self._connection(office), work, today=self.today)
        except TaskRefused as refused:
            return Answer(work.operation, 1, Outcome.REFUSED, refused.reason)
        return Answer(work.operation, 1, Outcome.DONE, output=dict(output))

    def ask(self, resource: str, key: str, *, grantee: str, purpose: str, fields: tuple[str, ...]) -> dict[str, Scalar]:
        """Ask a shared register; a field or purpose that no grant covers is an error of the city."""
        for office in offices().values():
            if (one := office.file.shares.get(resource)) is not None:
                assert purpose in one.grants.get(grantee, ()), f"{grantee} may not ask {resource} for {purpose}"
                row = self._connection(office).execute(shared.statement(one), {"subject_key": key}).fetchone()
                known = {each.name for each in one.fields}
                assert set(fields) <= known, f"{resource} has no {set(fields) - known}"
                return {} if row is None else {name: row[name] for name in fields}
        assert any((resource, grantee) == each[:2] and purpose in each[2] for each in catalogue.GRANTS_OF_MATTERS), (
            f"{grantee} may not ask {resource} for {purpose}"
        )
        return {name: value for name, value in _of_the_city(resource, key).items() if name in fields}

    def close(self) -> None:
        """Forget everything."""
        for connection in self._open.values():
            connection.close()

    def _connection(self, office: Office) -> sqlite3.Connection:
        if office.key not in self._open:
            connection = sqlite3.connect(":memory:")
            connection.row_factory = sqlite3.Row
            connection.executescript(BOOKKEEPING + office.schema)
            office.load(connection)
            self._open[office.key] = connection
        return self._open[office.key]


def _of_the_city(resource: str, key: str) -> dict[str, Scalar]:
    """What the registers with code of their own say of the cast."""
    for family in cast().families:
        for person in family.residents:
            if person.number != key:
                continue
            marriage = family.marriage
            if resource == catalogue.MARRIAGES and marriage and key in {marriage.husband_number, marriage.wife_number}:
                wife = key == marriage.wife_number
                return {
                    "spouse_name": marriage.husband_name if wife else marriage.wife_name,
                    "spouse_number": marriage.husband_number if wife else marriage.wife_number,
                    "certificate_number": marriage.certificate_number,
                    "marriage_date": marriage.marriage_date.isoformat(),
                    "status": marriage.status,
                }
            if resource == catalogue.HOUSEHOLDS:
                return {
                    "household_number": family.household.number,
                    "address": family.household.address,
                    "head_name": family.residents[0].name,
                    "relation": person.relation,
                }
            if resource == catalogue.INSURANCE:
                enrolled = next(one for one in family.enrollments if one.number == key)
                return {"scheme": enrolled.scheme, "status": "active", "enroll_date": enrolled.enroll_date.isoformat()}
    return {}


@dataclass
class Run:
    """One case of a script, filed and answered until nothing moves any more."""

    plan: Plan
    case: ScriptCase
    told: Mapping[str, Told] = field(default_factory=dict)
    """What owners answer, beside what the script says."""
    without: tuple[str, ...] = ()
    case_id: str = "7c9d4c1a-0000-4000-8000-000000000001"

    def end(self) -> CaseState:
        """File it, let everybody answer, and give where it stands."""
        self.registers = Registers(date.fromisoformat(china_date(NOW)))
        self.number = cast().people[self.case.persona].number
        try:
            return self._end()
        finally:
            self.registers.close()

    def _end(self) -> CaseState:
        plan, without = self.plan, (*self.case.without, *self.without)
        check_answers(plan.matter, self.case.answers, without)
        prefilled = tuple(self._prefilled(one) for one in plan.matter.form if one.prefill is not None)
        state = fold(
            [
                CaseOpened(
                    NOW,
                    "receipt-1",
                    plan.matter.code,
                    plan.digest,
                    subject_of(self.number),
                    self.case.answers,
                    without,
                    prefilled,
                )
            ]
        )
        check_complete(plan.matter, state.effective_answers())
        state = fold(submit(plan, self.case_id, state, NOW), state)
        for _ in range(_ROUNDS_MAX):
            moved = self._moved(state)
            if moved is None:
                return state
            state = moved
        raise AssertionError("The case does not come to rest.")

    def _moved(self, state: CaseState) -> CaseState | None:
        """After the first step that somebody can answer, or None where nobody has anything to do."""
        for step_id in (*self.plan.steps, *self.plan.undos):
            record = state.step(step_id)
            if state.running and record.state is StepState.RUNNING:
                answer = self._answer(step_id, record.attempt, state)
                return fold(react_to_answer(self.plan, self.case_id, state, answer, NOW), state)
            if state.running and record.state is StepState.RETRYING:
                events = react_to_retry(self.plan, self.case_id, state, step_id, record.attempt + 1, now=NOW)
                return fold(events, state)
        return None

    def _answer(self, step_id: str, attempt: int, state: CaseState) -> Answer:
        told = {**self.case.told, **self.told}.get(step_id)
        if told is not None:
            return Answer(step_id, attempt, Outcome(told.outcome), told.reason, dict(told.output))
        compiled = {**self.plan.steps, **self.plan.undos}[step_id]
        step = compiled.step
        made = input_of(compiled, names_of(self.plan, self.case_id, state))
        match step:
            case VerifyStep():
                answer = Answer(step_id, attempt, Outcome.DONE, output=_verified(made))
            case FetchStep():
                output = self._asked(step.resource, _key_of(made), step.agency, step.fields)
                answer = Answer(step_id, attempt, Outcome.DONE, output=output)
            case LicenseStep():
                answer = _issued(step, attempt, made)
            case TaskStep():
                answer = self._performed(step, attempt, made)
            case _:
                raise AssertionError(f"Nobody answers {step_id}.")
        return answer

    def _performed(self, step: TaskStep, attempt: int, made: StepInput) -> Answer:
        operation = step.operation or step.id
        office = offices()[step.agency]
        values = {name: value for name, value in made.items() if not isinstance(value, dict)}
        answer = self.registers.perform(office, Work(self.case_id, operation, values))
        kept = check_output(step, answer.output) if answer.outcome is Outcome.DONE else {}
        return Answer(step.id, attempt, answer.outcome, answer.reason, kept)

    def _asked(self, resource: str, key: str, grantee: str, fields: tuple[str, ...]) -> dict[str, Scalar]:
        return self.registers.ask(resource, key, grantee=grantee, purpose=self.plan.matter.purpose, fields=fields)

    def _prefilled(self, one: FormField) -> Prefilled:
        prefill = one.prefill
        assert prefill is not None
        if isinstance(prefill, ExchangePrefill):
            found = self._asked(prefill.resource, self.number, prefill.agency, (prefill.field,))
            value = str(found.get(prefill.field, ""))
        else:
            value = _own(self.number)[prefill.field]
        state = PrefillState.FILLED if value else PrefillState.EMPTY
        return Prefilled(one.name, state, value, prefill.source)


def _own(number: str) -> dict[str, str]:
    """A person's own record."""
    for family in cast().families:
        for person in family.residents:
            if person.number == number:
                return {
                    "name": person.name,
                    "number": number,
                    "birth_date": person.birth_date.isoformat(),
                    "phone": person.phone,
                    "address": family.household.address,
                }
    raise AssertionError("The script names somebody who is not of the cast.")


def _key_of(made: StepInput) -> str:
    """The number or code that a question or comparison is about."""
    keys = [str(made[name]) for name in ("subject_id", "number", "uscc") if name in made]
    assert len(keys) == 1, "exactly one of subject_id, number, uscc"
    return _numbers().get(keys[0], keys[0])


def _verified(made: StepInput) -> dict[str, Scalar]:
    number = _key_of(made)
    person = next((one for one in cast().people.values() if one.number == number), None)
    if person is None:
        return {"result": "not_found"}
    result = "match" if made.get("name") in {None, person.name} else "no_match"
    return {"result": result, "subject_id": subject_of(number)}


def _issued(step: LicenseStep, attempt: int, made: StepInput) -> Answer:
    attributes = made.get("attributes", {})
    assert isinstance(attributes, dict)
    if step.ends:
        assert made.get("holder_id"), "a license of nobody can't be ended"
        return Answer(step.id, attempt, Outcome.DONE)
    try:
        _types().type_of(step.license_type).check(attributes)
    except Refusal as refusal:
        return Answer(step.id, attempt, Outcome.REFUSED, f"{refusal.reason}: {refusal.violations}")
    return Answer(
        step.id, attempt, Outcome.DONE, output={"license_id": subject_of(step.id), "identifier": "1", "version": "1"}
    )


@cache
def _numbers() -> dict[str, str]:
    return {subject_of(one.number): one.number for one in cast().people.values()}


@cache
def _types() -> Catalogue:
    return read_catalogue(LicensesSettings.model_fields["types"].default)
