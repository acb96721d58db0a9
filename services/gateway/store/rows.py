# SPDX-License-Identifier: Apache-2.0
"""Rows in and out, and what is sealed in them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from services.gateway.domain.case import CaseState, CaseStatus
from services.gateway.domain.history import Event, from_body, kind_of, step_of, to_body
from services.gateway.domain.values import StepInput
from services.gateway.service.ports import CaseFile, CaseRow, TaskRow, TaskState
from services.kit.crypto import Keyring
from services.kit.ids import derived_id
from services.kit.text import Text

_KEY_CHARACTERS_MAX = 100
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The due date of a task without one: pages of a queue go by due date."""


def key_kept(key: str) -> str:
    """An idempotency key as the column holds it: a longer one by what is derived from it."""
    return key if len(key) <= _KEY_CHARACTERS_MAX else derived_id("key", key)


def event_row(keyring: Keyring, case_id: str, seq: int, event: Event) -> dict[str, Any]:
    """An event as it is kept."""
    return {
        "case_id": case_id,
        "seq": seq,
        "kind": kind_of(event),
        "step_id": step_of(event),
        "occur_time": event.at,
        "body": seal(keyring, f"case:{case_id}:{seq}", to_body(event)),
    }


def event_of(keyring: Keyring, row: Row[Any]) -> Event:
    """An event as it happened. Raises SealBroken where the row is not what was written."""
    body = unseal(keyring, f"case:{row.case_id}:{row.seq}", row.body)
    return from_body(row.kind, row.occur_time, row.step_id, body)


def case_columns(file: CaseFile) -> dict[str, Any]:
    """What is found by, of a case."""
    state: CaseState = file.state
    return {
        "definition": state.definition,
        "status": state.status.value,
        "version": state.version,
        "traceparent": file.traceparent,
        "submitted": state.submitted,
        "ended": state.ended,
    }


def case_row(row: Row[Any]) -> CaseRow:
    """A row of a list."""
    return CaseRow(
        case_id=row.case_id,
        receipt=row.receipt,
        matter=row.matter,
        definition=row.definition,
        applicant_id=row.applicant_id,
        status=CaseStatus(row.status),
        version=row.version,
        traceparent=row.traceparent,
        created=row.created,
        submitted=row.submitted,
        ended=row.ended,
    )


def task_row(keyring: Keyring, row: Row[Any], *, opened: bool = True) -> TaskRow:
    """A task with its input opened, unless for a list; one that was answered has none any more."""
    given: StepInput = dict(unseal(keyring, f"task:{row.task_id}", row.input)) if row.input and opened else {}
    return TaskRow(
        task_id=row.task_id,
        case_id=row.case_id,
        step_id=row.step_id,
        attempt=row.attempt,
        agency=row.agency,
        operation=row.operation,
        matter=row.matter,
        title=Text(row.title_zh, row.title_en),
        state=TaskState(row.state),
        lease_token=row.lease_token,
        lease_until=row.lease_until,
        request_id=row.request_id,
        answer_digest=row.answer_digest,
        traceparent=row.traceparent,
        input=given,
        queue=row.queue,
        region=row.region,
        clerk=row.clerk,
        since=row.since,
        proposer=row.proposer,
        proposal=unseal(keyring, f"proposal:{row.task_id}", row.proposal) if row.proposal and opened else {},
        expert=row.expert,
        version=row.version,
        created=row.created,
        due=None if row.due == NEVER else row.due,
        finished=row.finished,
    )


def seal(keyring: Keyring, context: str, value: Mapping[str, Any]) -> bytes:
    """JSON under the service's key; the context binds it to its place."""
    return keyring.seal(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), context)


def unseal(keyring: Keyring, context: str, sealed: bytes) -> dict[str, Any]:
    """The JSON back."""
    value: dict[str, Any] = json.loads(keyring.open_sealed(sealed, context))
    return value
