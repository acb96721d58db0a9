# SPDX-License-Identifier: Apache-2.0
"""Materials: what is needed, what may stand for it, and what a submission without it is told."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.gateway.domain.bounds import Bounds
from services.gateway.domain.history import CorrectionItem
from services.gateway.domain.materials import Way
from services.gateway.domain.problems import DefinitionInvalid, ProblemCode
from services.gateway.domain.refusals import (
    AnswersMissing,
    CaseNotFound,
    IdempotencyKeyReused,
    MaterialContentRefused,
    MaterialInfected,
    MaterialLicenseInvalid,
    MaterialNotAsked,
    MaterialNotFound,
    MaterialsMissing,
    MaterialTooLarge,
    MediaTypeRefused,
    TooManyMaterials,
    UploadsNotOffered,
)
from services.gateway.domain.statistics import figures_of
from services.gateway.events import to_wire
from services.gateway.service import CaseStatus, CaseView, ChangeAnswers, CreateCase, DeleteDraft, SubmitCase
from services.gateway.service.dealing import Held
from services.gateway.service.life import MaterialDesk, OnCase
from services.gateway.service.ports import GatewayStore
from services.gateway.store import SqlGatewayStore
from services.kit.caller import acting_as
from services.kit.errors import VersionConflict
from services.kit.ids import new_id
from services.kit.text import Text
from tests.support.gateway_materials import (
    EICAR,
    JPEG,
    LICENSE,
    LICENSE_TYPE,
    PDF,
    PNG,
    license_view,
    material,
    needing,
    pieces,
)
from tests.support.gateway_matters import plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import BOUNDS, CLINIC, NEIGHBOR, RESIDENT, MovingClock, World
from tests.support.probe import resources

PLAN = needing(
    material("floor_plan", count_max=2, bytes_max=2_000),
    material("permit", license_type=LICENSE_TYPE),
    material("fire_report", when="answers.size == 'large'"),
    material("extract", fact="known"),
    material("photo", optional=True, media_types=["image/png"]),
)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewayStore]:
    if request.param == "memory":
        yield MemoryGatewayStore()
        return
    given_ = resources(f"sqlite:///{tmp_path}/g.sqlite", tmp_path)
    async with SqlGatewayStore.open(given_, encode=to_wire) as sql:
        yield sql


@pytest.fixture
def world(store: GatewayStore) -> World:
    made = World(store, workflows_of(PLAN), MovingClock())
    made.licenses.known[LICENSE] = license_view()
    return made


@pytest.fixture(autouse=True)
def signed_in() -> Iterator[None]:
    with acting_as(RESIDENT):
        yield


async def draft(world: World, **answers: str) -> CaseView:
    return await world.service.create_case(CreateCase("sample", answers))


async def upload(
    world: World, case_id: str, name: str, content: bytes = PDF, media_type: str = "application/pdf", **more: Any
) -> CaseView:
    command = OnCase(case_id, more.pop("key", new_id()), **more)
    return await world.life.materials.upload(command, name, media_type, pieces(content))


async def show(world: World, case_id: str, name: str = "permit") -> CaseView:
    return await world.life.materials.show_license(OnCase(case_id, new_id()), name, LICENSE)


async def complete(world: World, case_id: str) -> None:
    await upload(world, case_id, "floor_plan")
    await show(world, case_id)


def ways(case: CaseView) -> dict[str, Way | None]:
    return {one.id: one.way for one in case.materials}


async def test_a_case_is_submitted_once_everything_that_it_needs_is_there(world: World) -> None:
    case = await draft(world)
    with pytest.raises(MaterialsMissing) as missing:
        await world.service.submit_case(SubmitCase(case.id))
    assert [one.field for one in missing.value.violations] == ["materials.floor_plan", "materials.permit"]
    await complete(world, case.id)
    submitted = await world.service.submit_case(SubmitCase(case.id))
    assert submitted.status is CaseStatus.SUBMITTED
    assert ways(submitted) == {
        "floor_plan": Way.UPLOAD,
        "permit": Way.LICENSE,
        "fire_report": None,
        "extract": Way.FACT,
        "photo": None,
    }


async def test_a_material_is_needed_where_its_condition_holds(world: World) -> None:
    case = await draft(world, size="large")
    await complete(world, case.id)
    with pytest.raises(MaterialsMissing) as missing:
        await world.service.submit_case(SubmitCase(case.id))
    assert [one.field for one in missing.value.violations] == ["materials.fire_report"]
    await world.service.change_answers(ChangeAnswers(case.id, {"size": "small"}))
    await world.service.submit_case(SubmitCase(case.id))


async def test_who_does_without_the_step_that_fetches_it_hands_it_in(world: World) -> None:
    case = await world.service.create_case(CreateCase("sample", {}, ("known",)))
    await complete(world, case.id)
    with pytest.raises(MaterialsMissing):
        await world.service.submit_case(SubmitCase(case.id))
    assert ways(await upload(world, case.id, "extract"))["extract"] is Way.UPLOAD


async def test_a_file_comes_back_byte_for_byte_and_is_gone_once_it_is_taken_back(world: World) -> None:
    case = await draft(world)
    given = (await upload(world, case.id, "photo", PNG, "image/png")).materials[-1].given[0]
    read = await world.life.materials.read(case.id, given.material_id)
    assert (read.content, read.media_type, read.digest) == (PNG, "image/png", given.digest)
    with acting_as(NEIGHBOR), pytest.raises(CaseNotFound):
        await world.life.materials.read(case.id, given.material_id)
    after = await world.life.materials.take_back(OnCase(case.id, new_id()), given.material_id)
    assert after.materials[-1].given == ()
    assert await world.store.content_of(given.material_id) is None
    for call in (
        world.life.materials.read(case.id, given.material_id),
        world.life.materials.take_back(OnCase(case.id, new_id()), given.material_id),
    ):
        with pytest.raises(MaterialNotFound):
            await call


async def test_files_go_with_their_draft(world: World) -> None:
    kept = []
    for _ in range(2):
        case = await draft(world)
        kept.append((await upload(world, case.id, "floor_plan")).materials[0].given[0].material_id)
    await world.service.delete_case(DeleteDraft(case.id))
    assert [await world.store.content_of(one) is None for one in kept] == [False, True]
    assert isinstance(world.clock, MovingClock)
    world.clock.forward(days=31)
    assert await world.timers.fire()
    assert await world.store.content_of(kept[0]) is None


async def test_an_upload_gives_a_draft_its_days_anew(world: World) -> None:
    case = await draft(world)
    assert isinstance(world.clock, MovingClock)
    world.clock.forward(days=29)
    await upload(world, case.id, "floor_plan")
    world.clock.forward(days=29)
    assert not await world.timers.fire()


@pytest.mark.parametrize(
    ("name", "content", "media_type", "refusal"),
    [
        ("floor_plan", JPEG, "application/pdf", MaterialContentRefused),
        ("floor_plan", EICAR, "application/pdf", MaterialInfected),
        ("floor_plan", PDF + bytes(2_000), "application/pdf", MaterialTooLarge),
        ("photo", PDF, "application/pdf", MediaTypeRefused),
        ("floor_plan", PDF, "text/html", MediaTypeRefused),
        ("unknown", PDF, "application/pdf", MaterialNotFound),
    ],
)
async def test_a_file_that_is_not_to_be_kept_is_not(
    world: World, name: str, content: bytes, media_type: str, refusal: type[Exception]
) -> None:
    case = await draft(world)
    with pytest.raises(refusal):
        await upload(world, case.id, name, content, media_type)
    assert (await world.service.case(case.id)).version == case.version


async def test_no_more_of_a_file_is_read_than_the_material_may_have(world: World) -> None:
    case, read = await draft(world), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 500
            yield bytes(500)

    with pytest.raises(MaterialTooLarge):
        await world.life.materials.upload(OnCase(case.id, new_id()), "floor_plan", "application/pdf", endless())
    assert read == 2_500


async def test_of_one_material_there_are_as_many_as_it_says_and_the_same_file_counts_once(world: World) -> None:
    case = await draft(world)
    await upload(world, case.id, "floor_plan")
    twice = await upload(world, case.id, "floor_plan")
    assert len(twice.materials[0].given) == 1
    await upload(world, case.id, "floor_plan", PNG, "image/png")
    with pytest.raises(TooManyMaterials):
        await upload(world, case.id, "floor_plan", JPEG, "image/jpeg")


async def test_the_files_of_all_drafts_together_are_bounded(world: World) -> None:
    small: Bounds = replace(BOUNDS, draft_bytes=len(PDF) + len(PNG))
    world.life.materials = MaterialDesk(world.engine, world.licenses, small, world.scanner)
    await upload(world, (await draft(world)).id, "floor_plan")
    other = await draft(world)
    await upload(world, other.id, "floor_plan", PNG, "image/png")
    with pytest.raises(TooManyMaterials):
        await upload(world, other.id, "extract", JPEG, "image/jpeg")
    assert len((await world.service.case(other.id)).materials[0].given) == 1


async def test_where_nothing_scans_no_file_is_taken(world: World) -> None:
    world.life.materials = MaterialDesk(world.engine, world.licenses, BOUNDS, None)
    with pytest.raises(UploadsNotOffered):
        await upload(world, (await draft(world)).id, "floor_plan")


async def test_a_key_is_for_one_file(world: World) -> None:
    case = await draft(world)
    first = await upload(world, case.id, "floor_plan", key="k")
    assert await upload(world, case.id, "floor_plan", key="k") == first
    with pytest.raises(IdempotencyKeyReused):
        await upload(world, case.id, "floor_plan", PNG, "image/png", key="k")
    with pytest.raises(VersionConflict):
        await upload(world, case.id, "floor_plan", PNG, "image/png", version=case.version)


@pytest.mark.parametrize(
    "found", [license_view("suspended"), license_view(type_code="2" * 21), license_view(own=False)]
)
async def test_only_an_own_license_of_the_type_that_is_in_force_stands_for_a_material(world: World, found: Any) -> None:
    case = await draft(world)
    with pytest.raises(MaterialLicenseInvalid):
        await show(world, case.id, "floor_plan")
    await complete(world, case.id)
    world.licenses.known[LICENSE] = found
    with pytest.raises(MaterialLicenseInvalid):
        await show(world, (await draft(world)).id)
    with pytest.raises(MaterialLicenseInvalid):
        await world.service.submit_case(SubmitCase(case.id))
    assert (await world.service.case(case.id)).status is CaseStatus.DRAFT


async def test_a_file_takes_the_place_of_a_license_and_the_other_way_round(world: World) -> None:
    case = await draft(world)
    await upload(world, case.id, "permit")
    shown = (await show(world, case.id)).materials[1]
    assert shown.way is Way.LICENSE
    assert [one.license_id for one in shown.given] == [LICENSE]
    back = (await upload(world, case.id, "permit")).materials[1]
    assert (back.way, len(back.given)) == (Way.UPLOAD, 1)


async def test_a_submitted_case_takes_what_a_department_asks_for_again_and_nothing_else(store: GatewayStore) -> None:
    if not isinstance(store, SqlGatewayStore):
        pytest.skip("departments deal with applicants over SQL")
    world = World(store, workflows_of(PLAN), MovingClock())
    world.licenses.known[LICENSE] = license_view()
    case = await draft(world)
    await complete(world, case.id)
    first = (await world.service.submit_case(SubmitCase(case.id))).materials[0].given[0]
    with pytest.raises(MaterialNotAsked):
        await upload(world, case.id, "floor_plan", PNG, "image/png")
    with pytest.raises(MaterialNotAsked):
        await world.life.materials.take_back(OnCase(case.id, new_id()), first.material_id)
    with acting_as(CLINIC):
        task = (await world.dealings.waiting()).rows[0]
        task = await world.dealings.lease(new_id(), task.task_id)
        items = (CorrectionItem("floor_plan", Text("看不清", "It can't be read")),)
        await world.dealings.correct(Held(new_id(), task.task_id, task.lease_token), items)
    with pytest.raises(MaterialNotAsked):
        await upload(world, case.id, "permit")
    with pytest.raises(AnswersMissing) as missing:
        await world.life.own.correct(OnCase(case.id, new_id()), {})
    assert [one.field for one in missing.value.violations] == ["materials.floor_plan"]
    assert isinstance(world.clock, MovingClock)
    world.clock.forward(hours=1)
    await upload(world, case.id, "floor_plan", PNG, "image/png")
    await world.life.own.correct(OnCase(case.id, new_id()), {})
    with pytest.raises(MaterialNotAsked):
        await upload(world, case.id, "floor_plan", JPEG, "image/jpeg")


async def test_statistics_count_what_nobody_had_to_hand_in(world: World) -> None:
    case = await draft(world)
    await complete(world, case.id)
    await world.service.submit_case(SubmitCase(case.id))
    file = await world.store.case_file(case.id)
    assert file is not None
    ended = replace(file.state, ended=world.clock())
    sums = {figure.name: value for figure, value in figures_of(PLAN, ended).items() if not figure.role}
    assert (sums["materials"], sums["materials_spared"]) == (3, 2)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (material("name"), ProblemCode.FIELD_DUPLICATE),
        (material("plan", seen_by=["known"]), ProblemCode.STEP_UNKNOWN),
        (material("plan", fact="work"), ProblemCode.STEP_UNKNOWN),
        (material("plan", when="answers.nothing == ''"), ProblemCode.FIELD_UNKNOWN),
        (material("plan", when="steps.work.state == 'done'"), ProblemCode.STEP_NOT_BEFORE),
    ],
)
def test_a_material_names_what_there_is(wrong: dict[str, Any], code: ProblemCode) -> None:
    with pytest.raises(DefinitionInvalid) as invalid:
        needing(wrong)
    assert [one.code for one in invalid.value.problems] == [code]


async def test_a_sub_case_that_needs_something_handed_in_is_not_opened(store: GatewayStore) -> None:
    other = needing(material("floor_plan"), code="other")
    world = World(
        store, workflows_of(plan_of(step("part", "sub_case"), step("z", needs=["part"])), other), MovingClock()
    )
    case = await draft(world)
    await world.service.submit_case(SubmitCase(case.id))
    assert await world.timers.fire()
    assert (await world.service.case(case.id)).reason == "SUB_CASE_INVALID"
