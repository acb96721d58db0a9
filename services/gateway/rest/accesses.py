# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/accesses`: who used my data, with proofs."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from services.gateway.rest.contract import LINK, JsonRoute, PageSize, PageToken, answers, errors
from services.gateway.rest.door import TheDoor, resident
from services.gateway.rest.pages import next_link
from services.gateway.rest.shapes.access import Access, Accesses, Head, Proof
from services.gateway.rest.shapes.base import Agency
from services.gateway.service import AccessView

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
    request: Request, door: TheDoor, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """Every use of the caller's personal data in every ledger, refused ones too, each with its inclusion proof."""
    page = await door.service.accesses(page_size=page_size, page_token=page_token)
    body = Accesses(
        accesses=[_access(row) for row in page.rows], next_page_token=page.next_token, missing=list(page.missing)
    )
    return Response(body.model_dump_json(), media_type="application/json", headers=next_link(request, page.next_token))


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
    return Access(
        log=view.log,
        index=view.index,
        time=view.time,
        operation=view.operation,
        actor=view.actor,
        caller=view.caller,
        on_behalf_of=Agency.model_validate(view.on_behalf_of) if view.on_behalf_of else None,
        purpose=view.purpose,
        basis=view.basis,
        resource=view.resource,
        fields=list(view.fields),
        case_id=view.case_id,
        outcome=view.outcome,
        proof=Proof(
            body=view.body.decode(),
            leaf_hash=view.leaf_hash,
            path=list(view.path),
            head=Head.model_validate(view.head),
        ),
    )
