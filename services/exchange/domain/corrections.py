# SPDX-License-Identifier: Apache-2.0
"""A disputed value (校核纠错): the provider answers; what was wrong is called back from everybody who had received it.

Basis: Regulation on Government Data Sharing (Order 809, 2025), check and correction; PIPL, art. 46 (right to correction).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.exchange.domain.grant import Grant
from services.exchange.domain.refusals import (
    CorrectionNotOpen,
    RecallAcknowledged,
)
from services.exchange.domain.resource import Resource
from services.kit.errors import RequestInvalid, Violation
from services.kit.ledger.access import ANSWERED

BASIS = "Order 809; PIPL art. 46"
PURPOSE = "correction"
CITIZEN = "citizen:"
"""Begins the word for a resident who claims; nothing follows where the person's key was erased."""
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
OPERATIONS = frozenset({"correction_opened", "correction_read", "recall_read"})
"""Of the corrections' own leaves, which give no value out."""


class CorrectionState(StrEnum):
    """Where it stands."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class ProofKind(StrEnum):
    """What stands behind a claim."""

    LICENSE = "license"
    DOCUMENT = "document"


class RejectionGround(StrEnum):
    """Why a value stands."""

    VALUE_CORRECT = "value_correct"
    PROOF_INSUFFICIENT = "proof_insufficient"
    NOT_COMPETENT = "not_competent"
    PENDING_ELSEWHERE = "pending_elsewhere"


class RecallMeasure(StrEnum):
    """What a receiver did."""

    CORRECTED = "corrected"
    DELETED = "deleted"
    NOT_KEPT = "not_kept"
    DECISION_REVIEWED = "decision_reviewed"


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof, by reference."""

    kind: ProofKind
    reference: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is disputed, in the claimant's words. Sealed wherever it is kept."""

    subject_id: str = field(repr=False)
    """As the ledger accounts for the subject."""
    subject_kind: str = field(repr=False)
    subject: str = field(repr=False)
    claimed: str = field(repr=False)
    grounds: str = field(repr=False)
    proofs: tuple[Proof, ...] = field(repr=False)


SEALED = Claim("", "", "", "", "", ())
"""Stands where the words were not opened, because a list shows none."""

FORGOTTEN = SEALED
"""Stands where the person's key was erased."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One disputed value. `claimant` is `agency:<USCC>` or `citizen:<pseudonym>`, `subject` the ledger's pseudonym."""

    correction_id: str
    resource: str
    field_name: str
    provider: str
    region: str
    subject: str
    claimant: str
    claim: Claim
    open_time: datetime
    state: CorrectionState = CorrectionState.OPEN
    extended: bool = False
    late: bool = False
    swept: bool = False
    """Whether the ledger was searched again, after all answers that were on their way had their leaf."""
    answer_time: datetime | None = None
    close_time: datetime | None = None
    rejection: RejectionGround | None = None
    explanation: str = field(default="", repr=False)

    @property
    def disputed(self) -> bool:
        """Whether queriers are told that the value is in dispute."""
        return self.state is CorrectionState.OPEN


@dataclass(frozen=True, slots=True)
class Recall:
    """One receiver's duty to take note."""

    correction_id: str
    agency: str
    uses: int
    last_use_time: datetime
    tell_time: datetime
    acknowledge_time: datetime | None = None
    measure: RecallMeasure | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class CorrectionChanged:
    """It was opened or has moved on."""

    correction_id: str
    resource: str
    field_name: str
    provider: str
    state: CorrectionState


@dataclass(frozen=True, slots=True)
class RecallIssued:
    """An agency is to acknowledge."""

    correction_id: str
    agency: str
    resource: str
    field_name: str


@dataclass(frozen=True, slots=True)
class CaseUsedCorrectedValue:
    """A case rests on a value that was wrong."""

    case_id: str
    correction_id: str
    resource: str
    field_name: str


class Duty(StrEnum):
    """What a clock is for."""

    ANSWER = "answer"
    ACKNOWLEDGE = "acknowledge"


@dataclass(frozen=True, slots=True)
class CorrectionClockRang:
    """Somebody is to be reminded; `bell` is the kit's word."""

    correction_id: str
    agency: str
    duty: Duty
    bell: str
    number: int


def check_disputable(resource: Resource, field_name: str, proofs: Sequence[Proof]) -> None:
    """Refuse what can't be disputed, or not with these proofs. Raises RequestInvalid."""
    faults = [] if field_name in resource.field_names else [Violation("field", "A field of the resource.")]
    faults += [
        Violation(f"proofs[{at}].reference", "A SHA-256 or SM3 digest, 64 hexadecimal digits.")
        for at, each in enumerate(proofs)
        if each.kind is ProofKind.DOCUMENT and not _DIGEST.fullmatch(each.reference)
    ]
    if faults:
        raise RequestInvalid("The value can't be disputed so.", violations=faults)


def gives(grant: Grant, field_name: str, now: datetime) -> bool:
    """Whether a grant lets its holder see or compare a field now."""
    return not grant.revoked and now < grant.expire_time and field_name in {*grant.fields, *grant.verify_fields}


def changed(correction: Correction) -> CorrectionChanged:
    """Give the fact of how it stands now."""
    return CorrectionChanged(
        correction.correction_id, correction.resource, correction.field_name, correction.provider, correction.state
    )


def confirm(before: Correction, *, explanation: str, now: datetime) -> Correction:
    """The value was wrong and is corrected. Raises CorrectionNotOpen."""
    _must_be_open(before)
    return replace(before, state=CorrectionState.CONFIRMED, explanation=explanation, answer_time=now)


def reject(before: Correction, *, ground: RejectionGround, explanation: str, now: datetime) -> Correction:
    """The value stands. Raises CorrectionNotOpen."""
    _must_be_open(before)
    return replace(before, state=CorrectionState.REJECTED, rejection=ground, explanation=explanation, answer_time=now)


def withdraw(before: Correction, *, now: datetime) -> Correction:
    """The claimant no longer disputes it. Raises CorrectionNotOpen."""
    _must_be_open(before)
    return replace(before, state=CorrectionState.WITHDRAWN, close_time=now)


def forgotten(before: Correction, *, now: datetime) -> Correction:
    """Keep that there was a dispute, of which field, how and when it ended; not about whom, nor a word of it.

    An open one ends: nobody could be told any more what comes of it. Receivers that were told may still acknowledge.
    """
    ended = withdraw(before, now=now) if before.disputed else before
    own = before.claimant.startswith(CITIZEN)
    return replace(ended, subject="", claimant=CITIZEN if own else before.claimant, claim=FORGOTTEN, explanation="")


def extend(before: Correction) -> Correction:
    """The provider takes more time; the clock knows whether it may. Raises CorrectionNotOpen."""
    _must_be_open(before)
    return replace(before, extended=True)


def overdue(before: Correction) -> Correction:
    """The provider's clock has run out; an answer is awaited all the same."""
    return replace(before, late=True) if before.state is CorrectionState.OPEN else before


def swept(before: Correction, *, outstanding: int, now: datetime) -> Correction:
    """The last search of the ledger is done; without receivers that still have to acknowledge, that was all."""
    return settled(replace(before, swept=True), outstanding=outstanding, now=now)


def settled(before: Correction, *, outstanding: int, now: datetime) -> Correction:
    """Close once everybody has acknowledged and nobody can be found any more; else nothing changes."""
    if before.state is not CorrectionState.CONFIRMED or not before.swept or outstanding:
        return before
    return replace(before, state=CorrectionState.CLOSED, close_time=now)


def acknowledge(before: Recall, measure: RecallMeasure, *, now: datetime) -> Recall:
    """A receiver has taken note. Raises RecallAcknowledged."""
    if before.acknowledge_time is not None:
        raise RecallAcknowledged("This recall was acknowledged before.")
    return replace(before, acknowledge_time=now, measure=measure)


def recall_late(before: Recall) -> Recall:
    """Its clock has run out; an acknowledgement is awaited all the same."""
    return replace(before, late=True) if before.acknowledge_time is None else before


@dataclass(frozen=True, slots=True)
class Use:
    """One answered leaf that gave the value out, or an answer that rests on it."""

    agency: str
    time: datetime
    case_id: str


def uses_among(bodies: Iterable[bytes], correction: Correction, *, since: datetime, until: datetime) -> tuple[Use, ...]:
    """Read out of leaves who had received the value, and for which case; what was refused gave nothing out.

    The leaves are about the subject already. An agency's own question names it as caller, everything on behalf of one
    (a case's step, a resident's prefill) as that. The provider itself is no receiver.
    """
    found = (_use(json.loads(body), correction) for body in bodies if body)  # an archived one is past every recall
    return tuple(use for use in found if use is not None and since <= use.time <= until)


def _use(leaf: Mapping[str, Any], correction: Correction) -> Use | None:
    if (
        leaf["outcome"] != ANSWERED
        or leaf["resource"] != correction.resource
        or correction.field_name not in leaf["fields"]
        or leaf["operation"] in OPERATIONS
    ):
        return None
    kind, _, caller = str(leaf["caller"]).partition(":")
    agency = leaf["on_behalf_of"] or (caller if kind == "agency" else "")
    if not agency or agency == correction.provider:
        return None
    return Use(agency, datetime.fromisoformat(leaf["time"]), leaf["case"])


def _must_be_open(correction: Correction) -> None:
    if correction.state is not CorrectionState.OPEN:
        raise CorrectionNotOpen(f"The correction is {correction.state.value}.")
