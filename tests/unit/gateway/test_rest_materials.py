# SPDX-License-Identifier: Apache-2.0
"""Files at the door: read as they come, bounded, given back to who may see them; a clerk's look leaves a leaf."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.gateway.domain.material import BYTES_MAX
from services.kit.ids import new_id
from services.kit.ledger.own import Narrow
from tests.support.gateway_inbox import ALICE, CAROL, Desk, bearer, desk
from tests.support.gateway_materials import PDF, PNG, material
from tests.support.gateway_matters import MOTHER, field, plan_of, step

MATTER = plan_of(
    step("answer", agency="police", input={"about": "answers.about", "place": "answers.place"}),
    step("later", needs=["answer"], agency="police"),
    form=(field("about", required=True), field("place")),
    materials=[
        material("plan", seen_by=["answer"], bytes_max=BYTES_MAX),
        material("other", seen_by=["later"], optional=True),
    ],
)
OWN = {"authorization": f"Bearer citizen:{MOTHER}"}


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(f"sqlite:///{tmp_path}/g.sqlite", tmp_path, plan=MATTER) as made:
        yield made


async def draft(opened: Desk) -> str:
    asked = {"matter": "sample", "answers": {"about": "路灯不亮"}}
    answer = await opened.client.post("/api/v1/cases", json=asked, headers={**OWN, "idempotency-key": new_id()})
    return str(answer.json()["id"])


async def sent(
    opened: Desk, case_id: str, content: bytes = PDF, media_type: str = "application/pdf", name: str = "plan"
) -> httpx.Response:
    headers = {**OWN, "idempotency-key": new_id(), "content-type": media_type}
    return await opened.client.post(f"/api/v1/cases/{case_id}/materials/{name}", content=content, headers=headers)


async def test_a_file_goes_in_and_comes_back_as_it_was(opened: Desk) -> None:
    case_id = await draft(opened)
    answer = await sent(opened, case_id)
    assert answer.status_code == 201, answer.text
    plan = answer.json()["materials"][0]
    assert (plan["way"], plan["given"][0]["scanner"]) == ("upload", "eicar-only")
    place = f"/api/v1/cases/{case_id}/files/{plan['given'][0]['material_id']}"
    back = await opened.client.get(place, headers=OWN)
    assert (back.content, back.headers["content-type"]) == (PDF, "application/pdf")
    assert back.headers["content-disposition"].startswith("attachment")
    assert back.headers["x-content-type-options"] == "nosniff"
    foreign = await opened.client.get(place, headers={"authorization": "Bearer citizen:other"})
    assert (foreign.status_code, foreign.json()["reason"]) == (404, "CASE_NOT_FOUND")
    gone = await opened.client.delete(place, headers={**OWN, "idempotency-key": "d"})
    assert (gone.status_code, gone.json()["materials"][0]["given"]) == (200, [])


async def test_an_upload_may_be_larger_than_other_bodies_and_no_larger_than_any_file(opened: Desk) -> None:
    case_id = await draft(opened)
    large = PDF[:-6] + b"%" * 3_000_000 + b"\n%%EOF\n"
    assert (await sent(opened, case_id, large)).status_code == 201
    too_large = await sent(opened, case_id, bytes(BYTES_MAX + 1))
    assert (too_large.status_code, too_large.json()["reason"]) == (413, "BODY_TOO_LARGE")
    elsewhere = f"/api/v1/cases/{case_id}/materials/plan/license"
    headers = {**OWN, "idempotency-key": "l", "content-type": "application/json"}
    assert (await opened.client.post(elsewhere, content=large, headers=headers)).status_code == 413


async def test_a_file_of_another_type_is_refused_in_words(opened: Desk) -> None:
    case_id = await draft(opened)
    answer = await sent(opened, case_id, PNG)
    assert (answer.status_code, answer.json()["reason"]) == (400, "MATERIAL_CONTENT_REFUSED")
    answer = await sent(opened, case_id, PNG, "image/gif")
    assert (answer.status_code, answer.json()["reason"]) == (400, "MEDIA_TYPE_REFUSED")


async def test_a_clerk_reads_what_was_handed_in_for_their_task_and_the_applicant_learns_of_it(opened: Desk) -> None:
    case_id = await draft(opened)
    assert (await sent(opened, case_id)).status_code == 201
    other = (await sent(opened, case_id, PNG, "image/png", "other")).json()["materials"][1]["given"][0]
    submitted = await opened.client.post(f"/api/v1/cases/{case_id}/submit", headers={**OWN, "idempotency-key": "s"})
    assert submitted.status_code == 202, submitted.text
    (task,) = await opened.tasks()
    detail = (await opened.client.get(f"/api/v1/tasks/{task['id']}", headers=bearer(ALICE))).json()
    assert [one["id"] for one in detail["materials"]] == ["plan"]
    given = detail["materials"][0]["given"][0]
    place = f"/api/v1/tasks/{task['id']}/materials"
    read = await opened.client.get(f"{place}/{given['material_id']}", headers=bearer(ALICE))
    assert read.content == PDF
    leaves = await opened.store.ledger.own.page(MOTHER, Narrow())
    assert b"gateway.ReadMaterial" in leaves.rows[0].leaf.body
    assert b'"fields":["plan"]' in leaves.rows[0].leaf.body
    for headers, material_id in (
        (bearer(ALICE), other["material_id"]),
        (bearer(ALICE), new_id()),
        (bearer(CAROL), given["material_id"]),
    ):
        assert (await opened.client.get(f"{place}/{material_id}", headers=headers)).status_code == 404
