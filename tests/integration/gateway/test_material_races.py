# SPDX-License-Identifier: Apache-2.0
"""Files on both databases: a submission and an upload at once, two uploads at once, and what is left afterwards."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from services.gateway.domain.refusals import MaterialNotAsked, TooManyMaterials
from services.gateway.service import CaseStatus, CaseView, CreateCase, DeleteDraft, SubmitCase
from services.gateway.service.life import OnCase
from services.gateway.store import SqlGatewayStore
from services.gateway.store.materials import material_content
from services.kit.caller import acting_as
from services.kit.errors import Refusal
from services.kit.ids import new_id
from tests.support.gateway_materials import JPEG, PDF, PNG, material, needing, pieces
from tests.support.gateway_twins import Twins, twins_of
from tests.support.gateway_world import RESIDENT, World

PLAN = needing(material("plan", count_max=2), material("more", optional=True, count_max=1))
ROUNDS = 6


@pytest.fixture
async def twins(database: str, tmp_path: Path) -> AsyncIterator[Twins]:
    async with twins_of(database, tmp_path, PLAN) as both:
        yield both


async def uploaded(world: World, case_id: str, name: str, content: bytes, media_type: str) -> CaseView | Refusal:
    with acting_as(RESIDENT):
        command = OnCase(case_id, new_id())
        try:
            return await world.life.materials.upload(command, name, media_type, pieces(content))
        except Refusal as refusal:
            return refusal


async def submitted(world: World, case_id: str) -> CaseView:
    with acting_as(RESIDENT):
        return await world.service.submit_case(SubmitCase(case_id))


async def drafted(world: World) -> str:
    with acting_as(RESIDENT):
        case = await world.service.create_case(CreateCase("sample"))
    assert isinstance(await uploaded(world, case.id, "plan", PDF, "application/pdf"), CaseView)
    return case.id


async def files(world: World) -> int:
    assert isinstance(world.store, SqlGatewayStore)
    async with world.store.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(material_content))).scalar_one())


async def test_an_upload_that_comes_with_the_submission_is_in_the_case_or_refused(twins: Twins) -> None:
    kept = 0
    for turn in range(ROUNDS):
        case_id = await drafted(twins.one)
        acts = [uploaded(twins.one, case_id, "more", PNG, "image/png"), submitted(twins.two, case_id)]
        first, second = await asyncio.gather(*(acts if turn % 2 else reversed(acts)))
        upload = first if turn % 2 else second
        with acting_as(RESIDENT):
            case = await twins.two.service.case(case_id)
        assert case.status is CaseStatus.SUBMITTED
        there = len(case.materials[1].given)
        assert isinstance(upload, CaseView if there else MaterialNotAsked)
        kept += 1 + there
        with acting_as(RESIDENT):
            await twins.one.life.own.withdraw(OnCase(case_id, new_id()))
    assert await files(twins.one) == kept


async def test_of_two_files_for_one_place_one_is_kept(twins: Twins) -> None:
    case_id = await drafted(twins.one)
    found = await asyncio.gather(
        uploaded(twins.one, case_id, "more", PNG, "image/png"), uploaded(twins.two, case_id, "more", JPEG, "image/jpeg")
    )
    assert sorted(isinstance(one, TooManyMaterials) for one in found) == [False, True]
    assert await files(twins.one) == 2


async def test_the_bytes_in_the_database_say_nothing_and_go_with_the_draft(twins: Twins) -> None:
    case_id = await drafted(twins.one)
    assert isinstance(twins.one.store, SqlGatewayStore)
    async with twins.one.store.reading() as connection:
        sealed = (await connection.execute(select(material_content.c.sealed))).scalar_one()
    assert b"%PDF" not in sealed
    with acting_as(RESIDENT):
        await twins.two.service.delete_case(DeleteDraft(case_id))
    assert await files(twins.one) == 0
