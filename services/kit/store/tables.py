# SPDX-License-Identifier: Apache-2.0
"""The tables every service keeps beside its own: outbox, guard, parked messages, ledger."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy import text as sql

from services.kit.store.types import BigId, UtcDateTime


@dataclass(frozen=True)
class KitTables:
    """The kit's tables within one service's metadata."""

    outbox: Table
    seen: Table
    parked: Table
    ledger_leaf: Table
    ledger_node: Table
    ledger_frontier: Table
    ledger_head: Table


def kit_tables(metadata: MetaData) -> KitTables:
    """Declare the kit's tables in a service's metadata (once; a second call returns the same)."""
    known: KitTables | None = metadata.info.get("kit_tables")
    if known is None:
        known = KitTables(
            outbox=_outbox(metadata),
            seen=_seen(metadata),
            parked=_parked(metadata),
            ledger_leaf=_ledger_leaf(metadata),
            ledger_node=_ledger_node(metadata),
            ledger_frontier=_ledger_frontier(metadata),
            ledger_head=_ledger_head(metadata),
        )
        metadata.info["kit_tables"] = known
    return known


def _outbox(metadata: MetaData) -> Table:
    """Facts on their way: written with the change, deleted once the log has them."""
    return Table(
        "outbox",
        metadata,
        Column("id", BigId, primary_key=True, autoincrement=True),
        Column("event_id", String(36), nullable=False),
        Column("type", String(200), nullable=False),
        Column("key", String(200), nullable=False),
        Column("value", LargeBinary, nullable=False),
        Column("occur_time", UtcDateTime, nullable=False),
        Column("traceparent", String(60), nullable=False),
        Column("correlation", String(200), nullable=False),
        Column("causation", String(200), nullable=False),
        sqlite_autoincrement=True,  # an id is never used twice
    )


def _seen(metadata: MetaData) -> Table:
    """Request ids and event ids that have had their effect."""
    return Table(
        "seen",
        metadata,
        Column("id", String(200), primary_key=True),
        Column("seen_time", UtcDateTime, nullable=False),
        Index("seen_by_time", "seen_time"),
    )


def _parked(metadata: MetaData) -> Table:
    """Messages that could not be handled, as they came, for an operator."""
    return Table(
        "parked",
        metadata,
        Column("id", BigId, primary_key=True, autoincrement=True),
        Column("event_id", String(200), nullable=False, unique=True),
        Column("topic", String(200), nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("key", String(200), nullable=False),
        Column("type", String(200), nullable=False),
        Column("value", LargeBinary, nullable=False),
        Column("headers", Text, nullable=False),
        Column("reason", String(100), nullable=False),
        Column("detail", String(500), nullable=False),
        Column("blocking", Boolean, nullable=False),
        Column("replay", Boolean, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("park_time", UtcDateTime, nullable=False),
        Index("parked_by_place", "topic", "partition", "key", "id"),
        Index("parked_to_replay", "replay", sqlite_where=sql("replay"), postgresql_where=sql("replay")),
        sqlite_autoincrement=True,
    )


def _ledger_leaf(metadata: MetaData) -> Table:
    """The leaves, in order."""
    return Table(
        "ledger_leaf",
        metadata,
        Column("index", BigInteger, primary_key=True, autoincrement=False),
        Column("body", LargeBinary, nullable=False),
        Column("leaf_hash", LargeBinary, nullable=False),
        Column("subject", String(64), nullable=False),
        Column("case_id", String(200), nullable=False),
        Index("ledger_leaf_by_subject", "subject", "index"),
        Index("ledger_leaf_by_case", "case_id", "index"),
    )


def _ledger_node(metadata: MetaData) -> Table:
    """Roots of complete subtrees: `position` counts subtrees of 2**level leaves from the left; leaves themselves are level 0."""
    return Table(
        "ledger_node",
        metadata,
        Column("level", Integer, primary_key=True, autoincrement=False),
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("hash", LargeBinary, nullable=False),
    )


def _ledger_frontier(metadata: MetaData) -> Table:
    """One row: the size and the peaks. Its lock is what makes several processes append to one tree."""
    return Table(
        "ledger_frontier",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("size", BigInteger, nullable=False),
        Column("peaks", LargeBinary, nullable=False),
    )


def _ledger_head(metadata: MetaData) -> Table:
    """Signed heads, one for a size."""
    return Table(
        "ledger_head",
        metadata,
        Column("tree_size", BigInteger, primary_key=True, autoincrement=False),
        Column("root_hash", LargeBinary, nullable=False),
        Column("sign_time", UtcDateTime, nullable=False),
        Column("jws", Text, nullable=False),
    )
