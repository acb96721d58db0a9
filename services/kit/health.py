# SPDX-License-Identifier: Apache-2.0
"""Is it ready: one answer for gRPC's health service and for `/readyz`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from services.kit import logs
from services.kit.telemetry import unrecorded

Check = Callable[[], Awaitable[None]]

_CHECK_SECONDS_MAX: Final = 2.0
_FRESH_SECONDS: Final = 0.5
_TURN_SECONDS: Final = 2.0


class Readiness:
    """The checks of one service. Not ready before its doors are open, nor once it drains."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._phase = "starting"
        self._problems: dict[str, str] = {}
        self._looked = float("-inf")

    def add(self, name: str, check: Check) -> None:
        """Add a check: returns if all is well, raises if not."""
        self._checks[name] = check

    def opened(self) -> None:
        """Say that the doors are open."""
        self._phase = ""

    def draining(self) -> None:
        """Say that no new work is taken."""
        self._phase = "draining"

    async def problems(self) -> Mapping[str, str]:
        """Give what is wrong by name, in words without details; empty when ready. Asks anew twice a second at most."""
        if self._phase:
            return {"service": self._phase}
        if time.monotonic() - self._looked > _FRESH_SECONDS:
            names = list(self._checks)
            found = await asyncio.gather(*(self._asked(self._checks[name]) for name in names))
            self._problems = {name: problem for name, problem in zip(names, found, strict=True) if problem}
            self._looked = time.monotonic()
        return self._problems

    async def _asked(self, check: Check) -> str:
        try:
            with unrecorded():
                async with asyncio.timeout(_CHECK_SECONDS_MAX):
                    await check()
        except TimeoutError:
            return "no answer in time"
        except Exception as error:  # noqa: BLE001 - whatever it is, the service isn't ready
            return type(error).__name__
        return ""


async def keep_health(servicer: HealthServicer, readiness: Readiness, service: str) -> None:
    """Tell gRPC's health service what the checks say, every two seconds, and log each change."""
    before: Mapping[str, str] | None = None
    while True:
        problems = await readiness.problems()
        if problems != before:
            serving = health_pb2.HealthCheckResponse.NOT_SERVING if problems else health_pb2.HealthCheckResponse.SERVING
            await servicer.set("", serving)
            await servicer.set(service, serving)
            if before is not None or problems:
                logs.get_logger().warning("readiness_changed", service=service, problems=dict(problems))
            before = dict(problems)
        await asyncio.sleep(_TURN_SECONDS)
