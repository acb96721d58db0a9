# SPDX-License-Identifier: Apache-2.0
"""The life of a case beyond its steps: eligibility before it, and how its applicant takes it back."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Request
from starlette.responses import Response

from services.gateway.rest.cases import CaseId, rendered
from services.gateway.rest.contract import ETAG, IdempotencyKey, IfMatch, JsonRoute, answers, errors, version_of
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.shapes.case import Case
from services.gateway.rest.shapes.life import Corrections, Eligibility, Precheck, Withdrawal
from services.gateway.service.life import OnCase

router = APIRouter(route_class=JsonRoute, tags=["cases"], dependencies=[Depends(resident)])


@router.post(
    "/api/v1/matters/{code}/eligibility",
    summary="Check whether one may ask for it",
    operation_id="check_eligibility",
    response_model=Eligibility,
    responses={200: answers("What each rule says."), **errors(401, 403, 404, 413, 415)},
)
async def check_eligibility(
    door: TheDoor,
    code: Annotated[str, Path(max_length=64, description="Code of the matter.", examples=["birth"])],
    asked: Annotated[Precheck, Body()],
) -> Response:
    """Check the conditions of a matter before filling in its form, over answers to its `precheck` and the caller's own facts.

    Nothing is kept. Departments that are asked for a fact enter the access into their ledgers.
    """
    view = await door.life.eligibility.check(code, asked.answers)
    return Response(Eligibility.model_validate(view).model_dump_json(), media_type="application/json")


@router.post(
    "/api/v1/cases/{case_id}/withdraw",
    summary="Withdraw a case",
    operation_id="withdraw_case",
    response_model=Case,
    responses={200: answers("The case as it is now.", ETAG), **errors(401, 403, 404, 409, 412, 413, 415)},
)
async def withdraw_case(  # noqa: PLR0917 - called by name
    request: Request,
    door: TheDoor,
    case_id: CaseId,
    key: IdempotencyKey,
    asked: Annotated[Withdrawal, Body()],
    if_match: IfMatch = "",
) -> Response:
    """Take a case back that is under way; what was done is undone, in reverse order.

    Refused with `CASE_PAST_PIVOT` once something is done that must not be undone, and with `CASE_NOT_UNDER_WAY` for a
    draft (delete it) and for a case that has ended: the detail says how and when.
    """
    command = OnCase(str(case_id), key, version_of(if_match))
    return rendered(request, await door.life.own.withdraw(command, asked.why))


@router.post(
    "/api/v1/cases/{case_id}/correction",
    summary="Correct what was asked for",
    operation_id="correct_case",
    response_model=Case,
    responses={200: answers("The case as it is now.", ETAG), **errors(401, 403, 404, 409, 412, 413, 415)},
)
async def correct_case(  # noqa: PLR0917 - called by name
    request: Request,
    door: TheDoor,
    case_id: CaseId,
    key: IdempotencyKey,
    asked: Annotated[Corrections, Body()],
    if_match: IfMatch = "",
) -> Response:
    """Answer everything that departments asked to be corrected (`to_correct`), at once; they go on with it.

    A case whose time for corrections is over counts as withdrawn: then, and where nothing is to be corrected, this is
    refused with `CORRECTION_NOT_ASKED`, and the detail says what is so.
    """
    command = OnCase(str(case_id), key, version_of(if_match))
    return rendered(request, await door.life.own.correct(command, asked.answers))
