# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kit.eventlog.file import KEEP_RECORDS_MAX, KEEP_SECONDS, KEEP_SECONDS_MAX, LogFile
from services.kit.eventlog.group import Member, _shares
from services.kit.eventlog.port import Place, Record

NOW = 1_000_000.0
ZERO, ONE = Place("t", 0), Place("t", 1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    file = LogFile(tmp_path / "events.sqlite")
    file.ensure_topics(["t"], 2)
    yield file
    file.close()


def record(number: int) -> Record:
    return Record("t", f"k{number}", str(number).encode(), (("ce_id", f"e{number}".encode()),))


def append(log: LogFile, *numbers: int, partition: int = 0, time: float = NOW) -> None:
    log.append([(partition, record(number)) for number in numbers], time)


def values(log: LogFile, place: Place = ZERO) -> list[int]:
    return [int(each.value) for each in log.read(place, 0, 1000)]


def test_records_are_read_as_they_were_written_with_their_places(log: LogFile) -> None:
    append(log, 1, 2)
    append(log, 3, partition=1)
    assert log.read(ZERO, 1, 10) == [
        Record("t", "k2", b"2", (("ce_id", b"e2"),), partition=0, offset=1),
    ]
    assert log.ends() == {ZERO: 2, ONE: 1}


def test_a_topic_is_made_once_and_keeps_its_partitions(log: LogFile) -> None:
    assert log.ensure_topics(["t", "u"], 5) == {"t": 2, "u": 5}


def test_headers_of_any_bytes_come_back(log: LogFile) -> None:
    odd = Record("t", "k", b"", (("h", bytes(range(256))),))
    log.append([(0, odd)], NOW)
    assert log.read(ZERO, 0, 1)[0].headers == odd.headers


def test_offsets_go_on_after_a_restart_even_where_records_are_forgotten(log: LogFile, tmp_path: Path) -> None:
    append(log, 1, 2, 3)
    log.commit({("g", ZERO): 3})
    log.clean(NOW + KEEP_SECONDS + 1)
    assert values(log) == []
    again = LogFile(tmp_path / "events.sqlite")
    again.topics()
    append(again, 4)
    assert [each.offset for each in again.read(ZERO, 0, 10)] == [3]
    assert again.committed("g") == {ZERO: 3}
    again.close()


def test_what_a_group_has_not_acknowledged_is_kept_for_a_week(log: LogFile) -> None:
    append(log, 1, 2, 3)
    log.commit({("g", ZERO): 3, ("slow", ZERO): 1})
    log.clean(NOW + KEEP_SECONDS + 1)
    assert values(log) == [2, 3]
    log.clean(NOW + KEEP_SECONDS_MAX - 1)
    assert values(log) == [2, 3]
    log.clean(NOW + KEEP_SECONDS_MAX + 1)
    assert values(log) == []


def test_what_is_acknowledged_stays_an_hour_for_whoever_looks(log: LogFile) -> None:
    append(log, 1)
    log.commit({("g", ZERO): 1})
    log.clean(NOW + KEEP_SECONDS - 1)
    assert values(log) == [1]


def test_acknowledged_records_are_bounded_by_number_too(log: LogFile) -> None:
    append(log, *range(50))
    log.append([(0, record(number)) for number in range(KEEP_RECORDS_MAX)], NOW)
    log.commit({("g", ZERO): 50 + KEEP_RECORDS_MAX})
    log.clean(NOW)
    assert log.read(ZERO, 0, 1)[0].offset == 50


def test_another_connection_s_records_are_noticed_and_own_quiet_is_not(log: LogFile, tmp_path: Path) -> None:
    log.ends_if_changed()
    assert log.ends_if_changed() is None
    other = LogFile(tmp_path / "events.sqlite")
    other.topics()
    append(other, 1)
    assert log.ends_if_changed() == {ZERO: 1, ONE: 0}
    other.close()


def member(name: str, *holds: int) -> Member:
    return Member(name, frozenset({"t"}), None, None, {Place("t", each) for each in holds})  # type: ignore[arg-type]


def numbers(shares: dict[str, set[Place]]) -> dict[str, set[int]]:
    return {name: {place.partition for place in places} for name, places in shares.items()}


PLACES = [Place("t", number) for number in range(4)]


def test_one_member_has_everything() -> None:
    assert numbers(_shares([member("a")], PLACES)) == {"a": {0, 1, 2, 3}}


def test_a_second_member_gets_half_and_the_first_keeps_the_rest() -> None:
    shares = numbers(_shares([member("a", 0, 1, 2, 3), member("b")], PLACES))
    assert shares == {"a": {0, 1}, "b": {2, 3}}


def test_who_stays_keeps_what_it_has_when_another_goes() -> None:
    shares = numbers(_shares([member("a", 0), member("b", 1)], PLACES))
    assert 0 in shares["a"]
    assert 1 in shares["b"]
    assert sorted(len(each) for each in shares.values()) == [2, 2]


def test_nobody_gets_a_topic_that_it_does_not_hear() -> None:
    deaf = Member("deaf", frozenset({"u"}), None, None)  # type: ignore[arg-type]
    assert numbers(_shares([deaf, member("a")], PLACES)) == {"deaf": set(), "a": {0, 1, 2, 3}}
