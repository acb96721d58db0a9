# SPDX-License-Identifier: Apache-2.0
"""Civil affairs: the marriage register behind a REST interface with an API key. It takes no tasks.

The number is asked for in the body, never in the address: addresses end up in logs.
"""

import hmac
import json
import sqlite3
from collections.abc import Mapping
from typing import ClassVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.city import City
from sandbox.departments.department import Department
from sandbox.work import Operation
from services.kit.telemetry import SpanKind, Telemetry

API_KEY_HEADER = "X-Api-Key"
_BODY_BYTES_MAX = 10_000


class CivilAffairs(Department):
    """Keeps marriages."""

    key: ClassVar[str] = "civil_affairs"
    schema: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS marriages (
        certificate_number TEXT PRIMARY KEY,
        husband_number TEXT NOT NULL,
        husband_name TEXT NOT NULL,
        wife_number TEXT NOT NULL,
        wife_name TEXT NOT NULL,
        marriage_date TEXT NOT NULL,
        status TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS marriages_husband ON marriages (husband_number);
    CREATE INDEX IF NOT EXISTS marriages_wife ON marriages (wife_number);
    """

    @property
    def operations(self) -> Mapping[str, Operation]:
        """None: a register to be asked."""
        return {}

    async def load(self, city: City) -> None:
        """Enter the marriages of the city."""
        rows = [
            (
                marriage.certificate_number,
                marriage.husband_number,
                marriage.husband_name,
                marriage.wife_number,
                marriage.wife_name,
                marriage.marriage_date.isoformat(),
                marriage.status,
            )
            for family in city.families
            if (marriage := family.marriage)
        ]
        await self.register.write(
            lambda connection: connection.executemany(
                "INSERT OR IGNORE INTO marriages VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )
        )

    async def marriage(self, number: str) -> Mapping[str, object] | None:
        """The newest marriage of a person, told from that person's side."""

        def find(connection: sqlite3.Connection) -> sqlite3.Row | None:
            row: sqlite3.Row | None = connection.execute(
                "SELECT * FROM marriages WHERE husband_number = :n OR wife_number = :n "
                "ORDER BY marriage_date DESC LIMIT 1",
                {"n": number},
            ).fetchone()
            return row

        row = await self.register.read(find)
        if row is None:
            return None
        spouse = "husband" if row["wife_number"] == number else "wife"
        return {
            "person": {"number": number},
            "spouse": {"name": row[f"{spouse}_name"], "number": row[f"{spouse}_number"]},
            "certificate": {"number": row["certificate_number"], "date": row["marriage_date"], "status": row["status"]},
        }


def rest(department: CivilAffairs, api_key: str, telemetry: Telemetry) -> Starlette:
    """The REST interface; it goes on with the asker's trace."""

    async def search(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get(API_KEY_HEADER, "").encode(), api_key.encode()):
            return JSONResponse({"error": "wrong_api_key"}, status_code=401)
        number = await _number(request)
        if not number:
            return JSONResponse({"error": "number_missing"}, status_code=400)
        parent = request.headers.get("traceparent", "")
        with telemetry.span("POST /v1/marriages/search", kind=SpanKind.SERVER, parent=parent):
            marriage = await department.marriage(number)
        if marriage is None:
            return JSONResponse({"error": "no_marriage"}, status_code=404)
        return JSONResponse(marriage)

    return Starlette(routes=[Route("/v1/marriages/search", search, methods=["POST"])])


async def _number(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            return ""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    number = document.get("number") if isinstance(document, dict) else None
    return number if isinstance(number, str) else ""
