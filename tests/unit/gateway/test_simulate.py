# SPDX-License-Identifier: Apache-2.0
"""A matter tried on a made-up clock with made-up answers and failures."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.cli.definitions import known, read, shipped, simulated, text_of
from services.gateway.definitions.script import Script, ScriptInvalid, read_script
from services.gateway.definitions.simulate import Run, simulate, unknown_names
from services.gateway.domain.case import CaseStatus
from services.gateway.domain.history import kind_of, step_of
from services.gateway.domain.plan import compile_plan
from services.kit.errors import StartupError
from tests.support.gateway_definitions import KNOWN
from tests.support.gateway_matters import TITLE, field, plan_of, step

WITH_SCRIPT = [path for path in shipped() if (path.parent / "simulations" / path.name).exists()]


def run(*steps: Mapping[str, Any], fail: tuple[str, ...] = (), script: str = "", **more: Any) -> Run:
    return simulate(plan_of(*steps, **more), KNOWN, read_script(script).failing(fail))


def happened(run: Run, step_id: str) -> list[str]:
    return [kind_of(one.event) for one in run.moments if step_of(one.event) == step_id]


@pytest.mark.parametrize("path", WITH_SCRIPT, ids=lambda path: path.stem)
def test_every_shipped_script_brings_its_matter_to_completion_without_a_field_or_step_that_is_not_there(
    path: Path,
) -> None:
    plan = compile_plan(read(path))
    script = read_script(text_of(path.parent / "simulations" / path.name))
    assert list(unknown_names(plan, script)) == []
    ran = simulate(plan, known(), script)
    assert ran.status is CaseStatus.COMPLETED, list(ran.lines())
    assert list(ran.lines()) == list(simulate(plan, known(), script).lines())


def test_a_birth_has_a_script() -> None:
    assert "birth" in {path.stem for path in WITH_SCRIPT}


def test_failures_are_retried_after_their_waits_and_park_the_case_when_there_are_too_many() -> None:
    retried = step("a", retry={"max": 3, "waits": ["PT10S", "PT1M"]})
    ran = run(retried, fail=("a:UNAVAILABLE x2",))
    assert ran.status is CaseStatus.COMPLETED
    assert happened(ran, "a") == ["StepStarted", "StepAnswered", "RetryPlanned"] * 2 + ["StepStarted", "StepAnswered"]
    starts = [one.at for one in ran.moments if kind_of(one.event) == "StepStarted"]
    assert [(later - earlier).total_seconds() for earlier, later in pairwise(starts)] == [
        4 * 3600 + 10,
        4 * 3600 + 60,
    ]
    assert run(retried, fail=("a:UNAVAILABLE x3",)).status is CaseStatus.PARKED


def test_a_refusal_ends_the_case_with_its_reason() -> None:
    ran = run(step("a"), fail=("a:REFUSED:NOT_ENTITLED",))
    assert ran.status is CaseStatus.REFUSED
    assert list(ran.lines())[-1] == "refused NOT_ENTITLED after 4:00:00"


def test_a_step_that_takes_longer_than_its_limit_is_as_if_nobody_were_there() -> None:
    ran = run(step("a", time_limit="PT1H"), script="steps: {a: {takes: PT2H}}")
    assert ran.state.step("a").reason == "TIME_LIMIT_EXCEEDED"
    assert ran.status is CaseStatus.PARKED


def test_answers_and_outputs_of_a_script_decide() -> None:
    rule = {"test": "answers.x == 'yes' && steps.a.output.status == 'valid'", "reason": "NO", "message": TITLE}
    steps = (step("a", "fetch"), step("b", "decide", needs=["a"], rules=[rule]))
    script = "{answers: {x: 'yes'}, steps: {a: {output: {status: valid}}}}"
    assert run(*steps, form=(field("x"),), script=script).status is CaseStatus.COMPLETED
    assert run(*steps, form=(field("x"),)).status is CaseStatus.REFUSED


def test_a_script_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    for text, why in (("- a", "script"), ("steps: {a: {fails: [LATE]}}", "fails"), ("a: [", "no YAML")):
        with pytest.raises(ScriptInvalid, match=why):
            read_script(text)
    with pytest.raises(ScriptInvalid, match="offset"):
        read_script("submitted: 2026-11-23T09:00:00")
    with pytest.raises(ScriptInvalid, match="no failure"):
        Script().failing(["a:LATE"])
    with pytest.raises(StartupError, match=r"steps\.nothing"):
        list(simulated(shipped()[0], None, ["nothing:UNAVAILABLE"]))


def test_a_case_that_is_given_up_undoes_what_was_done_and_an_undo_that_fails_parks_it() -> None:
    undone = step("a", undo={"operation": "take_back"})
    ran = run(undone, step("b", needs=["a"]), fail=("b:REFUSED:NO",))
    assert ran.status is CaseStatus.REFUSED
    assert happened(ran, "a.undo") == ["StepStarted", "StepAnswered"]
    stuck = run(undone, step("b", needs=["a"]), fail=("b:REFUSED:NO", "a.undo:UNAVAILABLE"))
    assert stuck.status is CaseStatus.PARKED


def test_a_wait_ends_by_itself_or_by_the_signal_that_the_script_gives() -> None:
    waits = step("w", "wait", signal="arrived", agency="hospital", duration="P10D")
    assert "after 10 days" in list(run(waits).lines())[-1]
    assert "after 1 day, 0:00:00" in list(run(waits, script="steps: {w: {takes: P1D}}").lines())[-1]
