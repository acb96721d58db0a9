# SPDX-License-Identifier: Apache-2.0
"""What a long history comes to, kept beside it: never the truth, only the shorter way to it."""

import hashlib
import json
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from services.gateway.domain.case import CaseState
from services.kit.crypto import Keyring

EVERY = 100
"""Events between one snapshot and the next."""
FOLDS = 1
"""To be counted up where the same events come to another state of the same shape."""
_STATES = TypeAdapter(CaseState)
SHAPE = hashlib.sha256(json.dumps([FOLDS, _STATES.json_schema()], sort_keys=True).encode()).hexdigest()
"""Of the states that this release folds; a snapshot of another shape is passed over, and the history read instead."""


def is_due(before: CaseState, after: CaseState) -> bool:
    """Whether these events have made the history longer by another part."""
    return after.version // EVERY > before.version // EVERY


def snapshot_row(keyring: Keyring, case_id: str, state: CaseState) -> dict[str, Any]:
    """A state as it is kept: sealed for its place, like the events."""
    body = keyring.seal(_STATES.dump_json(state), _place(case_id, state.version))
    return {"case_id": case_id, "version": state.version, "shape": SHAPE, "body": body}


def state_of(keyring: Keyring, row: Row[Any]) -> CaseState:
    """The state back. Raises SealBroken where the row is not what was written."""
    return _STATES.validate_json(keyring.open_sealed(row.body, _place(row.case_id, row.version)))


def _place(case_id: str, version: int) -> str:
    return f"snapshot:{case_id}:{version}"
