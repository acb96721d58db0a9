# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/statistics`: how long things take, whether dates are kept, what was not asked for; no account."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from services.gateway.domain.values import china_date
from services.gateway.rest.contract import JsonRoute, answers, errors
from services.gateway.rest.door import TheDoor, anybody
from services.gateway.rest.shapes.base import Agency, Words
from services.gateway.rest.shapes.statistics import Comparator, DepartmentFigures, MatterFigures, Share, Statistics
from services.gateway.service.statistics import MatterFigures as Figures
from services.kit.errors import RequestInvalid, Violation

router = APIRouter(route_class=JsonRoute, tags=["statistics"], dependencies=[Depends(anybody)])

_DAY = r"^\d{4}-\d{2}-\d{2}$"
_DAYS_DEFAULT = timedelta(days=89)
_COMPARATORS = [
    Comparator(
        name="materials", reduction=0.74, what=Words(zh="全国平均材料减少", en="Fewer materials, national mean")
    ),
    Comparator(name="time", reduction=0.72, what=Words(zh="全国平均时间减少", en="Less time, national mean")),
]


@router.get(
    "/api/v1/statistics",
    summary="Figures of cases that have ended",
    operation_id="get_statistics",
    response_model=Statistics,
    responses={200: answers("Figures by matter and department."), **errors(404, 409)},
)
async def get_statistics(
    door: TheDoor,
    first: Annotated[
        str | None, Query(alias="from", pattern=_DAY, description="First day (China), YYYY-MM-DD.")
    ] = None,
    last: Annotated[str | None, Query(alias="to", pattern=_DAY, description="Last day; today where not given.")] = None,
    matter: Annotated[str, Query(max_length=64, description="Code of a matter; all where not given.")] = "",
) -> Response:
    """Cases that ended from day to day, the last 90 where nothing is said: sums that lead back to nobody."""
    end = _day("to", last) if last else date.fromisoformat(china_date(door.clock()))
    begin = _day("from", first) if first else end - _DAYS_DEFAULT
    found = await door.statistics.between(begin, end, matter)
    body = Statistics(
        **{"from": begin.isoformat(), "to": end.isoformat()},
        matters=[_matter(each) for each in found],
        comparators=_COMPARATORS,
    )
    headers = {"cache-control": "public, max-age=60"}
    return Response(body.model_dump_json(by_alias=True), media_type="application/json", headers=headers)


def _matter(figures: Figures) -> MatterFigures:
    return MatterFigures(
        matter=figures.matter,
        title=Words.model_validate(figures.title),
        cases=Share.model_validate(figures.cases),
        outcomes=dict(figures.outcomes),
        fields=figures.fields,
        filled=figures.filled,
        not_asked=figures.not_asked,
        materials=figures.materials,
        materials_spared=figures.materials_spared,
        visits_saved=figures.visits_saved,
        departments=[
            DepartmentFigures(department=Agency.model_validate(each), steps=Share.model_validate(each.steps))
            for each in figures.departments
        ],
    )


def _day(name: str, value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise RequestInvalid(
            "The request breaks the contract.", violations=[Violation(name, "A day of the calendar.")]
        ) from None
