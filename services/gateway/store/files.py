# SPDX-License-Identifier: Apache-2.0
"""Histories, read once: a state that is known is only taken further, and a long one from its last snapshot."""

from collections import OrderedDict
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.domain.case import CaseState, fold
from services.gateway.service.ports import CaseFile
from services.gateway.store.rows import event_of
from services.gateway.store.snapshots import EVERY, SHAPE, state_of
from services.gateway.store.tables import cases, events, snapshots
from services.kit.crypto import Keyring

_KEPT_MAX = 1000
# Built once: to build a statement costs as much as to run it.
_CASE = select(cases.c.version, cases.c.traceparent).where(cases.c.case_id == bindparam("of_case"))
_CASE_LOCKED = _CASE.with_for_update()
_SNAPSHOT = select(snapshots).where(snapshots.c.case_id == bindparam("of_case"))
_EVENTS = (
    select(events)
    .where(
        events.c.case_id == bindparam("of_case"), events.c.seq > bindparam("after"), events.c.seq <= bindparam("last")
    )
    .order_by(events.c.seq)
)


class Files:
    """Folds histories and keeps the last states. States are of committed events: never wrong, only old."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._states: OrderedDict[str, CaseState] = OrderedDict()

    async def read(self, connection: AsyncConnection, case_id: str, *, lock: bool = False) -> CaseFile | None:
        """The case as it stands."""
        asked = _CASE_LOCKED if lock else _CASE
        row = (await connection.execute(asked, {"of_case": case_id})).one_or_none()
        if row is None:
            return None
        known = self._states.get(case_id)
        if known is None or known.version > row.version:
            known = await self._snapshot(connection, case_id, row.version)
        if known.version < row.version:
            rows = await self._rows(connection, case_id, known.version, row.version)
            if not rows:  # A draft that was deleted between the two looks.
                return None
            known = fold((event_of(self._keyring, one) for one in rows), known)
        return CaseFile(case_id, row.traceparent, known)

    def keep(self, file: CaseFile) -> None:
        """Remember the state for the next one who asks; only of what is committed, and never an older one."""
        known = self._states.get(file.case_id)
        if known is not None and known.version > file.state.version:
            return
        self._states[file.case_id] = file.state
        self._states.move_to_end(file.case_id)
        if len(self._states) > _KEPT_MAX:
            self._states.popitem(last=False)

    def forget(self, case_id: str) -> None:
        """Let go of a state."""
        self._states.pop(case_id, None)

    async def _snapshot(self, connection: AsyncConnection, case_id: str, version: int) -> CaseState:
        """The state to go on from: of the last snapshot, or nothing."""
        if version < EVERY:
            return CaseState()
        row = (await connection.execute(_SNAPSHOT, {"of_case": case_id})).one_or_none()
        if row is None or row.shape != SHAPE or row.version > version:
            return CaseState()
        return state_of(self._keyring, row)

    async def _rows(self, connection: AsyncConnection, case_id: str, after: int, last: int) -> list[Row[Any]]:
        return list((await connection.execute(_EVENTS, {"of_case": case_id, "after": after, "last": last})).all())
