# SPDX-License-Identifier: Apache-2.0
"""One running system per profile for all journeys: real processes, public doors only."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.missing import missing
from tests.support.system import System, absent


@pytest.fixture(scope="session", params=["embedded", "full"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    if what := absent(request.param):
        missing(what)
    system = System(request.param, tmp_path_factory.mktemp(request.param))
    try:
        asyncio.run(system.start())
        yield system
    finally:
        asyncio.run(system.stop())
