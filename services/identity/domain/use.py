# SPDX-License-Identifier: Apache-2.0
"""A use of personal data, as the ledger keeps it: what, about whom, for what, on which basis."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """One use. Caller, actor and time are known to the ledger; `fields` are names, never values."""

    operation: str
    purpose: str
    basis: str
    subject_id: str = ""
    """Empty where nobody was found, or nobody was looked for."""
    fields: tuple[str, ...] = ()
    on_behalf_of: str = ""
    case_id: str = ""
    outcome: str = "answered"
    digest: str = ""
    """Digest of the answer, which the ledger blinds, so that whoever holds the answer can prove it later."""


def canonical(members: Mapping[str, object]) -> bytes:
    """The same members, the same bytes: sorted JSON without spaces, UTF-8."""
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
