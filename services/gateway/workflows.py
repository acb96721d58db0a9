# SPDX-License-Identifier: Apache-2.0
"""The matters that are offered: read from files once and checked; old versions stay known for the cases on them."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.gateway.domain.clock_rules import ClockRules
from services.gateway.domain.definition import (
    ExchangePrefill,
    Matter,
    OwnedStep,
    UndoableStep,
    UndoTask,
    WaitStep,
)
from services.gateway.domain.effects import NewTask
from services.gateway.domain.inbox import Clerk, Place, Queue, place_of
from services.gateway.domain.limit_checks import limit_problems
from services.gateway.domain.plan import Plan, compile_plan
from services.gateway.domain.problems import DefinitionInvalid, Problem, ProblemCode
from services.gateway.domain.refusals import MatterNotFound
from services.gateway.domain.sub_case_checks import sub_case_problems
from services.kit.calendar import published, read_limits
from services.kit.errors import StartupError
from services.kit.text import Text
from services.kit.yaml import YAMLError, load_yaml

LIMITS = Path(__file__).parent / "limits"
_BYTES_MAX = 1_000_000
_OLD_PLANS_MAX = 200


class Agency:
    """A department in its role."""

    __slots__ = ("clerks", "name", "queues", "role", "uscc")

    def __init__(
        self, role: str, uscc: str, name: Text, *, queues: Sequence[Queue] = (), clerks: Sequence[Clerk] = ()
    ) -> None:
        self.role = role
        self.uscc = uscc
        self.name = name
        self.queues = tuple(queues)
        """In the order in which they are asked for a new task; what none takes goes to the agency's own system."""
        self.clerks = tuple(clerks)
        """Who is on the roster from the first day."""


class Workflows:
    """Plans by code (what is offered now) and by digest (what cases are pinned to)."""

    def __init__(
        self, plans: Mapping[str, Plan], agencies: Mapping[str, Agency], clocks: ClockRules | None = None
    ) -> None:
        """Raises DefinitionInvalid where a matter names a role that nobody here has, or terms that no file of limits has."""
        self.clocks = clocks or clock_rules()
        self._offered = dict(sorted(plans.items()))
        self._by_digest: OrderedDict[str, Plan] = OrderedDict()
        self._agencies = dict(agencies)
        self._by_uscc = {agency.uscc: agency for agency in agencies.values()}
        for plan in plans.values():
            self.must_hold(plan)

    @property
    def offered(self) -> tuple[Plan, ...]:
        """What can be asked for now, by code."""
        return tuple(self._offered.values())

    def current(self, code: str) -> Plan:
        """The plan that new cases follow. Raises MatterNotFound."""
        plan = self._offered.get(code)
        if plan is None:
            raise MatterNotFound("There is no such matter.")
        return plan

    def must_hold(self, plan: Plan) -> None:
        """Raises DefinitionInvalid where it names a role that nobody here has, or terms that no file of limits has."""
        problems = [
            Problem(ProblemCode.AGENCY_UNKNOWN, where, f"No agency here has the role {role}.")
            for where, role in roles_of(plan.matter)
            if role not in self._agencies
        ]
        problems += limit_problems(self.clocks, plan.matter)
        problems += sub_case_problems(plan, self._offered)
        if problems:
            raise DefinitionInvalid(plan.matter.code, problems)

    def offer(self, plan: Plan) -> None:
        """From now on new cases of this matter follow it; what they followed before stays known."""
        before = self._offered.get(plan.matter.code)
        if before is not None:
            self._remember(before)
        self._offered = dict(sorted({**self._offered, plan.matter.code: plan}.items()))

    def known(self, digest: str) -> Plan | None:
        """The plan of this digest, where it is offered or was used here lately."""
        for plan in self._offered.values():
            if plan.digest == digest:
                return plan
        return self._by_digest.get(digest)

    def learn(self, canonical: str) -> Plan:
        """Compile a stored definition again."""
        plan = compile_plan(Matter.model_validate_json(canonical))
        self._remember(plan)
        return plan

    def _remember(self, plan: Plan) -> None:
        self._by_digest[plan.digest] = plan
        if len(self._by_digest) > _OLD_PLANS_MAX:
            self._by_digest.popitem(last=False)

    def agency(self, role: str) -> Agency:
        """The agency in a role; one with an empty USCC where nobody has it any more."""
        return self._agencies.get(role) or Agency(role, "", Text(role, role))

    def place(self, task: NewTask) -> Place:
        """Where a new task goes: to a queue of clerks, or to the agency's own system."""
        agency = self.agency(task.role)
        return place_of(agency.queues, agency.uscc, task.operation, task.matter, task.input)

    @property
    def agencies(self) -> tuple[Agency, ...]:
        """Everybody here."""
        return tuple(self._agencies.values())

    def agency_of(self, uscc: str) -> Agency:
        """The agency of a USCC; its code stands for its name where it is not ours."""
        return self._by_uscc.get(uscc) or Agency("", uscc, Text(uscc or "-", uscc or "-"))


def roles_of(matter: Matter) -> list[tuple[str, str]]:
    """Every role that a matter names, with its place."""
    roles = [("lead", matter.lead)]
    roles += [
        (f"steps.{step.id}.agency", step.agency)
        for step in matter.steps
        if isinstance(step, OwnedStep | WaitStep) and step.agency
    ]
    roles += [
        (f"steps.{step.id}.undo.agency", step.undo.agency)
        for step in matter.steps
        if isinstance(step, UndoableStep) and isinstance(step.undo, UndoTask) and step.undo.agency
    ]
    roles += [
        (f"form.{one.name}.prefill.agency", one.prefill.agency)
        for one in matter.form
        if isinstance(one.prefill, ExchangePrefill)
    ]
    return roles


def clock_rules(limits: Path = LIMITS, region: str = "990100") -> ClockRules:
    """Limits from files and the published calendars, for a region. Raises StartupError, which names the file."""
    return ClockRules(read_limits(limits), published(), region)


def load_workflows(matters: Path, agencies: Path, clocks: ClockRules | None = None) -> Workflows:
    """Read both from disk.

    Raises:
        StartupError: a file can't be read; DefinitionInvalid where a matter is wrong.
    """
    plans: dict[str, Plan] = {}
    for path in sorted(matters.glob("*.yaml")):
        plan = compile_plan(read_matter(path.stem, _text(path)))
        if plan.matter.code in plans:
            problem = Problem(ProblemCode.MATTER_DUPLICATE, path.name, "Another file has this code.")
            raise DefinitionInvalid(plan.matter.code, [problem])
        plans[plan.matter.code] = plan
    if not plans:
        raise StartupError(f"There is no matter (*.yaml) in {matters}.")
    return Workflows(plans, read_agencies(_text(agencies), str(agencies)), clocks)


def read_matter(name: str, text: str) -> Matter:
    """Read one definition.

    Raises:
        DefinitionInvalid: the text is no YAML, or its shape is wrong; every fault has its code and place.
    """
    try:
        return Matter.model_validate(load_yaml(text))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "file"
        why = getattr(error, "problem", None) or "this is no YAML"
        raise DefinitionInvalid(
            name, [Problem(ProblemCode.YAML_MALFORMED, where, f"{why[:1].upper()}{why[1:]}.")]
        ) from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        places = {fault["loc"] for fault in faults}
        problems = [
            Problem(
                ProblemCode.FIELD_UNKNOWN if fault["type"] == "extra_forbidden" else ProblemCode.FIELD_INVALID,
                ".".join(str(part) for part in fault["loc"]) or "file",
                fault["msg"],
            )
            for fault in faults
            # A list with a faulty part is also said to be too short: the part is what the author must mend.
            if not any(place != fault["loc"] and place[: len(fault["loc"])] == fault["loc"] for place in places)
        ]
        raise DefinitionInvalid(name, problems) from None


def read_agencies(text: str, where: str) -> dict[str, Agency]:
    """Read the list of agencies: who stands in which role.

    Raises:
        StartupError: the list is not as it must be.
    """
    try:
        rows = load_yaml(text)["agencies"]
        return {row["key"]: _agency(row) for row in rows}
    except (YAMLError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise StartupError(
            f"{where} is no list of agencies (agencies: key, uscc, name_zh, name_en; where clerks work, queues and clerks)."
        ) from error


def _agency(row: Mapping[str, Any]) -> Agency:
    queues = [
        Queue(
            queue_id=one["id"],
            title=Text(one["title_zh"], one["title_en"]),
            skill=one["skill"],
            operations=frozenset(one.get("operations", ())),
            matters=frozenset(one.get("matters", ())),
            region=one.get("region", ""),
        )
        for one in row.get("queues", ())
    ]
    clerks = [
        Clerk(
            agency=row["uscc"],
            clerk_id=one["id"],
            name=Text(one["name_zh"], one["name_en"]),
            region=str(one.get("region", "")),
            skills=frozenset(one["skills"]),
        )
        for one in row.get("clerks", ())
    ]
    return Agency(row["key"], row["uscc"], Text(row["name_zh"], row["name_en"]), queues=queues, clerks=clerks)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise StartupError(f"{path} is larger than {_BYTES_MAX} bytes.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"{path} can't be read.") from error
