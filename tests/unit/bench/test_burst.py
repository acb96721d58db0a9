# SPDX-License-Identifier: Apache-2.0
"""When a burst counts as over."""

from bench.burst import recoveries

CURVE = ((1.0, 10.0), (15.0, 20.0), (1.0, 30.0), (25.0, 20.0), (2.0, 30.0))


def test_a_burst_is_over_from_the_first_moment_whose_lives_are_quick_again() -> None:
    slow_until = 42.0
    marks = [(float(due), 2000.0 if due < slow_until else 50.0) for due in range(110)]
    assert recoveries(marks, CURVE) == [12.0, 0.0]


def test_a_burst_that_nobody_came_through_afterwards_is_not_over() -> None:
    assert recoveries([(due * 1.0, 50.0) for due in range(30)], CURVE) == [None, None]
