# SPDX-License-Identifier: Apache-2.0
"""What residents and departments may ask of the gateway; imperatives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CreateCase:
    """Open a draft. The same caller and key again give the same case; another body under the key is refused."""

    matter: str
    answers: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    """Optional steps that are not wanted."""
    idempotency_key: str = ""
    """1 to 200 visible ASCII characters; empty for none."""


@dataclass(frozen=True, slots=True)
class ChangeAnswers:
    """Change a draft. Fields left out stay; an empty string takes an answer back."""

    case_id: str
    answers: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] | None = None
    """None leaves the choice of optional steps as it is."""
    version: int | None = None
    """`CaseView.version` that was read; VERSION_CONFLICT where the case has moved on. None to skip the check."""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class DeleteDraft:
    """Delete a draft with everything in it. Under a key, the repeat is as good as the first."""

    case_id: str
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class SubmitCase:
    """Submit a draft. A case that is already submitted is answered as it stands."""

    case_id: str
    version: int | None = None
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class GiveConsent:
    """Let one department have fields of one's own record, for one purpose. Under a key, a repeat is the same consent."""

    grantee: str
    resource: str
    purpose: str
    fields: tuple[str, ...]
    expires: datetime
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class WithdrawConsent:
    """Withdraw a consent."""

    consent_id: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class DecidePreview:
    """Let exactly what `token` was shown for be sent; or, without a token, keep it from being sent."""

    preview_id: str
    idempotency_key: str
    token: str = field(default="", repr=False)
