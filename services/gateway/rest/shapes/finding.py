# SPDX-License-Identifier: Apache-2.0
"""Cases that clerks and operators find again."""

from pydantic import Field

from services.gateway.rest.shapes.base import Moment, Shape, Words
from services.gateway.rest.shapes.inbox import TaskSummary
from services.gateway.service import CaseStatus


class FoundCase(Shape):
    """A case, without anybody's data."""

    id: str = Field(description="The case (UUID).", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])
    receipt: str = Field(description="Case number 办件编号.")
    matter: str = Field(examples=["complaint"])
    title: Words
    status: CaseStatus
    submitted: Moment
    ended: Moment | None
    tasks: list[TaskSummary] = Field(
        description="Its tasks, newest first, 20 at most: a clerk's, as far as they see them in their inbox."
    )


class FoundCases(Shape):
    """Some cases, newest first."""

    cases: list[FoundCase]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")
