# SPDX-License-Identifier: Apache-2.0
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.contextvars import bound_contextvars

from services.kit import logs
from services.kit.errors import StartupError

SECRET = "11010519491231002X"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "log" / "lines.jsonl"
    logs.configure("json", "info", str(path))
    yield path
    logs.configure("json", "info", str(tmp_path / "other"))


def lines(path: Path) -> list[dict[str, object]]:
    logs.flush()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_has_time_level_service_and_fields(file: Path) -> None:
    with bound_contextvars(service="licenses"):
        logs.get_logger().info("license_suspended", license_id="l-1")
    [line] = lines(file)
    assert line["event"] == "license_suspended"
    assert (line["level"], line["service"], line["license_id"]) == ("info", "licenses", "l-1")
    assert str(line["time"]).endswith("Z")


def test_lines_below_the_level_are_not_written(file: Path) -> None:
    logs.get_logger().debug("too_small")
    assert lines(file) == []


def test_an_exception_shows_where_and_never_what(file: Path) -> None:
    def inner() -> None:
        raise KeyError(SECRET)

    def outer() -> None:
        try:
            inner()
        except KeyError as error:
            raise ValueError(SECRET) from error

    try:
        outer()
    except ValueError:
        logs.get_logger().exception("broke")
        logging.getLogger("some.library").exception("went wrong with %s", SECRET)
    text = json.dumps(lines(file))
    assert "test_logs.py" in text
    assert " inner" in text
    assert "builtins.KeyError" in text
    assert SECRET not in text


def test_a_value_of_unknown_kind_shows_its_class(file: Path) -> None:
    class Person:
        def __repr__(self) -> str:
            return SECRET

    logs.get_logger().info("seen", who=Person(), where=Path("/tmp"))
    [line] = lines(file)
    assert (line["who"], line["where"]) == ("Person", "/tmp")


def test_a_log_file_that_cannot_be_written_stops_the_start_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="can't be written"):
        logs.configure("json", "info", str(tmp_path / "file" / "log"))
