# SPDX-License-Identifier: Apache-2.0
"""Files as people hand them in, and a matter that asks for them."""

import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from services.gateway.domain.plan import Plan
from services.gateway.service.views import AgencyView, LicenseView
from services.kit.text import Text
from tests.support.gateway_matters import TITLE, field, plan_of, step

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20) + b"\xff\xd9"
EICAR = PDF + b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*\n%%EOF\n"
LICENSE_TYPE = "1" * 21
LICENSE = "11111111-2222-4333-8444-555555555555"


def material(name: str, **more: Any) -> dict[str, Any]:
    """One of a definition."""
    return {"id": name, "title": TITLE, "basis": "law, art. 1", "seen_by": ["work"], **more}


def needing(*materials: dict[str, Any], **more: Any) -> Plan:
    """A matter of one task that needs them."""
    return plan_of(
        step("known", "fetch", optional=True),
        step("work", input={"name": "answers.name"}),
        step("more", after=["work"], agency="police"),
        form=(field("name"), field("size")),
        materials=list(materials),
        several_drafts=True,
        **more,
    )


def license_view(state: str = "active", type_code: str = LICENSE_TYPE, *, own: bool = True) -> LicenseView:
    """As the licenses service tells it."""
    words = Text("照", "License")
    return LicenseView(
        license_id=LICENSE,
        identifier="1.2.156.3005.2.1",
        type_code=type_code,
        name=words,
        version=1,
        state=state,
        issuer=AgencyView("police", "11990100000001046G", words),
        issued=datetime(2026, 1, 1, tzinfo=UTC),
        expires=None,
        case_id="",
        own=own,
    )


def packed(objects: bytes) -> bytes:
    """A PDF whose objects stand in an object stream."""
    body = zlib.compress(objects)
    head = b"2 0 obj\n<< /Type /Obj#53tm /Filter /FlateDecode /N 1 /First 4 /Length %d >>\nstream\n" % len(body)
    return b"%PDF-1.7\n" + head + body + b"\nendstream\nendobj\n%%EOF\n"


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """As they come over a line."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
