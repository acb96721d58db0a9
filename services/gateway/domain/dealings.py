# SPDX-License-Identifier: Apache-2.0
"""What an agency and the applicant have to do with each other while a task is open: corrections, more time, experts.

Nothing of it ends a step: the task stays with whoever has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.gateway.domain.facts import CorrectionRequestedFact, ExtensionDecidedFact, ExtensionRequestedFact
from services.gateway.domain.history import (
    CorrectionItem,
    CorrectionMade,
    CorrectionRequested,
    DealingEvent,
    ExpertAnswered,
    ExpertAsked,
    ExtensionDecided,
    ExtensionRequested,
)
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import (
    CorrectionInvalid,
    CorrectionRepeated,
    ExtensionNotAsked,
    ExtensionRepeated,
    FourEyes,
    OpinionAsked,
    OpinionNotAsked,
)
from services.kit.errors import Violation
from services.kit.text import Text

REPEATS_MAX = 2
"""How often a step may ask again, for what was corrected and is still not right."""
EXTENSION_DAYS_MAX = 60
"""Working days. What a matter's law allows is for its clock; this only bounds the request."""

REVIEW = Text(
    "专家评审所需时间不计入期限（《行政许可法》第四十五条）",
    "The time of an expert's review does not count (Administrative Licensing Law, art. 45)",
)


@dataclass(frozen=True, slots=True)
class Extension:
    """More time that was asked for."""

    by: str
    working_days: int
    message: Text
    """Why."""
    granted: bool | None = None
    """None until it is decided."""
    granted_by: str = ""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an expert was asked."""

    step_id: str
    expert: str
    basis: str = ""
    """By which law the time until the answer does not count; empty where it counts."""
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Dealings:
    """Everything of this kind in one case."""

    corrections: Mapping[str, tuple[CorrectionItem, ...]] = field(default_factory=dict)
    """By step: what is still to be corrected."""
    asked: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)
    """By step: when it asked for corrections."""
    corrected: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By step: names of everything that was corrected."""
    extensions: Mapping[str, Extension] = field(default_factory=dict)
    """By step, the last one."""
    opinions: Mapping[str, Opinion] = field(default_factory=dict)
    """By id."""


def after(dealings: Dealings, event: DealingEvent) -> Dealings:
    """The fold."""
    match event:
        case CorrectionRequested():
            times = {**dealings.asked, event.step_id: (*dealings.asked.get(event.step_id, ()), event.at)}
            corrections = {**dealings.corrections, event.step_id: event.items}
            return replace(dealings, corrections=corrections, asked=times)
        case CorrectionMade():
            return _corrected(dealings, event.steps)
        case ExtensionRequested():
            asked = Extension(event.by, event.working_days, event.message)
            return replace(dealings, extensions={**dealings.extensions, event.step_id: asked})
        case ExtensionDecided():
            decided = replace(dealings.extensions[event.step_id], granted=event.granted, granted_by=event.by)
            return replace(dealings, extensions={**dealings.extensions, event.step_id: decided})
        case ExpertAsked():
            asked_of = Opinion(event.step_id, event.expert, event.basis)
            return replace(dealings, opinions={**dealings.opinions, event.opinion_id: asked_of})
        case ExpertAnswered():
            given = replace(dealings.opinions[event.opinion_id], answered=True)
            return replace(dealings, opinions={**dealings.opinions, event.opinion_id: given})


def _corrected(dealings: Dealings, steps: Sequence[str]) -> Dealings:
    done = {step_id: frozenset(item.name for item in dealings.corrections.get(step_id, ())) for step_id in steps}
    corrected = {step_id: dealings.corrected.get(step_id, frozenset()) | names for step_id, names in done.items()}
    left = {step_id: items for step_id, items in dealings.corrections.items() if step_id not in done}
    return replace(dealings, corrections=left, corrected={**dealings.corrected, **corrected})


def awaits_review(dealings: Dealings) -> bool:
    """Whether an expert is asked whose time the law leaves out."""
    return any(one.basis and not one.answered for one in dealings.opinions.values())


def fact_of(
    case_id: str, event: CorrectionRequested | ExtensionRequested | ExtensionDecided
) -> CorrectionRequestedFact | ExtensionRequestedFact | ExtensionDecidedFact:
    """What others are told of it."""
    match event:
        case CorrectionRequested():
            return CorrectionRequestedFact(case_id, event.step_id, tuple(item.name for item in event.items))
        case ExtensionRequested():
            return ExtensionRequestedFact(case_id, event.step_id, event.working_days)
        case ExtensionDecided():
            return ExtensionDecidedFact(case_id, event.step_id, event.working_days, event.granted)


def ask_correction(
    plan: Plan, dealings: Dealings, step_id: str, items: Sequence[CorrectionItem], by: str, *, now: datetime
) -> CorrectionRequested:
    """Ask the applicant for everything that is to be corrected, at once and once (administrative license law, art. 32).

    Raises:
        CorrectionRepeated: this step has asked before; it may ask again only for what was corrected, up to twice.
        CorrectionInvalid: an item that the form does not ask for, or one that is named twice.
    """
    times, before = len(dealings.asked.get(step_id, ())), dealings.corrected.get(step_id, frozenset())
    again = step_id not in dealings.corrections and times <= REPEATS_MAX and {item.name for item in items} <= before
    if times and not again:
        raise CorrectionRepeated(
            "Everything that is to be corrected is asked for at once; this was done.",
            remedy="What was corrected may be asked for again; anything else is decided as it stands.",
        )
    known = {one.name for one in plan.matter.form if not one.read_only} | plan.materials.keys()
    names = [item.name for item in items]
    violations = [
        Violation(f"items.{at}.name", "The matter does not ask for it." if name not in known else "Is named twice.")
        for at, name in enumerate(names)
        if name not in known or name in names[:at]
    ]
    if violations:
        raise CorrectionInvalid("Some items can't be corrected.", violations=violations)
    return CorrectionRequested(now, step_id, tuple(items), by)


def ask_extension(
    dealings: Dealings, step_id: str, working_days: int, reason: Text, by: str, *, now: datetime
) -> ExtensionRequested:
    """Ask the head of the agency for more time, once (administrative license law, art. 42).

    Raises:
        ExtensionRepeated: one is being decided, or was granted.
    """
    last = dealings.extensions.get(step_id)
    if last is not None and last.granted is not False:
        raise ExtensionRepeated("More time was asked for; it is being decided, or was granted.")
    return ExtensionRequested(now, step_id, working_days, reason, by)


def decide_extension(dealings: Dealings, step_id: str, by: str, *, granted: bool, now: datetime) -> ExtensionDecided:
    """Grant more time or not.

    Raises:
        ExtensionNotAsked: there is nothing to decide.
        FourEyes: who asked can't grant it.
    """
    last = dealings.extensions.get(step_id)
    if last is None or last.granted is not None:
        raise ExtensionNotAsked("Nobody has asked for more time, or it is decided.")
    if last.by == by:
        raise FourEyes("Whoever asked for more time can't decide on it.")
    return ExtensionDecided(now, step_id, granted, last.working_days, by)


def ask_expert(dealings: Dealings, step_id: str, expert: str, by: str, basis: str, *, now: datetime) -> ExpertAsked:
    """Ask one expert at a time for an opinion. Raises OpinionAsked."""
    number = sum(one.step_id == step_id for one in dealings.opinions.values())
    if open_opinion(dealings, step_id) is not None:
        raise OpinionAsked("An expert was asked already, and has not answered yet.")
    return ExpertAsked(now, step_id, f"{step_id}:{number + 1}", expert, by, basis)


def give_opinion(dealings: Dealings, step_id: str, by: str, *, now: datetime) -> ExpertAnswered:
    """The expert has answered. Raises OpinionNotAsked where somebody else was asked, or nobody."""
    asked = open_opinion(dealings, step_id)
    if asked is None or dealings.opinions[asked].expert != by:
        raise OpinionNotAsked("You were not asked for this opinion, or you have given it.")
    return ExpertAnswered(now, step_id, asked, by)


def open_opinion(dealings: Dealings, step_id: str) -> str | None:
    """The id of the opinion that a step waits for."""
    found = (key for key, one in dealings.opinions.items() if one.step_id == step_id and not one.answered)
    return next(found, None)
