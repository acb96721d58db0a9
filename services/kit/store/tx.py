# SPDX-License-Identifier: Apache-2.0
"""One transaction: the change, the ids it answers to, the facts it tells and the uses of personal data it stands for."""

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.caller import CURRENT, CallerKind
from services.kit.envelope import Outgoing, current_envelope
from services.kit.errors import RequestIdReused
from services.kit.ids import derived_id, new_id
from services.kit.ledger.access import Access, Receipt
from services.kit.store.dialect import insert_into
from services.kit.telemetry import current_traceparent

if TYPE_CHECKING:
    from services.kit.store.store import Store

OUTBOX_COLUMNS: Final = ("occur_time", "event_id", "type", "key", "value", "traceparent", "correlation", "causation")
KEY_CHARACTERS_MAX: Final = 200
FACT_BYTES_MAX: Final = 512 * 1024  # the broker takes a mebibyte


class Tx:
    """What a use case holds between begin and commit. Services subclass it with their own rows in and out."""

    def __init__(self, store: "Store[Any]", connection: AsyncConnection) -> None:
        self.store = store
        self.connection = connection
        self._facts: list[tuple[object, ...]] = []

    @property
    def facts_recorded(self) -> bool:
        """Whether the relay will have something to send after the commit."""
        return bool(self._facts)

    def insert(self, table: Table) -> postgresql.Insert:
        """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update` on either database."""
        return insert_into(self.connection, table)

    async def first_sight(self, id: str, *asked: str) -> bool:
        """Whether this request or delivery has not had its effect yet; from now on it has, if this transaction commits.

        Two transactions with one id wait for each other: the second sees what the first did. Whoever asks from outside
        has ids of their own: none of theirs is taken for another caller's, or for a delivery's.

        Args:
            id: of the request or delivery.
            asked: what the request asks for, where what is there does not show whether that has happened.

        Raises:
            RequestIdReused: it came before and asked for something else.
        """
        caller = CURRENT.get()
        if caller is not None and caller.kind is not CallerKind.SERVICE:
            id = f"{caller.label}:{id}"
        first = await self.first_time(id)
        if asked and await self.first_time(derived_id(id, *asked)) is not first:
            raise RequestIdReused("This request id came before, with another request.")
        return first

    async def first_time(self, id: str) -> bool:
        """The same for what happens once, whoever causes it."""
        now = self.store.stored(self.store.clock())
        result = await self.store.guard.one(self.connection, id, now)
        return result.rowcount == 1

    async def record(self, fact: object) -> None:
        """Tell `fact` once this transaction commits, caused by the event being handled, within the running trace.

        Facts are dated and written just before the commit, when every lock that orders them is held: facts of one key
        leave in the order of the changes.
        """
        outgoing = fact if isinstance(fact, Outgoing) else self.store.encode(fact)
        value = outgoing.message.SerializeToString(deterministic=True)
        if not 0 < len(outgoing.key) <= KEY_CHARACTERS_MAX or len(value) > FACT_BYTES_MAX:
            raise ValueError(f"A fact needs a key of 1 to {KEY_CHARACTERS_MAX} characters and at most 512 KiB.")
        cause = current_envelope()
        self._facts.append(
            (
                new_id(),
                outgoing.message.DESCRIPTOR.full_name,
                outgoing.key,
                value,
                current_traceparent(),
                outgoing.correlation or (cause.correlation if cause else ""),
                cause.event_id if cause else "",
            )
        )

    async def leaf(self, access: Access, *, subject: str = "") -> Receipt:
        """Add a leaf to the service's ledger in this transaction.

        The tree's frontier stays locked until the commit, so ask for it last: everything else that appends waits.
        `subject`: the person's pseudonym, where the subject id is not known.
        """
        entry = self.store.ledger.entry(access, subject=subject)
        return (await self.store.ledger.append_in(self.connection, [entry]))[0]

    async def flush(self) -> None:
        """Write what was recorded; the store calls it before the commit."""
        if self._facts:
            now = self.store.stored(self.store.clock())
            await self.store.outbox.many(self.connection, [(now, *each) for each in self._facts])
