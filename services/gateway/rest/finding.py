# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/search/cases`: cases found again by those who work on them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from services.gateway.rest.contract import LINK, Instant, JsonRoute, PageToken, answers, errors
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.finding import FoundCase, FoundCases
from services.gateway.service import CaseStatus
from services.gateway.service.inbox import CaseFilter

router = APIRouter(route_class=JsonRoute, tags=["tasks"], dependencies=[Depends(resident)])


async def narrowed(
    *,
    receipt: Annotated[str, Query(max_length=100, description="The case with this receipt number.")] = "",
    matter: Annotated[str, Query(max_length=64, description="Only cases of this matter (code).")] = "",
    status: Annotated[CaseStatus | None, Query(description="Only cases that stand so. Drafts are never found.")] = None,
    agency: Annotated[str, Query(max_length=18, description="Only cases with a task of this department (USCC).")] = "",
    assigned: Annotated[
        str,
        Query(
            max_length=100,
            description="Only cases with a task in the hands of this clerk (account), or done by them; an operator "
            "names the `agency` as well.",
        ),
    ] = "",
    since: Annotated[Instant | None, Query(alias="from", description="Only submitted from this moment on.")] = None,
    before: Annotated[Instant | None, Query(alias="to", description="Only submitted before this moment.")] = None,
) -> CaseFilter:
    """Which cases are wanted."""
    return CaseFilter(receipt, matter, status, agency, assigned, since, before)


@router.get(
    "/api/v1/search/cases",
    summary="Find cases again",
    operation_id="find_cases",
    response_model=FoundCases,
    responses={200: answers("Some cases.", LINK), **errors(401, 403)},
)
async def find_cases(
    request: Request,
    door: TheDoor,
    narrow: Annotated[CaseFilter, Depends(narrowed)],
    page_size: Annotated[int, Query(ge=1, le=100, description="Rows at most.")] = 50,
    page_token: PageToken = "",
) -> Response:
    """Find submitted cases: a clerk those with a task that their inbox shows, an operator (`gateway.cases`) all.

    What people wrote in a case is sealed and not searched: cases are found by what stands about them in the open. A
    department's come by when its last task of them came, newest first; an operator's by submission.
    """
    page = await door.inbox.finding.cases(narrow, page_size=page_size, page_token=page_token)
    body = FoundCases(cases=[FoundCase.model_validate(row) for row in page.rows], next_page_token=page.next_token)
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))
