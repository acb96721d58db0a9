# SPDX-License-Identifier: Apache-2.0
"""Preview before transfer: a resident sees what would go to one agency, and confirms exactly that, or declines."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.kit.errors import Code, NotFound, Refusal

TOKEN_TERM = timedelta(minutes=30)
"""How long a resident may look before confirming."""
PENDING_MAX = 20
"""Previews of one agency that wait for one resident."""
CONFIRMED_TERM = timedelta(days=3)
"""How long a confirmed preview may be collected."""


class PreviewNotFound(NotFound):
    """There is no such preview of the caller's, or its time is over."""


class PreviewNotPending(Refusal):
    """The resident has decided before."""


class PreviewNotConfirmed(Refusal):
    """The resident has not decided yet."""


class PreviewDeclined(Refusal):
    """The resident does not want it to be sent."""

    code = Code.PERMISSION_DENIED


class PreviewCollected(Refusal):
    """A confirmed preview is collected once."""


class PreviewTokenInvalid(Refusal):
    """The token is not that of the last look, or it is too old: look again."""


class PreviewChanged(Refusal):
    """What would be sent is no longer what was shown: the resident must look again."""


class TooManyPreviews(Refusal):
    """So many previews of one agency wait for this resident already."""

    code = Code.RESOURCE_EXHAUSTED


class PreviewState(StrEnum):
    """Where a preview stands."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    COLLECTED = "collected"


@dataclass(frozen=True, slots=True)
class Preview:
    """One transfer that waits for the word of the resident. `digest` is keyed, of the values last shown."""

    preview_id: str
    subject_id: str
    agency: str
    resource: str
    purpose: str
    case_id: str
    fields: tuple[str, ...]
    create_time: datetime
    expire_time: datetime
    state: PreviewState = PreviewState.PENDING
    token: str = ""
    token_time: datetime | None = None
    digest: str = ""

    def same_question(self, other: "Preview") -> bool:
        """Tell whether two ask for the same transfer."""
        mine = (self.subject_id, self.agency, self.resource, self.purpose, self.case_id)
        return (
            mine == (other.subject_id, other.agency, other.resource, other.purpose, other.case_id)
            and self.fields == other.fields
        )


@dataclass(frozen=True, slots=True)
class PreviewDecided:
    """A preview was asked for (pending), decided or has become pending again. The subject is an id."""

    preview_id: str
    subject_id: str
    agency: str
    state: PreviewState


def must_be_pending(preview: Preview) -> None:
    """Raises PreviewNotPending."""
    if preview.state is not PreviewState.PENDING:
        raise PreviewNotPending(f"The preview is {preview.state.value}.")


def shown(before: Preview, *, token: str, digest: str, now: datetime) -> Preview:
    """Bind a new token to the values that are shown; the one before is void. Raises PreviewNotPending."""
    must_be_pending(before)
    return replace(before, token=token, token_time=now, digest=digest)


def confirm(before: Preview, token: str, *, now: datetime) -> tuple[Preview, PreviewDecided]:
    """Let exactly what was shown be sent, once. Raises PreviewNotPending, PreviewTokenInvalid."""
    must_be_pending(before)
    if not before.token or token != before.token or before.token_time is None or now > before.token_time + TOKEN_TERM:
        raise PreviewTokenInvalid("The token is not that of the last look, or it is too old.", remedy="Look again.")
    after = replace(
        before, state=PreviewState.CONFIRMED, token="", expire_time=min(before.expire_time, now + CONFIRMED_TERM)
    )
    return after, _decided(after)


def decline(before: Preview) -> tuple[Preview, PreviewDecided]:
    """Keep it from being sent. Raises PreviewNotPending."""
    must_be_pending(before)
    after = replace(before, state=PreviewState.DECLINED, token="")
    return after, _decided(after)


def must_be_collectable(preview: Preview) -> None:
    """Raises PreviewNotConfirmed, PreviewDeclined, PreviewCollected."""
    if preview.state is PreviewState.PENDING:
        raise PreviewNotConfirmed("The resident has not decided yet.")
    if preview.state is PreviewState.DECLINED:
        raise PreviewDeclined("The resident declined.")
    if preview.state is PreviewState.COLLECTED:
        raise PreviewCollected("The preview was collected before.")


def changed(before: Preview) -> tuple[Preview, PreviewDecided]:
    """Ask the resident again: the values are no longer those that were shown."""
    after = replace(before, state=PreviewState.PENDING, token="", digest="")
    return after, _decided(after)


def collected(before: Preview) -> Preview:
    """Note that it was sent."""
    return replace(before, state=PreviewState.COLLECTED)


def asked(preview: Preview) -> PreviewDecided:
    """Tell that a resident is asked to look."""
    return _decided(preview)


def _decided(preview: Preview) -> PreviewDecided:
    return PreviewDecided(preview.preview_id, preview.subject_id, preview.agency, preview.state)
