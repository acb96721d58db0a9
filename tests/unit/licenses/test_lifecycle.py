# SPDX-License-Identifier: Apache-2.0
"""The life of a license: every transition, every refusal, and a random walk."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.kit.errors import Refusal
from services.licenses.domain.license import (
    Draft,
    License,
    LicenseEnded,
    LicenseNotActive,
    LicenseNotSuspended,
    LicenseState,
    PredecessorRevoked,
    PredecessorSuspended,
    SerialTaken,
    issue,
    last_second,
    restore,
    revoke,
    supersede,
    suspend,
)

NOW = datetime(2026, 3, 15, 1, 30, tzinfo=UTC)
CARD = Draft("111000000000010033011", "119901000000010626", "C1", "holder-1", "guardian-1", "case-1", "step-1")


def issued(predecessor: License | None = None, *, draft: Draft = CARD, months: int = 0) -> License:
    return issue(draft, predecessor, license_id="license-1", validity_months=months, now=NOW)[0]


def test_the_first_version_is_active_and_tells_so() -> None:
    license, fact = issue(CARD, None, license_id="license-1", validity_months=0, now=NOW)
    assert license.state is LicenseState.ACTIVE
    assert license.identifier.version == 1
    assert license.expire_time is None
    assert license.readers == {"holder-1", "guardian-1"}
    assert fact.license is license


def test_a_holder_who_applied_is_one_reader() -> None:
    draft = Draft("111000000000010033011", "119901000000010626", "C1", "mother", "mother")
    assert issued(draft=draft).readers == {"mother"}


def test_the_same_serial_again_is_the_next_version_and_ends_the_one_before() -> None:
    first = issued()
    second = issued(first)
    ended, fact = supersede(first, second)
    assert second.identifier.version == 2
    assert ended.state is LicenseState.SUPERSEDED
    assert fact.successor_id == second.license_id


def test_a_serial_of_another_holder_is_taken() -> None:
    other = Draft(CARD.type_code, CARD.issuer, CARD.serial, "holder-2")
    with pytest.raises(SerialTaken):
        issue(other, issued(), license_id="license-2", validity_months=0, now=NOW)


def test_a_new_version_does_not_lift_a_suspension() -> None:
    with pytest.raises(PredecessorSuspended):
        issued(suspend(issued(), now=NOW)[0])


def test_a_revoked_serial_stays_ended() -> None:
    with pytest.raises(PredecessorRevoked):
        issued(revoke(issued())[0])


def test_a_suspended_license_cannot_be_suspended_again() -> None:
    with pytest.raises(LicenseNotActive) as caught:
        suspend(suspend(issued(), now=NOW)[0], now=NOW)
    assert caught.value.reason == "LICENSE_NOT_ACTIVE"


def test_only_a_suspended_license_is_restored() -> None:
    assert restore(suspend(issued(), now=NOW)[0], now=NOW)[0].state is LicenseState.ACTIVE
    with pytest.raises(LicenseNotSuspended):
        restore(issued(), now=NOW)


def test_a_revoked_license_cannot_be_revoked_again() -> None:
    with pytest.raises(LicenseEnded):
        revoke(revoke(issued())[0])


def test_the_last_second_counts_and_the_next_does_not() -> None:
    license = issued(months=120)
    last = datetime(2036, 3, 14, 15, 59, 59, tzinfo=UTC)
    assert license.expire_time == last
    assert license.state_at(last + timedelta(milliseconds=999)) is LicenseState.ACTIVE
    assert license.state_at(last + timedelta(seconds=1)) is LicenseState.EXPIRED
    with pytest.raises(LicenseNotActive):
        suspend(license, now=last + timedelta(seconds=1))
    assert revoke(license)[0].state is LicenseState.REVOKED


@pytest.mark.parametrize(
    ("issue_time", "months", "last_day"),
    [
        (datetime(2026, 3, 15, tzinfo=UTC), 0, None),
        (datetime(2026, 3, 15, tzinfo=UTC), 12, "2027-03-14"),
        (datetime(2026, 8, 31, tzinfo=UTC), 6, "2027-02-27"),
        (datetime(2024, 2, 29, tzinfo=UTC), 12, "2025-02-27"),
        (datetime(2026, 12, 31, 15, 59, tzinfo=UTC), 1, "2027-01-30"),
        (datetime(2026, 12, 31, 16, 0, tzinfo=UTC), 1, "2027-01-31"),
    ],
)
def test_validity_counts_calendar_months_of_china(issue_time: datetime, months: int, last_day: str | None) -> None:
    last = last_second(issue_time, months)
    expected = None if last_day is None else datetime.fromisoformat(f"{last_day}T23:59:59+08:00")
    assert last == expected


class Life(RuleBasedStateMachine):
    """Every order of commands leaves one version at most in force, and ended versions ended."""

    @initialize(months=st.sampled_from([0, 1, 120]))
    def begin(self, months: int) -> None:
        self.now = NOW
        self.months = months
        self.versions = [issued(months=months)]
        self.ended: set[int] = set()

    @property
    def newest(self) -> License:
        return self.versions[-1]

    def attempt(self, change: object) -> None:
        before = self.newest
        try:
            after, _ = change(before)  # type: ignore[operator]
        except Refusal:
            return
        assert after.identifier == before.identifier
        assert before.state not in {LicenseState.REVOKED, LicenseState.SUPERSEDED}
        self.versions[-1] = after

    @rule()
    def suspend(self) -> None:
        self.attempt(lambda before: suspend(before, now=self.now))

    @rule()
    def restore(self) -> None:
        self.attempt(lambda before: restore(before, now=self.now))

    @rule()
    def revoke(self) -> None:
        self.attempt(revoke)

    @rule(days=st.integers(1, 400))
    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    @precondition(lambda self: len(self.versions) < 20)
    @rule()
    def issue_anew(self) -> None:
        before = self.newest
        try:
            after, _ = issue(CARD, before, license_id="next", validity_months=self.months, now=self.now)
        except Refusal:
            assert before.state in {LicenseState.SUSPENDED, LicenseState.REVOKED}
            return
        self.versions[-1] = supersede(before, after)[0]
        self.versions.append(after)

    @invariant()
    def one_version_at_most_is_in_force(self) -> None:
        running = [one for one in self.versions if one.state_at(self.now) is LicenseState.ACTIVE]
        assert running in ([], [self.newest])

    @invariant()
    def versions_count_up(self) -> None:
        assert [one.identifier.version for one in self.versions] == list(range(1, len(self.versions) + 1))

    @invariant()
    def what_was_ended_stays_ended(self) -> None:
        final = {LicenseState.REVOKED, LicenseState.SUPERSEDED}
        ended = {place for place, one in enumerate(self.versions) if one.state in final}
        assert self.ended <= ended
        self.ended = ended


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
