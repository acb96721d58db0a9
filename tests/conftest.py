# SPDX-License-Identifier: Apache-2.0
"""Fixtures of every room, and how the run ends."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.kafka", "tests.support.mariadb", "tests.support.postgres", "tests.support.profiles"]

# A busy machine is no finding: examples have no time limit, nor has making them up.
settings.register_profile("tongban", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tongban")

_ended: list[int] = []


def pytest_sessionfinish(exitstatus: int) -> None:
    _ended.append(int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Leave at once, as our processes do (services/kit/ending.py): at its own end the interpreter can wait for gRPC for ever."""
    if _ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_ended[-1])
