# SPDX-License-Identifier: Apache-2.0
"""Orders that hide one agency's uses from the person they are about, until a day: made by one officer, in force when another countersigns.

Making one is a leaf without the person; countersigning and lifting are leaves about the person, hidden and shown as what they hide is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tongban.ledger.v1 import ledger_events_pb2, ledger_pb2

from services.kit.caller import CallerKind, current_caller
from services.kit.envelope import Outgoing
from services.kit.errors import NotFound, Refusal, RequestIdReused, RequestInvalid, RightMissing, Violation
from services.kit.ids import derived_id
from services.kit.ledger.access import Access, Withheld
from services.kit.ledger.rows import Book, Writing
from services.kit.paging import LONG_MAX, Page, encode_token, number_after

PAGE_SIZE: Final = 20
DAYS_MAX: Final = 366
COUNTERSIGN_DAYS: Final = 7
HIDE: Final = "ledger.hide"
COUNTERSIGN: Final = "ledger.countersign"


class OrderNotFound(NotFound):
    """There is no such order."""


class OrderNotOpen(Refusal):
    """The order is countersigned, lifted, over or forgotten already."""


class SameOfficer(RightMissing):
    """Whoever made an order can't countersign it."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order; `subject` is the person's pseudonym."""

    order_id: str
    subject: str
    agency: str
    case_id: str
    ground: str
    end_time: datetime
    end_told: bool
    ordered_by: str
    order_time: datetime
    countersigned_by: str = ""
    countersign_time: datetime | None = None
    lift_time: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it hides anything at this moment."""
        return self.countersign_time is not None and self.lift_time is None and now < self.end_time

    def hides(self, body: Mapping[str, Any]) -> bool:
        """Whether it is about this leaf: a use by or for the agency, or a leaf of the order itself."""
        if body.get("resource") == self.order_id:
            return True
        return by_or_for(body, self.agency) and self.case_id in {"", body.get("case")}

    @property
    def withheld(self) -> Withheld:
        """What the person is told in place of a body."""
        return Withheld(self.order_id, self.end_time if self.end_told else None)

    def to_wire(self) -> ledger_pb2.HidingOrder:
        """As officers see it."""
        wire = ledger_pb2.HidingOrder(
            order_id=self.order_id,
            subject=self.subject,
            agency=self.agency,
            case_id=self.case_id,
            ground=self.ground,
            end_told=self.end_told,
            ordered_by=self.ordered_by,
            countersigned_by=self.countersigned_by,
        )
        wire.end_time.FromDatetime(self.end_time)
        wire.order_time.FromDatetime(self.order_time)
        if self.countersign_time is not None:
            wire.countersign_time.FromDatetime(self.countersign_time)
        if self.lift_time is not None:
            wire.lift_time.FromDatetime(self.lift_time)
        return wire


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an officer orders."""

    request_id: str
    agency: str
    case_id: str
    ground: str
    end_time: datetime
    end_told: bool


class Orders:
    """Orders in one service's store."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._table = book.tables.ledger_order

    async def create(self, wanted: Wanted, subject: str) -> Order:
        """Make an order that hides nothing yet. `subject`: the person's pseudonym.

        Raises:
            RequestInvalid: it would end in the past, or later than a year from now.
            RightMissing: a clerk orders for another agency.
        """
        caller, now = current_caller(), self._book.clock()
        caller.must(HIDE)
        _must_be_for_own_agency(wanted.agency)
        if not now < wanted.end_time <= now + timedelta(days=DAYS_MAX):
            raise RequestInvalid(
                "An order ends within a year.",
                violations=[Violation("end_time", f"After now, and within {DAYS_MAX} days.")],
            )
        order = Order(
            order_id=derived_id("hiding", caller.label, wanted.request_id),
            subject=subject,
            agency=wanted.agency,
            case_id=wanted.case_id,
            ground=wanted.ground,
            end_time=wanted.end_time,
            end_told=wanted.end_told,
            ordered_by=caller.label,
            order_time=now,
        )
        async with self._book.transaction() as tx:
            if not await tx.first_sight(wanted.request_id):
                return await self._again(tx.connection, order)
            values = {name: getattr(order, name) for name in Order.__slots__}
            await tx.connection.execute(self._table.insert().values(values))
            await self._tell(tx, order, now)
            await tx.leaf(_access("ledger.hide", order, order.ground))
        return order

    async def countersign(self, request_id: str, order_id: str) -> Order:
        """Put an order into force.

        Raises:
            OrderNotFound, SameOfficer.
            OrderNotOpen: it is countersigned already, over, or older than a week.
        """
        caller, now = current_caller(), self._book.clock()
        caller.must(COUNTERSIGN)
        async with self._book.transaction() as tx:
            order = await self._read(tx.connection, order_id, lock=True)
            if not await tx.first_sight(request_id):
                return _repeated(order, done=order.countersigned_by == caller.label)
            if order.ordered_by.partition(":")[2] == caller.id:
                raise SameOfficer("Another officer countersigns an order.")
            last = min(order.end_time, order.order_time + timedelta(days=COUNTERSIGN_DAYS))
            if order.countersign_time is not None or order.lift_time is not None or now >= last:
                raise OrderNotOpen("The order can't be countersigned any more.")
            return await self._change(
                tx, order, countersigned_by=caller.label, countersign_time=now, operation="ledger.countersign"
            )

    async def lift(self, request_id: str, order_id: str, ground: str) -> Order:
        """End an order early.

        Raises:
            OrderNotFound.
            OrderNotOpen: it is over already.
        """
        current_caller().must(HIDE)
        now = self._book.clock()
        async with self._book.transaction() as tx:
            order = await self._read(tx.connection, order_id, lock=True)
            _must_be_for_own_agency(order.agency)
            if not await tx.first_sight(request_id):
                return _repeated(order, done=order.lift_time is not None)
            if order.lift_time is not None or now >= order.end_time:
                raise OrderNotOpen("The order is over already.")
            return await self._change(tx, order, lift_time=now, operation="ledger.lift", basis=ground)

    async def newest(self, page_size: int = 0, token: str = "") -> Page[Order]:
        """Orders, newest first; a clerk sees those of the own agency."""
        caller = current_caller()
        caller.must(HIDE)
        size = page_size or PAGE_SIZE
        query = select(self._table).order_by(self._table.c.id.desc()).limit(size + 1)
        if caller.kind is CallerKind.CLERK:
            query = query.where(self._table.c.agency == caller.agency)
        if (before := number_after(token, "before", most=LONG_MAX)) is not None:
            query = query.where(self._table.c.id < before)
        async with self._book.reading() as connection:
            rows = (await connection.execute(query)).all()
        more = len(rows) > size
        return Page(tuple(map(_order, rows[:size])), encode_token(before=rows[size - 1].id) if more else "")

    async def in_force(self, connection: AsyncConnection, subjects: Sequence[str]) -> list[Order]:
        """The orders that hide something about a person now; mostly none."""
        now = self._book.clock()
        rows = await connection.execute(select(self._table).where(self._table.c.subject.in_(subjects)))
        return [order for order in map(_order, rows) if order.in_force(now)]

    async def _read(self, connection: AsyncConnection, order_id: str, *, lock: bool = False) -> Order:
        query = select(self._table).where(self._table.c.order_id == order_id)
        row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
        if row is None:
            raise OrderNotFound("There is no such order.")
        return _order(row)

    async def _again(self, connection: AsyncConnection, order: Order) -> Order:
        """The order that a repeated request made. Raises RequestIdReused where it was another request."""
        query = select(self._table).where(self._table.c.order_id == order.order_id)
        row = (await connection.execute(query)).one_or_none()
        before = order if row is None else _order(row)
        terms = ("subject", "agency", "case_id", "ground", "end_time", "end_told")
        same = all(getattr(before, name) == getattr(order, name) for name in terms)
        return _repeated(before, done=row is not None and same)

    async def _change(self, tx: Writing, order: Order, *, operation: str, basis: str = "", **changes: object) -> Order:
        """Write what changed, tell it, and add its leaf, which is about the person."""
        await tx.connection.execute(
            update(self._table).where(self._table.c.order_id == order.order_id).values(**changes)
        )
        after = await self._read(tx.connection, order.order_id)
        await self._tell(tx, after, self._book.clock())
        await tx.leaf(_access(operation, order, basis or order.ground), subject=order.subject)
        return after

    async def _tell(self, tx: Writing, order: Order, now: datetime) -> None:
        fact = ledger_events_pb2.HidingOrderChanged(order_id=order.order_id, in_force=order.in_force(now))
        fact.end_time.FromDatetime(order.end_time)
        await tx.record(Outgoing(message=fact, key=self._book.service))


def by_or_for(body: Mapping[str, Any], agency: str) -> bool:
    """Whether an agency made a use, or it was made for it."""
    return (
        body.get("on_behalf_of") == agency
        or body.get("caller") == f"agency:{agency}"
        or str(body.get("actor", "")).endswith(f"/agency/{agency}")
    )


def _must_be_for_own_agency(agency: str) -> None:
    caller = current_caller()
    if caller.kind is CallerKind.CLERK and caller.agency != agency:
        raise RightMissing("A clerk orders for the own agency alone.")


def _repeated(order: Order, *, done: bool) -> Order:
    """What a repeated request gives, if it had done what it asks for."""
    if not done:
        raise RequestIdReused("This request id came before, with another request.")
    return order


def _access(operation: str, order: Order, basis: str) -> Access:
    return Access(
        operation, "", "hiding", basis, resource=order.order_id, on_behalf_of=order.agency, case_id=order.case_id
    )


def _order(row: Row[*tuple[Any, ...]]) -> Order:
    return Order(**{name: getattr(row, name) for name in Order.__slots__})
