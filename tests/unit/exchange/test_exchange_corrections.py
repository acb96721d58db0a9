# SPDX-License-Identifier: Apache-2.0
"""The states of a correction: any walk, and what a leaf tells about who received a value."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange.domain.corrections import (
    Claim,
    Correction,
    CorrectionState,
    Recall,
    RecallMeasure,
    RejectionGround,
    acknowledge,
    confirm,
    extend,
    overdue,
    recall_late,
    reject,
    settled,
    swept,
    uses_among,
    withdraw,
)
from services.exchange.domain.refusals import CorrectionNotOpen, RecallAcknowledged

NOW = datetime(2026, 3, 2, tzinfo=UTC)
OPEN = Correction(
    correction_id="k-1",
    resource="307002/000001",
    field_name="address",
    provider="11990100000001046G",
    region="990100",
    subject="s" * 64,
    claimant="citizen:c",
    claim=Claim("id", "subject_id", "id", "right", "grounds", ()),
    open_time=NOW,
)
ALLOWED = {
    (CorrectionState.OPEN, CorrectionState.CONFIRMED),
    (CorrectionState.OPEN, CorrectionState.REJECTED),
    (CorrectionState.OPEN, CorrectionState.WITHDRAWN),
    (CorrectionState.CONFIRMED, CorrectionState.CLOSED),
}


def moves(now: datetime, outstanding: int) -> dict[str, Callable[[Correction], Correction]]:
    return {
        "confirm": lambda one: confirm(one, explanation="", now=now),
        "reject": lambda one: reject(one, ground=RejectionGround.VALUE_CORRECT, explanation="x", now=now),
        "withdraw": lambda one: withdraw(one, now=now),
        "extend": extend,
        "overdue": overdue,
        "swept": lambda one: swept(one, outstanding=outstanding, now=now),
        "settled": lambda one: settled(one, outstanding=outstanding, now=now),
    }


walks = st.lists(st.tuples(st.sampled_from(sorted(moves(NOW, 0))), st.integers(0, 2)), max_size=20)


@given(walks)
def test_any_walk_keeps_to_the_states_and_nothing_that_has_ended_moves_again(walk: list[tuple[str, int]]) -> None:
    one, now = OPEN, NOW
    for name, outstanding in walk:
        now += timedelta(hours=1)
        before = one
        try:
            one = moves(now, outstanding)[name](one)
        except CorrectionNotOpen:
            assert before.state is not CorrectionState.OPEN
            continue
        assert before.state is one.state or (before.state, one.state) in ALLOWED
        assert one.disputed == (one.state is CorrectionState.OPEN)
        if one.state is CorrectionState.CLOSED and before.state is not CorrectionState.CLOSED:
            assert one.swept
            assert outstanding == 0
        assert (one.answer_time is not None) == (
            one.state in {CorrectionState.CONFIRMED, CorrectionState.REJECTED, CorrectionState.CLOSED}
        )
        assert (one.rejection is not None) == (one.state is CorrectionState.REJECTED)
        assert (one.close_time is not None) == (one.state in {CorrectionState.WITHDRAWN, CorrectionState.CLOSED})


@given(st.lists(st.sampled_from(["acknowledge", "late"]), max_size=6))
def test_a_recall_is_acknowledged_once_and_late_only_before(walk: list[str]) -> None:
    one = Recall("k-1", "1299010000000102XJ", 1, NOW, NOW)
    for name in walk:
        before = one
        try:
            one = recall_late(one) if name == "late" else acknowledge(one, RecallMeasure.DELETED, now=NOW)
        except RecallAcknowledged:
            assert before.acknowledge_time is not None
            continue
        if before.acknowledge_time is not None:
            assert one == before


def leaf(**changes: object) -> bytes:
    members = {
        "time": "2026-03-01T00:00:00.000000Z",
        "operation": "query",
        "caller": "agency:1299010000000102XJ",
        "on_behalf_of": "",
        "purpose": "birth",
        "resource": "307002/000001",
        "fields": ["address"],
        "case": "c-1",
        "outcome": "answered",
        **changes,
    }
    return json.dumps(members).encode()


def found(*bodies: bytes) -> list[str]:
    return [use.agency for use in uses_among(bodies, OPEN, since=NOW - timedelta(days=2), until=NOW)]


def test_who_received_the_value_is_read_out_of_leaves() -> None:
    assert found(leaf()) == ["1299010000000102XJ"]
    assert found(leaf(caller="service:exchange", on_behalf_of="T")) == ["T"]
    assert found(leaf(caller="citizen:pseudonym", on_behalf_of="T")) == ["T"]
    assert found(leaf(operation="verify")) == ["1299010000000102XJ"]


def test_a_purpose_of_ones_own_making_hides_nobody_from_a_recall() -> None:
    assert found(leaf(purpose="correction")) == ["1299010000000102XJ"]


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "NO_GRANT"},
        {"outcome": "NOT_FOUND"},
        {"fields": ["head_name"]},
        {"resource": "307002/000002"},
        {"operation": "correction_read"},
        {"caller": "agency:11990100000001046G"},
        {"caller": "service:exchange"},
        {"time": "2026-02-20T00:00:00.000000Z"},
        {"time": "2026-03-03T00:00:00.000000Z"},
    ],
)
def test_leaves_that_gave_nothing_out_are_no_uses(changes: dict[str, object]) -> None:
    assert found(leaf(**changes)) == []


def test_an_overdue_correction_can_still_be_answered() -> None:
    late = overdue(OPEN)
    assert late.late
    assert confirm(late, explanation="", now=NOW).state is CorrectionState.CONFIRMED
    assert overdue(replace(late, state=CorrectionState.REJECTED, late=False)).late is False
