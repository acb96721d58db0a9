# SPDX-License-Identifier: Apache-2.0
"""One change of an own case by its applicant, done once, and only on the version that was read."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from services.gateway.domain.definition import canonical_json
from services.gateway.domain.history import Event
from services.gateway.domain.plan import Plan
from services.gateway.domain.refusals import CaseNotFound, IdempotencyKeyReused
from services.gateway.service.drafts import citizen
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.ports import CaseFile, Remembered
from services.kit.errors import VersionConflict


@dataclass(frozen=True, slots=True)
class OnCase:
    """Whose change it is. The same caller and key again have the same answer, and one effect."""

    case_id: str
    idempotency_key: str
    version: int | None = None
    """That was read; VERSION_CONFLICT where the case has moved on. None to skip the check."""


async def changed_by_owner(
    engine: Engine,
    command: OnCase,
    request: Mapping[str, object],
    events: Callable[[Plan, CaseFile], Sequence[Event]],
    beside: Callable[[Turn, CaseFile, Sequence[Event]], Awaitable[None]] | None = None,
) -> CaseFile:
    """The case after the change; `beside` does in the same transaction what else these events need.

    Raises:
        CaseNotFound: there is none, or it is another resident's.
        IdempotencyKeyReused: the key came with another request.
        VersionConflict: it has changed since it was read.
    """
    caller = citizen()
    note = Remembered(engine.store.digest(canonical_json({**request, "case": command.case_id})), command.case_id)

    async def work(turn: Turn) -> CaseFile:
        file, plan = await turn.load(command.case_id)
        if file.state.applicant_id != caller.id:
            raise CaseNotFound("There is no such case.")
        first = await turn.tx.remember(caller.label, command.idempotency_key, note)
        if first is not None:
            if first.fingerprint != note.fingerprint:
                raise IdempotencyKeyReused("The idempotency key belongs to another request.", remedy="Use a new key.")
            return file
        if command.version is not None and command.version != file.state.version:
            raise VersionConflict("The case has changed since it was read.", remedy="Read it again.")
        made = events(plan, file)
        after = await turn.apply(file, plan, made)
        if beside is not None:
            await beside(turn, after, made)
        return after

    return await engine.transact(work)
