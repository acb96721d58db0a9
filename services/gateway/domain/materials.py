# SPDX-License-Identifier: Apache-2.0
"""What must be handed in, what is there, and what the applicant may do about it. Pure: over plan, state and moment."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.gateway.domain.case import CaseState
from services.gateway.domain.compiling import CompiledMaterial
from services.gateway.domain.expressions import ExpressionFailed
from services.gateway.domain.history import MaterialAdded, MaterialRemoved
from services.gateway.domain.material import Material, MediaType
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import (
    MaterialLicenseInvalid,
    MaterialNotAsked,
    MaterialNotFound,
    MaterialsMissing,
    MaterialTooLarge,
    MediaTypeRefused,
    TooManyMaterials,
)
from services.kit.errors import Violation

CASE_FILES_MAX = 50
CASE_BYTES_MAX = 50_000_000
"""Of all files of one case."""


class Way(StrEnum):
    """What stands for a material."""

    UPLOAD = "upload"
    LICENSE = "license"
    FACT = "fact"


@dataclass(frozen=True, slots=True)
class Need:
    """One material of a case as it stands."""

    material: Material
    needed: bool
    """By the answers as they are; an optional one is never needed."""
    way: Way | None
    """What stands for it; None where nothing does yet."""
    given: tuple[MaterialAdded, ...]


def needs(plan: Plan, state: CaseState) -> tuple[Need, ...]:
    """Every material of the matter, in its order."""
    answers = {one.name: "" for one in plan.matter.form} | state.effective_answers()
    return tuple(_need(compiled, state, answers) for compiled in plan.materials.values())


def must_be_complete(plan: Plan, state: CaseState) -> None:
    """Raises MaterialsMissing, which names each one that is needed and that nothing stands for."""
    missing = [one.material.id for one in needs(plan, state) if one.needed and one.way is None]
    if missing:
        violations = [Violation(f"materials.{name}", "Is needed.") for name in missing]
        raise MaterialsMissing(
            "Something is still to be handed in.",
            remedy="Hand it in, or show the license that stands for it.",
            violations=violations,
        )


def may_be_handed_in(plan: Plan, state: CaseState, name: str) -> Material:
    """The material, where the applicant may hand in or take back now: in a draft, or what is to be corrected.

    Raises:
        MaterialNotFound: the matter asks for no such thing.
        MaterialNotAsked: the case is submitted, and nobody asked for this again; says what is so.
    """
    compiled = plan.materials.get(name)
    if compiled is None:
        raise MaterialNotFound("The matter asks for no such material.")
    if state.submitted is not None and name not in _to_correct(state):
        raise MaterialNotAsked(
            f"The case is {state.status.value}, and nobody asked for this again.",
            metadata={"status": state.status.value},
        )
    return compiled.material


def must_take(material: Material, media_type: str) -> MediaType:
    """The declared type, where the material may be of it. Raises MediaTypeRefused."""
    found = next((one for one in material.media_types if one == media_type), None)
    if found is None:
        known = ", ".join(material.media_types)
        raise MediaTypeRefused(f"This material is taken as {known}.", remedy="Save it as one of these.")
    return found


def must_fit(material: Material, size: int) -> None:
    """Raises MaterialTooLarge."""
    if size > material.bytes_max:
        raise MaterialTooLarge(
            f"A file of this material has {material.bytes_max} bytes at most.",
            remedy="Scan it with a lower resolution, or hand in fewer pages.",
        )


def hand_in(plan: Plan, state: CaseState, added: MaterialAdded) -> tuple[MaterialAdded | MaterialRemoved, ...]:
    """Take it into the case. A file takes the place of a license and the other way round; the same file twice is one.

    Raises:
        MaterialNotFound, MaterialNotAsked: as in `may_be_handed_in`.
        MaterialLicenseInvalid: no license stands for this material.
        TooManyMaterials: there are as many of it, or in the case, as there may be.
    """
    material = may_be_handed_in(plan, state, added.material)
    if added.license_id and material.license_type is None:
        raise MaterialLicenseInvalid("No license stands for this material.", remedy="Upload it.")
    there = given(state, material.id)
    if any(one.digest == added.digest and one.license_id == added.license_id for one in there):
        return ()
    other = [one for one in there if bool(one.license_id) != bool(added.license_id) or added.license_id]
    gone = tuple(MaterialRemoved(added.at, one.material, one.material_id) for one in other)
    left = [one for one in state.materials.values() if one not in other]
    if sum(one.material == material.id for one in left) >= material.count_max:
        raise TooManyMaterials(
            f"{material.count_max} of this material at most.", remedy="Take one back before you hand in another."
        )
    if len(left) >= CASE_FILES_MAX or sum(one.size for one in left) + added.size > CASE_BYTES_MAX:
        raise TooManyMaterials(
            f"A case holds {CASE_FILES_MAX} files of {CASE_BYTES_MAX} bytes at most.", remedy="Hand in smaller files."
        )
    return (*gone, added)


def take_back(plan: Plan, state: CaseState, material_id: str, now: datetime) -> tuple[MaterialRemoved, ...]:
    """Take one thing back. Raises MaterialNotFound, MaterialNotAsked."""
    one = state.materials.get(material_id)
    if one is None:
        raise MaterialNotFound("The case has no such material.")
    may_be_handed_in(plan, state, one.material)
    return (MaterialRemoved(now, one.material, material_id),)


def given(state: CaseState, name: str) -> tuple[MaterialAdded, ...]:
    """What was handed in for a material, oldest first."""
    return tuple(one for one in state.materials.values() if one.material == name)


def seen_by(plan: Plan, state: CaseState, step_id: str) -> Iterator[Need]:
    """What the department of a task may see of a case."""
    for one in needs(plan, state):
        if step_id in one.material.seen_by and one.way is not None:
            yield one


def uncorrected(state: CaseState, names: Sequence[str], plan: Plan) -> list[str]:
    """Materials that were asked for again, and for which nothing came since."""
    wanted = _to_correct(state)
    return [
        name
        for name in names
        if name in plan.materials and name in wanted and not any(one.at > wanted[name] for one in given(state, name))
    ]


def _to_correct(state: CaseState) -> Mapping[str, datetime]:
    """What is to be corrected, and since when."""
    asked = state.dealings.asked
    return {item.name: asked[step_id][-1] for step_id, items in state.open_corrections.items() for item in items}


def _need(compiled: CompiledMaterial, state: CaseState, answers: Mapping[str, str]) -> Need:
    material = compiled.material
    there = given(state, material.id)
    way: Way | None = None
    if there:
        way = Way.LICENSE if there[0].license_id else Way.UPLOAD
    elif material.fact is not None and material.fact not in state.without:
        way = Way.FACT
    return Need(material, not material.optional and _wanted(compiled, answers), way, there)


def _wanted(compiled: CompiledMaterial, answers: Mapping[str, str]) -> bool:
    try:
        return compiled.when is None or compiled.when.holds({"answers": dict(answers)})
    except ExpressionFailed:
        return True


def figures(found: Sequence[Need]) -> Mapping[str, int]:
    """How many materials a case needed, and how many of them nobody had to hand in."""
    needed = [one for one in found if one.needed]
    ways = Counter(one.way for one in needed)
    return {"materials": len(needed), "materials_spared": ways[Way.LICENSE] + ways[Way.FACT]}
