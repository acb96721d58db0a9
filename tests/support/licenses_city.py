# SPDX-License-Identifier: Apache-2.0
"""The real licenses service among its neighbors, over gRPC and events."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tongban.events.v1.steps_pb2 import StepAnswered
from tongban.gateway.v1 import gateway_pb2
from tongban.licenses.v1 import licenses_service_pb2_grpc

from services.licenses.app import running
from services.licenses.config import Settings
from tests.support.eventually import eventually
from tests.support.neighbors import HOSPITAL, Neighborhood, neighborhood
from tests.support.profiles import Profile

HUMAN_RESOURCES = "119901000000010626"
RIGHTS = ("licenses.issue", "licenses.read", "licenses.suspend", "licenses.revoke", "licenses.verify")


@dataclass
class City(Neighborhood):
    """The licenses service and its neighbors."""

    name = "licenses"
    stubs = (licenses_service_pb2_grpc.LicensesServiceStub,)
    step_kind = gateway_pb2.STEP_KIND_LICENSE

    def open_step(self, case_id: str, step_id: str, attempt: int, wanted: Mapping[str, Any], **others: Any) -> None:
        """Let the gateway answer for a step."""
        self.put_step((case_id, step_id, attempt), wanted, **others)

    async def request_step(self, case_id: str, step_id: str, attempt: int = 1, *, event_id: str = "") -> None:
        """Tell that a step is asked for."""
        await self.tell_step((case_id, step_id, attempt), event_id=event_id)

    async def answers(self, case_id: str, number: int) -> list[StepAnswered]:
        """Wait for so many answers of a case."""
        await eventually(lambda: len(self.answers_so_far(case_id)) >= number)
        return self.answers_so_far(case_id)


@asynccontextmanager
async def city(profile: Profile) -> AsyncIterator[City]:
    """Everything started; ends with everything drained."""
    async with neighborhood(City, profile) as town:
        for agency in (HOSPITAL, HUMAN_RESOURCES):
            town.authority.issue_signer(agency)
            town.identity.rights[agency] = (True, RIGHTS)
        await town.serve(Settings(database=await profile.database("licenses"), **town.common("licenses")), running)
        yield town
