# SPDX-License-Identifier: Apache-2.0
"""New versions of matters: proposed by one operator, confirmed by another, and open cases moved to them where they fit."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pydantic import ValidationError

from services.gateway.domain.activation import Activation, MatterActivatedFact, confirm
from services.gateway.domain.definition import Matter
from services.gateway.domain.moving import Replay, move, replay
from services.gateway.domain.plan import Plan, compile_plan
from services.gateway.domain.problems import DefinitionInvalid
from services.gateway.domain.refusals import DefinitionProposed, DefinitionRefused, DefinitionUnknown
from services.gateway.service.engine import Engine, Turn
from services.gateway.service.once import once
from services.gateway.service.ports import CaseRow, GatewayTx
from services.kit.caller import current_caller
from services.kit.errors import Violation
from services.kit.paging import Page

RIGHT = "gateway.matters"
PAGE_DEFAULT = 50
_VIOLATIONS_MAX = 100


class ActivationTx(GatewayTx, Protocol):
    """What is needed of a transaction."""

    async def activation(self, digest: str) -> Activation | None:
        """One, locked until the end."""

    async def put_activation(self, activation: Activation) -> None:
        """As it is now."""

    async def keep_definition(self, plan: Plan, now: datetime) -> None:
        """So that cases can be pinned to it."""

    async def record(self, fact: object) -> None:
        """Tell it with the commit."""


class ActivationStore(Protocol):
    """What is needed of the store."""

    def transaction(self) -> AbstractAsyncContextManager[ActivationTx]:
        """All or nothing."""

    async def activated(self) -> Sequence[Activation]:
        """Every confirmed version, oldest first."""

    async def activations(self, matter: str, limit: int, token: str) -> Page[Activation]:
        """Versions, newest first."""

    async def open_cases(self, matter: str, other_than: str, limit: int, token: str) -> Page[CaseRow]:
        """Drafts and cases under way that are not pinned to a version, oldest first."""


@dataclass(frozen=True, slots=True)
class Propose:
    """A version, and why."""

    request_id: str
    definition: str = field(repr=False)
    why: str


@dataclass(frozen=True, slots=True)
class MoveCases:
    """A page of open cases to a confirmed version."""

    request_id: str
    digest: str
    why: str = field(repr=False)
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What would become, or became, of one case."""

    row: CaseRow
    replay: Replay


class ActivationDesk:
    """Operators come here; every method needs the right `gateway.matters`."""

    def __init__(self, engine: Engine, store: ActivationStore) -> None:
        self._engine = engine
        self._store = store
        self._rules = engine.workflows.clocks

    async def load(self) -> None:
        """Offer what was confirmed; at the start, and when another process tells of a confirmation."""
        for one in await self._store.activated():
            self._engine.workflows.offer(compile_plan(Matter.model_validate_json(one.body)))

    async def propose(self, command: Propose) -> Activation:
        """Proposes a version. DEFINITION_REFUSED with each problem, DEFINITION_PROPOSED where it is there already."""
        caller = current_caller()
        caller.must(RIGHT)
        plan = self._plan(command.definition)
        proposed = Activation(
            plan.digest, plan.matter.code, plan.matter.canonical(), command.why, caller.label, self._engine.clock()
        )
        async with self._store.transaction() as tx:
            there = await tx.activation(plan.digest)
            if not await tx.first_sight(f"{caller.label}:{command.request_id}") and there is not None:
                return there
            if there is not None:
                raise DefinitionProposed("This very version is proposed already.", remedy="Confirm it.")
            await tx.put_activation(proposed)
        return proposed

    async def confirm(self, request_id: str, digest: str) -> Activation:
        """Confirms what another one proposed. DEFINITION_UNKNOWN, FOUR_EYES."""
        caller = current_caller()
        caller.must(RIGHT)
        now = self._engine.clock()
        async with self._store.transaction() as tx:
            before = await tx.activation(digest)
            if before is None:
                raise DefinitionUnknown("No such version is proposed.")
            if not await tx.first_sight(f"{caller.label}:{request_id}"):
                return before
            after = confirm(before, caller.label, now)
            if after != before:
                plan = self._plan(after.body)
                await tx.keep_definition(plan, now)
                await tx.put_activation(after)
                await tx.record(MatterActivatedFact(after.matter, after.digest))
        await self.load()
        return after

    async def list(self, matter: str, page_size: int, page_token: str) -> Page[Activation]:
        """Lists versions, newest first."""
        current_caller().must(RIGHT)
        return await self._store.activations(matter, page_size or PAGE_DEFAULT, page_token)

    async def replay(self, definition: str, page_size: int, page_token: str) -> Page[Replayed]:
        """Replays open cases under a definition; changes nothing. DEFINITION_REFUSED."""
        current_caller().must(RIGHT)
        plan = self._plan(definition)
        rows = await self._store.open_cases(plan.matter.code, plan.digest, page_size or PAGE_DEFAULT, page_token)
        found = []
        for row in rows.rows:
            file = await self._engine.store.case_file(row.case_id)
            if file is not None and file.state.ended is None:
                old = await self._engine.plan_of(file.state.definition)
                found.append(
                    Replayed(row, replay(self._rules, old, plan, row.case_id, file.state, now=self._engine.clock()))
                )
        return Page(tuple(found), rows.next_token)

    async def move(self, command: MoveCases) -> Page[Replayed]:
        """Moves a page of open cases, each in its own transaction, where it fits. DEFINITION_UNKNOWN.

        A repeat finds those that moved at their new version, where nothing follows any more: they are not listed again.
        """
        caller = current_caller()
        caller.must(RIGHT)
        async with self._store.transaction() as tx:
            activation = await tx.activation(command.digest)
        if activation is None or activation.confirmed is None:
            raise DefinitionUnknown("No such version is confirmed.", remedy="Let another operator confirm it.")
        plan = await self._engine.plan_of(command.digest)
        size = command.page_size or PAGE_DEFAULT
        rows = await self._store.open_cases(activation.matter, command.digest, size, command.page_token)
        found = [await self._moved(row, plan, command, caller.label) for row in rows.rows]
        return Page(tuple(one for one in found if one is not None), rows.next_token)

    async def _moved(self, row: CaseRow, plan: Plan, command: MoveCases, by: str) -> Replayed | None:
        request_id = f"{command.request_id}:{row.case_id}"

        async def work(turn: Turn) -> Replayed | None:
            file, old = await turn.load(row.case_id)
            if file.state.ended is not None or await once(turn, request_id, command.digest, row.case_id):
                return None
            now = self._engine.clock()
            found = replay(self._rules, old, plan, row.case_id, file.state, now=now)
            if found.fits:
                await turn.apply(file, plan, move(plan, row.case_id, file.state, by=by, why=command.why, now=now))
            return Replayed(row, found)

        return await self._engine.transact(work)

    def _plan(self, definition: str) -> Plan:
        """Read and compile; a fault that an author can mend is a refusal that names each place."""
        try:
            plan = compile_plan(Matter.model_validate_json(definition))
            self._engine.workflows.must_hold(plan)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            places = [Violation(".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults]
        except DefinitionInvalid as invalid:
            places = [Violation(one.where, f"{one.code.value}: {one.message}") for one in invalid.problems]
        else:
            return plan
        raise DefinitionRefused("The definition does not hold.", violations=places[:_VIOLATIONS_MAX])
