# SPDX-License-Identifier: Apache-2.0
"""What an applicant hands in: files that were looked at before they are kept, and licenses that stand for them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from services.gateway.domain.bounds import Bounds
from services.gateway.domain.content import must_be_harmless
from services.gateway.domain.history import Event, MaterialAdded, MaterialRemoved
from services.gateway.domain.material import Material
from services.gateway.domain.materials import hand_in, may_be_handed_in, must_fit, must_take, take_back
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import (
    MaterialInfected,
    MaterialLicenseInvalid,
    MaterialNotFound,
    UploadsNotOffered,
)
from services.gateway.service.drafts import own_file, touch_draft
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.materials import FileView, Scanner
from services.gateway.service.owning import OnCase, changed_by_owner
from services.gateway.service.ports import CaseFile, GatewayStore, LicensesSource
from services.gateway.service.present import case_view
from services.gateway.service.views import CaseView, LicenseView
from services.kit.ids import new_id

_VALID = "active"


class MaterialDesk:
    """Acts for the calling resident; every change answers with the case as it is then."""

    def __init__(self, engine: Engine, licenses: LicensesSource, bounds: Bounds, scanner: Scanner | None) -> None:
        """`scanner`: None where nothing looks for viruses, and no file is taken."""
        self._engine = engine
        self._licenses = licenses
        self._bounds = bounds
        self._scanner = scanner

    async def upload(self, command: OnCase, material: str, media_type: str, pieces: AsyncIterator[bytes]) -> CaseView:
        """Keeps a file, once it was read, looked at and scanned.

        CASE_NOT_FOUND, UPLOADS_NOT_OFFERED, MATERIAL_NOT_FOUND, MATERIAL_NOT_ASKED, MEDIA_TYPE_REFUSED,
        MATERIAL_TOO_LARGE, MATERIAL_CONTENT_REFUSED, MATERIAL_INFECTED, TOO_MANY_MATERIALS, VERSION_CONFLICT,
        IDEMPOTENCY_KEY_REUSED. Unavailable where the scanner is.
        """
        if self._scanner is None:
            raise UploadsNotOffered("Nothing looks for viruses here: no file is taken.")
        file, plan = await self._own(command.case_id)
        wanted = may_be_handed_in(plan, file.state, material)
        kind = must_take(wanted, media_type)
        content = await _read(wanted, pieces)
        await asyncio.to_thread(must_be_harmless, content, kind)  # Of 20 MB it takes longer than others may wait.
        if await self._scanner.scan(content):
            raise MaterialInfected("The scanner has found malware in the file; it was not kept.")
        added = MaterialAdded(
            self._engine.clock(),
            material,
            new_id(),
            hashlib.sha256(content).hexdigest(),
            len(content),
            kind.value,
            self._scanner.name,
        )

        async def keep(turn: Turn, file: CaseFile, events: Sequence[Event]) -> None:
            if added in events:
                held = await turn.tx.keep_content(added.material_id, file.case_id, file.state.applicant_id, content)
                self._bounds.must_hold_bytes(held)

        return await self._changed(
            command,
            {"material": material, "digest": added.digest},
            lambda plan, file: hand_in(plan, file.state, added),
            keep,
        )

    async def show_license(self, command: OnCase, material: str, license_id: str) -> CaseView:
        """Lets an own license that is in force stand for a material.

        CASE_NOT_FOUND, MATERIAL_NOT_FOUND, MATERIAL_NOT_ASKED, MATERIAL_LICENSE_INVALID, LICENSE_NOT_FOUND,
        TOO_MANY_MATERIALS, VERSION_CONFLICT, IDEMPOTENCY_KEY_REUSED. Unavailable where the licenses service is.
        """
        file, plan = await self._own(command.case_id)
        wanted = may_be_handed_in(plan, file.state, material)
        found = await self._licenses.read(license_id)
        must_stand_for(wanted, found)
        added = MaterialAdded(
            self._engine.clock(), material, new_id(), license_id=license_id, identifier=found.identifier
        )
        request = {"material": material, "license": license_id}
        return await self._changed(command, request, lambda plan, file: hand_in(plan, file.state, added))

    async def take_back(self, command: OnCase, material_id: str) -> CaseView:
        """Lets go of one thing, file and all. CASE_NOT_FOUND, MATERIAL_NOT_FOUND, MATERIAL_NOT_ASKED, VERSION_CONFLICT."""
        now = self._engine.clock()
        return await self._changed(
            command, {"take_back": material_id}, lambda plan, file: take_back(plan, file.state, material_id, now)
        )

    async def must_hold(self, file: CaseFile, plan: Plan) -> None:
        """Asks for every license of a draft once more. MATERIAL_LICENSE_INVALID, LICENSE_NOT_FOUND; Unavailable."""
        for one in file.state.materials.values():
            if one.license_id and (compiled := plan.materials.get(one.material)) is not None:
                must_stand_for(compiled.material, await self._licenses.read(one.license_id))

    async def read(self, case_id: str, material_id: str) -> FileView:
        """Reads an own file. CASE_NOT_FOUND, MATERIAL_NOT_FOUND."""
        return await file_of(self._engine.store, await own_file(self._engine, case_id), material_id)

    async def _changed(
        self,
        command: OnCase,
        request: Mapping[str, object],
        events: Callable[[Plan, CaseFile], Sequence[Event]],
        keep: Callable[[Turn, CaseFile, Sequence[Event]], Awaitable[None]] | None = None,
    ) -> CaseView:
        async def beside(turn: Turn, file: CaseFile, made: Sequence[Event]) -> None:
            if gone := [one.material_id for one in made if isinstance(one, MaterialRemoved)]:
                await turn.tx.drop_contents(gone)
            if keep is not None:
                await keep(turn, file, made)
            if file.state.submitted is None:
                await touch_draft(turn, file.case_id, self._engine.clock() + self._bounds.draft_life)

        after = await changed_by_owner(self._engine, command, request, events, beside)
        return case_view(after, await self._engine.plan_of(after.state.definition), self._engine.workflows)

    async def _own(self, case_id: str) -> tuple[CaseFile, Plan]:
        file = await own_file(self._engine, case_id)
        return file, await self._engine.plan_of(file.state.definition)


async def file_of(store: GatewayStore, file: CaseFile, material_id: str) -> FileView:
    """A file of a case. Raises MaterialNotFound where it was taken back, or is a license."""
    added = file.state.materials.get(material_id)
    content = await store.content_of(material_id) if added and added.digest else None
    if added is None or content is None:
        raise MaterialNotFound("The case has no such file.")
    return FileView(content, added.media_type, added.digest)


def must_stand_for(material: Material, found: LicenseView) -> None:
    """Raises MaterialLicenseInvalid, which says what is so."""
    if found.type_code != material.license_type:
        raise MaterialLicenseInvalid("A license of this type does not stand for the material.")
    if not found.own or found.state != _VALID:
        state = found.state if found.own else "another's"
        raise MaterialLicenseInvalid(f"The license is {state}.", remedy="Show one that is in force, or upload it.")


async def _read(material: Material, pieces: AsyncIterator[bytes]) -> bytes:
    """The whole file; no more of it than the material may have is ever held."""
    content = bytearray()
    async for piece in pieces:
        content += piece
        must_fit(material, len(content))
    return bytes(content)
