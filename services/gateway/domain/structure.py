# SPDX-License-Identifier: Apache-2.0
"""The shape of a definition: who waits for whom."""

from collections import Counter
from collections.abc import Iterator, Mapping

from services.gateway.domain.definition import Matter, OnFailure, Step, WaitStep
from services.gateway.domain.problems import Problem, ProblemCode


def structure_problems(matter: Matter) -> Iterator[Problem]:
    """Duplicates, unknown references, cycles, steps out of reach, and joins that a skipped branch would starve."""
    for name, count in Counter(one.name for one in matter.form).items():
        if count > 1:
            yield Problem(ProblemCode.FIELD_DUPLICATE, f"form.{name}", "Two fields have this name.")
    yield from _materials(matter)
    for step_id, count in Counter(step.id for step in matter.steps).items():
        if count > 1:
            yield Problem(ProblemCode.STEP_DUPLICATE, f"steps.{step_id}", "Two steps have this id.")
    for signal, count in Counter(step.signal for step in matter.steps if isinstance(step, WaitStep)).items():
        if signal and count > 1:
            yield Problem(ProblemCode.SIGNAL_DUPLICATE, f"signals.{signal}", "Two steps wait for this signal.")
    by_id = {step.id: step for step in matter.steps}
    for step in matter.steps:
        for other in (*step.needs, *step.after):
            if other not in by_id:
                yield Problem(ProblemCode.STEP_UNKNOWN, f"steps.{step.id}", f"There is no step {other}.")
    yield from _cycles(by_id)
    yield from _starved(by_id)


def _materials(matter: Matter) -> Iterator[Problem]:
    names = [*{one.name for one in matter.form}, *(one.id for one in matter.materials)]
    for name, count in Counter(names).items():
        if count > 1:
            yield Problem(ProblemCode.FIELD_DUPLICATE, f"materials.{name}", "A field or another material is called so.")


def ancestors(matter: Matter, step_id: str) -> frozenset[str]:
    """Every step that is settled before this one starts; tolerates cycles and unknown ids."""
    by_id = {step.id: step for step in matter.steps}
    found: set[str] = set()
    open_ids = [step_id]
    while open_ids:
        step = by_id.get(open_ids.pop())
        for other in (*step.needs, *step.after) if step else ():
            if other not in found and other in by_id:
                found.add(other)
                open_ids.append(other)
    return frozenset(found)


def may_be_skipped(step: Step) -> bool:
    """Whether a case can go on without this step having been done."""
    return step.optional or step.when is not None or step.on_failure is OnFailure.CONTINUE


def _cycles(by_id: Mapping[str, Step]) -> Iterator[Problem]:
    """What is left when everything that can settle has settled: members of cycles, and what waits behind them."""
    waits = {step.id: {other for other in (*step.needs, *step.after) if other in by_id} for step in by_id.values()}
    settled: set[str] = set()
    while ready := {step_id for step_id, others in waits.items() if step_id not in settled and others <= settled}:
        settled |= ready
    left = {step_id: waits[step_id] - settled for step_id in waits if step_id not in settled}
    for step_id in left:
        if _reaches(left, step_id, step_id):
            yield Problem(ProblemCode.STEP_CYCLE, f"steps.{step_id}", "It waits for itself.")
        else:
            yield Problem(ProblemCode.STEP_UNREACHABLE, f"steps.{step_id}", "It waits for steps that never settle.")


def _reaches(waits: Mapping[str, set[str]], start: str, goal: str) -> bool:
    seen: set[str] = set()
    open_ids = [start]
    while open_ids:
        for other in waits.get(open_ids.pop(), ()):
            if other == goal:
                return True
            if other not in seen:
                seen.add(other)
                open_ids.append(other)
    return False


def _starved(by_id: Mapping[str, Step]) -> Iterator[Problem]:
    """A step that must happen may not need one that may be skipped: the whole branch would vanish in silence."""
    for step in by_id.values():
        if may_be_skipped(step):
            continue
        for other in step.needs:
            if other in by_id and may_be_skipped(by_id[other]):
                yield Problem(
                    ProblemCode.NEED_MAY_BE_SKIPPED,
                    f"steps.{step.id}",
                    f"Step {other} may be skipped; wait for it with `after`, or give this step a condition.",
                )
