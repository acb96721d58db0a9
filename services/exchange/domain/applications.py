# SPDX-License-Identifier: Apache-2.0
"""An application for a grant (Order 809, chapter 4): complete or handed back once, decided, disputed, coordinated.

Pure: every act gives the application after it, or refuses. The state says whose turn it is.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from services.exchange.domain.refusals import (
    ActNotYours,
    ApplicationNotOpen,
    ExtensionAsked,
    HandedBackBefore,
    NotNarrower,
    SharingRefused,
)
from services.exchange.domain.resource import Resource, SharingClass
from services.exchange.domain.scope import Scope, is_within, scope_faults
from services.kit.errors import RequestInvalid, Violation

INCOMPLETE: Final = "APPLICATION_INCOMPLETE"
BY_LAW: Final = "SHARING_REFUSED"
BY_PROVIDER: Final = "PROVIDER_REFUSED"
BY_COORDINATOR: Final = "COORDINATOR_REFUSED"
PLATFORM: Final = "platform"


class State(StrEnum):
    """Whose turn it is, or how it ended."""

    HANDED_BACK = "handed_back"  # the requester's: to complete it
    DECIDING = "deciding"  # the provider's: to decide
    NEGOTIATING = "negotiating"  # both parties': to agree after a dispute
    COORDINATING = "coordinating"  # the sharing authority's: to decide
    REFUSED = "refused"  # the requester's: to dispute, unless it is final
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class Act(StrEnum):
    """What happened."""

    APPLIED = "applied"
    HANDED_BACK = "handed_back"
    COMPLETED = "completed"
    EXTENSION_ASKED = "extension_asked"
    EXTENDED = "extended"
    EXTENSION_DECLINED = "extension_declined"
    GRANTED = "granted"
    REFUSED = "refused"
    OVERDUE = "overdue"
    DISPUTED = "disputed"
    ESCALATED = "escalated"
    FINAL = "final"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class Extension(StrEnum):
    """Whether the time to decide was extended: once, with the sharing authority's approval."""

    NONE = "none"
    ASKED = "asked"
    GIVEN = "given"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Step:
    """One act: by whom (USCC, operator, or the platform), when, in which words."""

    act: Act
    by: str
    at: datetime
    words: str = ""


@dataclass(frozen=True, slots=True)
class Application:
    """An application as it stands; `history` is how it came there, oldest first."""

    application_id: str
    resource: str
    requester: str
    provider: str
    scene: str
    wanted: Scope
    state: State
    history: tuple[Step, ...]
    missing: tuple[Violation, ...] = ()
    handed_back: bool = False
    extension: Extension = Extension.NONE
    overdue: bool = False
    reason: str = ""
    given: Scope | None = None
    final: bool = False
    accept_time: datetime | None = None
    decide_time: datetime | None = None

    @property
    def last(self) -> Step:
        """The newest act."""
        return self.history[-1]

    @property
    def grant_id(self) -> str:
        """The grant that it led to, of the same id: there is never more than one."""
        return self.application_id if self.state is State.GRANTED else ""

    @property
    def narrowed(self) -> bool:
        """Whether less was given than was applied for."""
        return self.given is not None and self.given != self.wanted

    def after(self, act: Act, by: str, at: datetime, words: str = "", **changes: object) -> "Application":
        """Give the application after one more act."""
        return replace(self, history=(*self.history, Step(act, by, at, words)), **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ApplicationChanged:
    """Something happened to an application."""

    application_id: str
    resource: str
    requester: str
    provider: str
    act: Act
    state: State
    reason: str
    grant_id: str


@dataclass(frozen=True, slots=True)
class ApplicationClockRang:
    """A clock of an application warns, has run out, or ran out long ago: for the coordinator."""

    application_id: str
    provider: str
    clock: str
    bell: str
    number: int
    due_time: datetime


def changed(application: Application) -> ApplicationChanged:
    """Tell the newest act."""
    return ApplicationChanged(
        application.application_id,
        application.resource,
        application.requester,
        application.provider,
        application.last.act,
        application.state,
        application.reason,
        application.grant_id,
    )


def apply(draft: Application, resource: Resource, *, now: datetime) -> Application:
    """Check the form: `draft` has no history yet. What is missing is told once and completely."""
    applied = draft.after(Act.APPLIED, draft.requester, now)
    if missing := _missing(applied, resource, now):
        return _handed_back(applied, missing, by=PLATFORM, now=now)
    return _accepted(applied, resource, now=now)


def complete(before: Application, scene: str, wanted: Scope, resource: Resource, *, now: datetime) -> Application:
    """Hand it in again; what is still incomplete after one complete notice is refused, with what is missing."""
    _must_be(before, State.HANDED_BACK)
    completed = before.after(Act.COMPLETED, before.requester, now, scene=scene, wanted=wanted, missing=())
    if missing := _missing(completed, resource, now):
        words = "; ".join(f"{each.field}: {each.description}" for each in missing)
        return _refused(replace(completed, missing=missing), INCOMPLETE, words, by=PLATFORM, now=now)
    return _accepted(completed, resource, now=now)


def hand_back(before: Application, missing: tuple[Violation, ...], *, by: str, now: datetime) -> Application:
    """Give it back for what the platform could not see is missing; an application is given back once."""
    _must_be(before, State.DECIDING)
    _must_be_party(by, before.provider)
    if before.handed_back:
        raise HandedBackBefore("An application is handed back once, with everything that is missing.")
    return _handed_back(before, missing, by=by, now=now)


def ask_extension(before: Application, grounds: str, *, by: str, now: datetime) -> Application:
    """Ask the sharing authority for more time, once and in time."""
    _must_be(before, State.DECIDING)
    _must_be_party(by, before.provider)
    if before.extension is not Extension.NONE or before.overdue:
        raise ExtensionAsked("More time is asked for once, before the time is over.")
    return before.after(Act.EXTENSION_ASKED, by, now, grounds, extension=Extension.ASKED)


def decide_extension(before: Application, *, approved: bool, grounds: str, by: str, now: datetime) -> Application:
    """Give more time or not; the requester is told by the fact."""
    _must_be(before, State.DECIDING)
    if before.extension is not Extension.ASKED:
        raise ApplicationNotOpen("Nobody asks for more time.")
    if approved:
        return before.after(Act.EXTENDED, by, now, grounds, extension=Extension.GIVEN)
    return before.after(Act.EXTENSION_DECLINED, by, now, grounds, extension=Extension.DECLINED)


def give(before: Application, given: Scope, resource: Resource, *, grounds: str, by: str, now: datetime) -> Application:
    """Agree, in full or narrower; the provider while it is theirs to decide, the sharing authority by `resolve`."""
    _must_be(before, State.DECIDING, State.NEGOTIATING)
    _must_be_party(by, before.provider)
    return _given(before, given, resource, grounds=grounds, by=by, now=now)


def refuse(before: Application, grounds: str, *, by: str, now: datetime) -> Application:
    """Say no and why."""
    _must_be(before, State.DECIDING)
    _must_be_party(by, before.provider)
    return _refused(before, BY_PROVIDER, grounds, by=by, now=now)


def dispute(before: Application, grounds: str, *, now: datetime) -> Application:
    """Contest a refusal: the parties negotiate."""
    _must_be(before, State.REFUSED)
    if before.final:
        raise ApplicationNotOpen("The refusal is final.")
    return before.after(Act.DISPUTED, before.requester, now, grounds, state=State.NEGOTIATING)


def escalate(before: Application, *, by: str, now: datetime, words: str = "") -> Application:
    """End a negotiation that leads nowhere: the sharing authority decides. By a party, or by the clock."""
    _must_be(before, State.NEGOTIATING)
    if by != PLATFORM:
        _must_be_party(by, before.provider, before.requester)
    return before.after(Act.ESCALATED, by, now, words, state=State.COORDINATING)


def resolve_with_grant(
    before: Application, given: Scope, resource: Resource, *, grounds: str, by: str, now: datetime
) -> Application:
    """Let the sharing authority agree in the provider's stead."""
    _must_be_coordinated(before)
    return _given(before, given, resource, grounds=grounds, by=by, now=now)


def resolve_with_refusal(before: Application, grounds: str, *, by: str, now: datetime) -> Application:
    """Let the sharing authority refuse: that is final here."""
    _must_be_coordinated(before)
    return replace(_refused(before, BY_COORDINATOR, grounds, by=by, now=now), final=True)


def withdraw(before: Application, *, now: datetime) -> Application:
    """Take an application back that is not decided."""
    _must_be(before, State.HANDED_BACK, State.DECIDING, State.NEGOTIATING, State.COORDINATING)
    return before.after(Act.WITHDRAWN, before.requester, now, state=State.WITHDRAWN)


def ran_out(before: Application, *, now: datetime) -> Application:
    """Let the clock of the state it is in have run out: nothing waits in silence."""
    match before.state:
        case State.HANDED_BACK:
            return before.after(Act.LAPSED, PLATFORM, now, state=State.LAPSED)
        case State.DECIDING | State.COORDINATING:
            return before.after(Act.OVERDUE, PLATFORM, now, overdue=True)
        case State.NEGOTIATING:
            return escalate(before, by=PLATFORM, now=now)
        case State.REFUSED:
            return before.after(Act.FINAL, PLATFORM, now, final=True)
        case State.GRANTED | State.WITHDRAWN | State.LAPSED:
            raise ApplicationNotOpen("The application has ended.")


def _missing(application: Application, resource: Resource, now: datetime) -> tuple[Violation, ...]:
    faults = scope_faults(application.wanted, resource, requester=application.requester, now=now)
    if not application.scene.strip():
        faults.append(Violation("scene", "What the data is needed for: the matter and its step."))
    if not application.wanted.terms.methods:
        faults.append(Violation("wanted.terms.methods", "How it is to be asked for."))
    return tuple(faults)


def _accepted(complete: Application, resource: Resource, *, now: datetime) -> Application:
    match resource.sharing_class:
        case SharingClass.REFUSED:
            return _refused(complete, BY_LAW, resource.sharing_reason, by=PLATFORM, now=now)
        case SharingClass.UNCONDITIONAL:
            accepted = replace(complete, accept_time=now)
            return accepted.after(
                Act.GRANTED, PLATFORM, now, state=State.GRANTED, given=complete.wanted, decide_time=now
            )
        case SharingClass.CONDITIONAL:
            return replace(complete, state=State.DECIDING, accept_time=now)


def _handed_back(before: Application, missing: tuple[Violation, ...], *, by: str, now: datetime) -> Application:
    words = "; ".join(f"{each.field}: {each.description}" for each in missing)
    changes = {"state": State.HANDED_BACK, "missing": missing, "handed_back": True, "accept_time": None}
    return before.after(Act.HANDED_BACK, by, now, words, **changes)


def _refused(before: Application, reason: str, grounds: str, *, by: str, now: datetime) -> Application:
    return before.after(Act.REFUSED, by, now, grounds, state=State.REFUSED, reason=reason, decide_time=now)


def _given(
    before: Application, given: Scope, resource: Resource, *, grounds: str, by: str, now: datetime
) -> Application:
    if resource.sharing_class is SharingClass.REFUSED:
        raise SharingRefused(f"Resource {resource.code} is not shared: {resource.sharing_reason}")
    if faults := scope_faults(given, resource, requester=before.requester, now=now):
        raise RequestInvalid("The grant can't be given as decided.", violations=faults)
    if not is_within(given, before.wanted, resource.field_names):
        raise NotNarrower("A decision gives what was applied for, or less.")
    if given != before.wanted and not grounds.strip():
        raise RequestInvalid(
            "Less is given than was applied for.", violations=[Violation("grounds", "The reason for giving less.")]
        )
    changes = {"state": State.GRANTED, "given": given, "decide_time": now, "reason": ""}
    return before.after(Act.GRANTED, by, now, grounds, **changes)


def _must_be(application: Application, *states: State) -> None:
    if application.state not in states:
        raise ApplicationNotOpen(f"The application is {application.state.value}.")


def _must_be_coordinated(application: Application) -> None:
    """The sharing authority decides what was brought to it, and what the provider left undecided."""
    if application.state is not State.DECIDING or not application.overdue:
        _must_be(application, State.COORDINATING)


def _must_be_party(by: str, *parties: str) -> None:
    if by not in parties:
        raise ActNotYours("That is another agency's to do.")
