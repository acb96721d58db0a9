# SPDX-License-Identifier: Apache-2.0
"""Materials as they are shown, and what handling them needs from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.gateway.domain.case import CaseState
from services.gateway.domain.history import MaterialAdded
from services.gateway.domain.material import Material
from services.gateway.domain.materials import Need, Way, needs
from services.gateway.domain.plan import Plan
from services.kit.text import Text


class Scanner(Protocol):
    """Looks for viruses."""

    name: str

    async def scan(self, content: bytes) -> str:
        """What it found; empty for nothing. Raises Unavailable where it can't tell."""


@dataclass(frozen=True, slots=True)
class GivenView:
    """One thing that was handed in."""

    material_id: str
    added: datetime
    digest: str
    size: int
    media_type: str
    scanner: str
    license_id: str
    identifier: str


@dataclass(frozen=True, slots=True)
class MaterialView:
    """One material of a matter; of a case also whether it is needed, and what stands for it."""

    id: str
    title: Text
    hint: Text | None
    basis: str
    optional: bool
    media_types: tuple[str, ...]
    bytes_max: int
    count_max: int
    license_type: str
    """Of the license that stands for it; empty where none does."""
    asked_because: Text | None
    needed: bool
    way: Way | None
    given: tuple[GivenView, ...]


@dataclass(frozen=True, slots=True)
class FileView:
    """The file itself."""

    content: bytes
    media_type: str
    digest: str


def materials_of(plan: Plan, state: CaseState) -> tuple[MaterialView, ...]:
    """Those of a case."""
    return tuple(need_view(one) for one in needs(plan, state))


def materials_asked(plan: Plan) -> tuple[MaterialView, ...]:
    """Those of a matter, before anybody has asked for it."""
    return tuple(_view(one, needed=not one.optional and one.when is None) for one in plan.matter.materials)


def need_view(need: Need) -> MaterialView:
    """One of a case."""
    return _view(need.material, needed=need.needed, way=need.way, given=need.given)


def _view(
    material: Material, *, needed: bool, way: Way | None = None, given: Sequence[MaterialAdded] = ()
) -> MaterialView:
    return MaterialView(
        id=material.id,
        title=material.title,
        hint=material.hint,
        basis=material.basis,
        optional=material.optional,
        media_types=tuple(one.value for one in material.media_types),
        bytes_max=material.bytes_max,
        count_max=material.count_max,
        license_type=material.license_type or "",
        asked_because=material.asked_because,
        needed=needed,
        way=way,
        given=tuple(
            GivenView(
                material_id=one.material_id,
                added=one.at,
                digest=one.digest,
                size=one.size,
                media_type=one.media_type,
                scanner=one.scanner,
                license_id=one.license_id,
                identifier=one.identifier,
            )
            for one in given
        ),
    )
