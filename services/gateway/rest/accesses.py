# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/accesses`: who used my data, with proofs."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import JSONResponse, Response

from services.gateway.rest.contract import LINK, Instant, JsonRoute, PageSize, PageToken, answers, errors
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.access import (
    Access,
    Accesses,
    Asker,
    FieldName,
    Fork,
    Forks,
    Head,
    Proof,
    Withheld,
)
from services.gateway.rest.shapes.base import Agency, Words
from services.gateway.service import AccessView, NarrowAccesses


async def narrowed(
    *,
    from_time: Annotated[Instant | None, Query(alias="from", description="Only uses from this moment on.")] = None,
    to_time: Annotated[Instant | None, Query(alias="to", description="Only uses before this moment.")] = None,
    agency: Annotated[str, Query(max_length=18, description="Only uses by or for this agency (USCC).")] = "",
    resource: Annotated[str, Query(max_length=200, description="Only uses of this resource (code).")] = "",
    purpose: Annotated[str, Query(max_length=200, description="Only uses for this purpose.")] = "",
    outcome: Annotated[str, Query(max_length=200, description="Only uses that came out so, e.g. `answered`.")] = "",
) -> NarrowAccesses:
    """Which uses are wanted."""
    return NarrowAccesses(from_time, to_time, agency, resource, purpose, outcome)


router = APIRouter(route_class=JsonRoute, tags=["accesses"], dependencies=[Depends(resident)])
public = APIRouter(route_class=JsonRoute, tags=["accesses"])


@router.get(
    "/api/v1/accesses",
    summary="Who used my data",
    operation_id="list_accesses",
    response_model=Accesses,
    responses={200: answers("Uses of the caller's data, newest first.", LINK), **errors(401, 403)},
)
async def list_accesses(
    request: Request,
    door: TheDoor,
    narrow: Annotated[NarrowAccesses, Depends(narrowed)],
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> Response:
    """Every use of the caller's personal data in every ledger, refused ones too, each with its inclusion proof.

    What a countersigned order hides for a time comes without its content, with its proof; filters don't leave it out.
    """
    page = await door.service.accesses(narrow, page_size=page_size, page_token=page_token)
    body = Accesses(
        accesses=[_access(row) for row in page.rows],
        next_page_token=page.next_token,
        missing=list(page.missing),
        total=page.total,
        hidden=page.hidden,
    )
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


@router.get(
    "/api/v1/accesses/{log}/{index}",
    summary="One use of my data",
    operation_id="get_access",
    response_model=Access,
    responses={
        200: answers("The use, under a head that witnesses have signed where there is one."),
        **errors(401, 403, 404),
    },
)
async def get_access(
    door: TheDoor,
    log: Annotated[Literal["identity", "licenses", "exchange", "gateway"], Path(description="The ledger.")],
    index: Annotated[int, Path(ge=0, le=2**63 - 1, description="The leaf's index.")],
) -> Response:
    """One use of the caller's personal data with everything that proves it."""
    body = _access(await door.service.access(log, index))
    return Response(body.model_dump_json(), media_type="application/json")


@public.get(
    "/.well-known/ledger-forks.json",
    summary="What witnesses found wrong with the ledgers",
    operation_id="get_ledger_forks",
    response_model=Forks,
    responses={200: answers("Evidence, newest first; empty is good."), **errors()},
)
async def get_ledger_forks(door: TheDoor) -> Response:
    """Every ledger shows what was found in any of them."""
    body = Forks(forks=[Fork.model_validate(one) for one in await door.service.forks()])
    headers = {"cache-control": "public, max-age=60"}
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


@public.get(
    "/.well-known/ledger-keys.json",
    summary="The keys that verify ledger heads",
    operation_id="get_ledger_keys",
    response_model=dict[str, dict[str, str]],
    responses={200: answers("One public key (JWK, RFC 7517) for each ledger, by the ledger's name."), **errors()},
)
async def get_ledger_keys(door: TheDoor) -> Response:
    """The public keys behind `proof.head.jws`. Keep them: a key that changes without notice is a reason to ask."""
    return JSONResponse(await door.service.ledger_keys(), headers={"cache-control": "public, max-age=60"})


def _access(view: AccessView) -> Access:
    titles = zip(view.fields, view.field_names, strict=True)
    return Access(
        log=view.log,
        index=view.index,
        time=view.time,
        operation=view.operation,
        operation_name=Words.model_validate(view.operation_name),
        actor=view.actor,
        caller=view.caller,
        asked_by=Asker.model_validate(view.asked_by) if view.asked_by else None,
        on_behalf_of=Agency.model_validate(view.on_behalf_of) if view.on_behalf_of else None,
        purpose=view.purpose,
        purpose_name=Words.model_validate(view.purpose_name),
        basis=view.basis,
        resource=view.resource,
        resource_name=Words.model_validate(view.resource_name) if view.resource_name else None,
        fields=list(view.fields),
        field_names=[FieldName(name=name, title=Words.model_validate(title)) for name, title in titles],
        case_id=view.case_id,
        outcome=view.outcome,
        outcome_name=Words.model_validate(view.outcome_name),
        withheld=Withheld.model_validate(view.withheld) if view.withheld else None,
        proof=Proof(
            body=view.body.decode(),
            leaf_hash=view.leaf_hash,
            path=list(view.path),
            head=Head.model_validate(view.head),
        ),
    )
