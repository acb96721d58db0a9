# SPDX-License-Identifier: Apache-2.0
"""The embedded log's file: topics, partitions, records and committed offsets in SQLite. Blocking; one thread calls it."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from services.kit.eventlog.port import Place, Record

KEEP_SECONDS: Final = 3600.0  # what every group has acknowledged stays this long, for whoever looks
KEEP_SECONDS_MAX: Final = 7 * 86400.0  # what somebody has not acknowledged stays this long, as in Kafka
KEEP_RECORDS_MAX: Final = 100_000  # acknowledged records of one partition, at most

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS place (
    topic INTEGER NOT NULL REFERENCES topic, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (
    topic INTEGER NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    key TEXT NOT NULL, value BLOB NOT NULL, headers TEXT NOT NULL, time REAL NOT NULL,
    PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS committed (
    grp TEXT NOT NULL, topic INTEGER NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (grp, topic, partition)) WITHOUT ROWID;
"""


class LogFile:
    """One SQLite file. Every commit is on disk before it returns (WAL, synchronous=FULL)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30.0, check_same_thread=False)
        try:
            self._db.execute("PRAGMA busy_timeout=30000")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        except sqlite3.Error:
            self._db.close()
            raise
        self._ids: dict[str, int] = {}
        self._version = -1

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def ensure_topics(self, names: Iterable[str], partitions: int) -> dict[str, int]:
        """Create what is missing; returns every topic's number of partitions."""
        with _Transaction(self._db):
            for name in names:
                made = self._db.execute(
                    "INSERT INTO topic (name, partitions) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id",
                    (name, partitions),
                ).fetchone()
                if made:
                    self._db.executemany(
                        "INSERT INTO place VALUES (?, ?, 0)", [(made[0], number) for number in range(partitions)]
                    )
        return self.topics()

    def topics(self) -> dict[str, int]:
        """Every topic's number of partitions."""
        rows = self._db.execute("SELECT name, id, partitions FROM topic").fetchall()
        self._ids = {name: topic for name, topic, _ in rows}
        return {name: partitions for name, _, partitions in rows}

    def append(self, records: Sequence[tuple[int, Record]], time: float) -> dict[Place, int]:
        """Append records to their partitions in order, all or none; returns the new ends."""
        ends: dict[Place, int] = {}
        rows = []
        with _Transaction(self._db):
            for partition, record in records:
                topic = self._ids[record.topic]
                place = Place(record.topic, partition)
                offset = ends.get(place)
                if offset is None:
                    (offset,) = self._db.execute(
                        "SELECT next FROM place WHERE topic = ? AND partition = ?", (topic, partition)
                    ).fetchone()
                headers = json.dumps([[name, raw.decode("latin-1")] for name, raw in record.headers])
                rows.append((topic, partition, offset, record.key, record.value, headers, time))
                ends[place] = offset + 1
            self._db.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany(
                "UPDATE place SET next = ? WHERE topic = ? AND partition = ?",
                [(end, self._ids[place.topic], place.partition) for place, end in ends.items()],
            )
        return ends

    def read(self, place: Place, offset: int, limit: int) -> list[Record]:
        """Records of one partition from `offset` on."""
        rows = self._db.execute(
            "SELECT offset, key, value, headers FROM record"
            " WHERE topic = ? AND partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
            (self._ids[place.topic], place.partition, offset, limit),
        )
        return [
            Record(
                topic=place.topic,
                key=key,
                value=value,
                headers=tuple((name, text.encode("latin-1")) for name, text in json.loads(headers)),
                partition=place.partition,
                offset=at,
            )
            for at, key, value, headers in rows
        ]

    def ends(self) -> dict[Place, int]:
        """The next offset of every partition."""
        rows = self._db.execute("SELECT name, partition, next FROM place JOIN topic ON topic.id = place.topic")
        return {Place(name, partition): end for name, partition, end in rows}

    def ends_if_changed(self) -> dict[Place, int] | None:
        """The ends, if another process has written since the last question."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return None
        self._version = version
        return self.ends()

    def committed(self, group: str) -> dict[Place, int]:
        """What a group has acknowledged."""
        rows = self._db.execute(
            "SELECT name, partition, offset FROM committed JOIN topic ON topic.id = committed.topic WHERE grp = ?",
            (group,),
        )
        return {Place(name, partition): offset for name, partition, offset in rows}

    def commit(self, offsets: Mapping[tuple[str, Place], int]) -> None:
        """Note what groups have acknowledged."""
        with _Transaction(self._db):
            self._db.executemany(
                "INSERT INTO committed VALUES (?, ?, ?, ?)"
                " ON CONFLICT (grp, topic, partition) DO UPDATE SET offset = excluded.offset",
                [
                    (group, self._ids[place.topic], place.partition, offset)
                    for (group, place), offset in offsets.items()
                ],
            )

    def clean(self, now: float) -> int:
        """Forget what every group has acknowledged (and is old, or too many), and what is too old for any; returns how many."""
        removed = 0
        with _Transaction(self._db):
            places = self._db.execute(
                "SELECT place.topic, place.partition, next, min(offset) FROM place LEFT JOIN committed"
                " ON committed.topic = place.topic AND committed.partition = place.partition"
                " GROUP BY place.topic, place.partition"
            ).fetchall()
            for topic, partition, end, acknowledged in places:
                done = end if acknowledged is None else acknowledged
                removed += self._db.execute(
                    "DELETE FROM record WHERE topic = ? AND partition = ? AND offset < ? AND (time < ? OR offset < ?)",
                    (topic, partition, done, now - KEEP_SECONDS, end - KEEP_RECORDS_MAX),
                ).rowcount
                removed += self._db.execute(
                    "DELETE FROM record WHERE topic = ? AND partition = ? AND time < ?",
                    (topic, partition, now - KEEP_SECONDS_MAX),
                ).rowcount
        return removed


class _Transaction:
    """BEGIN IMMEDIATE .. COMMIT, or ROLLBACK."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        elif self._db.in_transaction:
            self._db.execute("ROLLBACK")
