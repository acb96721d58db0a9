# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/cases`: draft, change, delete, submit, read."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request
from starlette.responses import Response

from services.gateway.rest.contract import (
    ETAG,
    LINK,
    LOCATION,
    IdempotencyKey,
    IfMatch,
    JsonRoute,
    PageSize,
    PageToken,
    answers,
    errors,
    version_of,
)
from services.gateway.rest.door import Door, TheDoor, resident
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.base import Words
from services.gateway.rest.shapes.case import Case, Cases, ChangedAnswers, Entry, NewCase, Submitted, Summary, Timeline
from services.gateway.service import CaseView, ChangeAnswers, CreateCase, DeleteDraft, SubmitCase
from services.kit.errors import Code, Refusal

router = APIRouter(route_class=JsonRoute, tags=["cases"], dependencies=[Depends(resident)])

CaseId = Annotated[UUID, Path(description="The case (UUID).", examples=["6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52"])]
IfNoneMatch = Annotated[
    str,
    Header(alias="If-None-Match", max_length=1000, description="ETag that is known already; 304 if it still holds."),
]
OptionalKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x21-\x7e]*$",
        description="The same key again gives the same answer, and one effect.",
    ),
]
Receipt = Annotated[str, Query(max_length=100, description="Only the case with this receipt number.")]


@router.post(
    "/api/v1/cases",
    summary="Open a draft, prefilled",
    operation_id="create_case",
    status_code=201,
    response_model=Case,
    responses={
        201: answers("The draft.", {**LOCATION, **ETAG}),
        200: answers("The draft of this matter that the caller has already, as it stands.", {**LOCATION, **ETAG}),
        **errors(401, 403, 404, 409, 413, 415),
    },
)
async def create_case(
    request: Request, door: TheDoor, key: IdempotencyKey, asked: Annotated[NewCase, Body()]
) -> Response:
    """Open a draft of a matter. What departments already know is filled in; what is missing can be given later.

    A resident has one draft of a matter at a time, unless the matter says `several_drafts`: where there is one, it is
    answered with 200, and nothing in it changes. A resident may have a limited number of drafts of all matters; one that
    nobody touches for a while is deleted.
    """
    case = await door.service.create_case(
        CreateCase(matter=asked.matter, answers=asked.answers, without=tuple(asked.without), idempotency_key=key)
    )
    return rendered(request, case, status=200 if case.found else 201, location=True)


@router.patch(
    "/api/v1/cases/{case_id}",
    summary="Change a draft",
    operation_id="change_case",
    response_model=Case,
    responses={200: answers("The draft.", ETAG), **errors(401, 403, 404, 409, 412, 413, 415)},
)
async def change_case(  # noqa: PLR0917 - called by name
    request: Request,
    door: TheDoor,
    case_id: CaseId,
    asked: Annotated[ChangedAnswers, Body()],
    if_match: IfMatch = "",
    key: OptionalKey = "",
) -> Response:
    """Change answers of a draft. Fields left out stay; an empty string takes an answer back."""
    case = await door.service.change_answers(
        ChangeAnswers(
            case_id=str(case_id),
            answers=asked.answers,
            without=None if asked.without is None else tuple(asked.without),
            version=version_of(if_match),
            idempotency_key=key,
        )
    )
    return rendered(request, case)


@router.delete(
    "/api/v1/cases/{case_id}",
    summary="Delete a draft",
    operation_id="delete_case",
    status_code=204,
    responses={204: answers("The draft is gone, and everything in it."), **errors(401, 403, 404, 409)},
)
async def delete_case(request: Request, door: TheDoor, case_id: CaseId, key: OptionalKey = "") -> Response:
    """Delete a draft with everything in it. A case that is submitted stays: departments act on it."""
    request.scope["tongban.case"] = str(case_id)
    await door.service.delete_case(DeleteDraft(case_id=str(case_id), idempotency_key=key))
    return Response(status_code=204)


@router.post(
    "/api/v1/cases/{case_id}/submit",
    summary="Submit a draft",
    operation_id="submit_case",
    status_code=202,
    response_model=Submitted,
    responses={
        202: answers("Submitted; the departments begin.", LOCATION),
        **errors(401, 403, 404, 409, 412),
    },
)
async def submit_case(
    request: Request, door: TheDoor, case_id: CaseId, key: IdempotencyKey, if_match: IfMatch = ""
) -> Response:
    """Submit the draft. From here on the departments act; watch the case at `/events`.

    A resident may have a limited number of cases of one matter under way (`TOO_MANY_CASES`) and submit a limited number
    a day (`TOO_MANY_SUBMISSIONS`); both are 429, and the draft is kept.
    """
    case = await door.service.submit_case(
        SubmitCase(case_id=str(case_id), version=version_of(if_match), idempotency_key=key)
    )
    request.scope["tongban.case"] = case.id
    assert case.submitted is not None
    body = Submitted(
        id=case.id,
        receipt=case.receipt,
        matter=case.matter,
        title=Words.model_validate(case.title),
        created=case.created,
        submitted=case.submitted,
        trace_id=case.trace_id,
    )
    return Response(
        body.model_dump_json(),
        status_code=202,
        media_type="application/json",
        headers={"location": f"/api/v1/cases/{case.id}"},
    )


@router.get(
    "/api/v1/cases",
    summary="List own cases",
    operation_id="list_cases",
    response_model=Cases,
    responses={200: answers("Own cases, newest first.", LINK), **errors(401, 403)},
)
async def list_cases(
    request: Request, door: TheDoor, page_size: PageSize = 50, page_token: PageToken = "", receipt: Receipt = ""
) -> Response:
    """List the caller's own cases, newest first; or find one by its receipt number."""
    if receipt:
        return await _with_receipt(door, receipt)
    page = await door.service.cases(page_size=page_size, page_token=page_token)
    body = Cases(cases=[Summary.model_validate(row) for row in page.rows], next_page_token=page.next_token)
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


@router.get(
    "/api/v1/cases/{case_id}",
    summary="Read one case",
    operation_id="get_case",
    response_model=Case,
    responses={
        200: answers("The case.", ETAG),
        304: {"description": "It is still the version that If-None-Match names."},
        **errors(401, 403, 404),
    },
)
async def get_case(request: Request, door: TheDoor, case_id: CaseId, if_none_match: IfNoneMatch = "") -> Response:
    """Read one own case with every step; another resident's is not found."""
    case = await door.service.case(str(case_id))
    if f'"{case.version}"' in if_none_match:
        return Response(status_code=304, headers={"etag": f'"{case.version}"'})
    return rendered(request, case)


@router.get(
    "/api/v1/cases/{case_id}/timeline",
    summary="What happened in a case",
    operation_id="get_timeline",
    response_model=Timeline,
    responses={200: answers("Everything that happened, oldest first."), **errors(401, 403, 404)},
)
async def get_timeline(request: Request, door: TheDoor, case_id: CaseId) -> Response:
    """Everything that happened in one own case, in words."""
    entries = await door.service.timeline(str(case_id))
    request.scope["tongban.case"] = str(case_id)
    body = Timeline(entries=[Entry.model_validate(entry) for entry in entries])
    return Response(body.model_dump_json(), media_type="application/json")


async def _with_receipt(door: Door, receipt: str) -> Response:
    """List the one own case with this receipt number; an empty list where there is none."""
    found: list[Summary] = []
    try:
        trace = await door.service.trace_of(receipt)
        if trace.receipt == receipt:
            found.append(Summary.model_validate(await door.service.case(trace.case_id)))
    except Refusal as refusal:
        if refusal.code is not Code.NOT_FOUND:
            raise
    return Response(Cases(cases=found, next_page_token="").model_dump_json(), media_type="application/json")


def rendered(request: Request, view: CaseView, *, status: int = 200, location: bool = False) -> Response:
    """A case with its version, and for the log which one it is."""
    request.scope["tongban.case"] = view.id
    headers = {"etag": f'"{view.version}"'}
    if location:
        headers["location"] = f"/api/v1/cases/{view.id}"
    body = Case.model_validate(view).model_dump_json()
    return Response(body, status_code=status, media_type="application/json", headers=headers)
