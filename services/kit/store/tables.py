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
    ledger_key: Table
    ledger_cosignature: Table
    ledger_fork: Table
    ledger_order: Table
    ledger_block: Table
    ledger_segment: Table


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
            ledger_key=_ledger_key(metadata),
            ledger_cosignature=_ledger_cosignature(metadata),
            ledger_fork=_ledger_fork(metadata),
            ledger_order=_ledger_order(metadata),
            ledger_block=_ledger_block(metadata),
            ledger_segment=_ledger_segment(metadata),
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


def _ledger_key(metadata: MetaData) -> Table:
    """The secret that persons' keys come from, as far as none of them was erased (`ledger/persons.py`); `version` counts erasures in the row of the root."""
    return Table(
        "ledger_key",
        metadata,
        Column("prefix", String(16), primary_key=True),
        Column("sealed", LargeBinary, nullable=False),
        Column("version", BigInteger, nullable=False),
    )


def _ledger_cosignature(metadata: MetaData) -> Table:
    """What witnesses said to heads."""
    return Table(
        "ledger_cosignature",
        metadata,
        Column("tree_size", BigInteger, primary_key=True, autoincrement=False),
        Column("witness", String(200), primary_key=True),
        Column("jws", Text, nullable=False),
    )


def _ledger_fork(metadata: MetaData) -> Table:
    """Evidence against a ledger, this one or another."""
    return Table(
        "ledger_fork",
        metadata,
        Column("id", BigId, primary_key=True, autoincrement=True),
        Column("evidence_id", String(64), nullable=False, unique=True),
        Column("log", String(40), nullable=False),
        Column("witness", String(200), nullable=False),
        Column("jws", Text, nullable=False),
        sqlite_autoincrement=True,
    )


def _ledger_order(metadata: MetaData) -> Table:
    """Orders that hide uses from the person whom they are about."""
    return Table(
        "ledger_order",
        metadata,
        Column("id", BigId, primary_key=True, autoincrement=True),
        Column("order_id", String(36), nullable=False, unique=True),
        Column("subject", String(64), nullable=False),
        Column("agency", String(18), nullable=False),
        Column("case_id", String(200), nullable=False),
        Column("ground", String(500), nullable=False),
        Column("end_time", UtcDateTime, nullable=False),
        Column("end_told", Boolean, nullable=False),
        Column("ordered_by", String(200), nullable=False),
        Column("order_time", UtcDateTime, nullable=False),
        Column("countersigned_by", String(200), nullable=False),
        Column("countersign_time", UtcDateTime, nullable=True),
        Column("lift_time", UtcDateTime, nullable=True),
        Index("ledger_order_by_subject", "subject"),
        sqlite_autoincrement=True,
    )


def _ledger_block(metadata: MetaData) -> Table:
    """What 1,024 leaves have in them, for searches (`ledger/search.py`): hashes of their words, and from when to when."""
    return Table(
        "ledger_block",
        metadata,
        Column("block", BigInteger, primary_key=True, autoincrement=False),
        Column("first_time", String(27), nullable=False),
        Column("last_time", String(27), nullable=False),
        Column("marks", LargeBinary, nullable=False),
    )


def _ledger_segment(metadata: MetaData) -> Table:
    """Ranges whose bodies went to an archive segment."""
    return Table(
        "ledger_segment",
        metadata,
        Column("from_index", BigInteger, primary_key=True, autoincrement=False),
        Column("to_index", BigInteger, nullable=False),
        Column("root_hash", LargeBinary, nullable=False),
        Column("archive_time", UtcDateTime, nullable=False),
    )
