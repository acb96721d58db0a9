# SPDX-License-Identifier: Apache-2.0
"""Log lines: one per unit of work, event names and ids of things, never a person's data.

Lines wait in memory and are rendered and written by one thread every 200 ms and at exit, so that a request never
waits for a disk. A killed process loses at most that much.
"""

import atexit
import logging
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from structlog.contextvars import merge_contextvars
from structlog.typing import FilteringBoundLogger

from services.kit.logwriter import Line, LineWriter
from services.kit.telemetry import current_trace_id

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_FRAMES_MAX = 20
_SAID_IN_FULL = ("aiokafka", "uvicorn", "alembic")
"""Libraries whose messages name topics, groups, ports and versions, and nothing of a request."""

writes_info = False
"""True where lines of level info are wanted; asked before the one line of every call is made."""

_writer = LineWriter()
atexit.register(_writer.close)


def configure(format: str = "json", level: str = "info", file: str = "") -> None:  # noqa: A002 - the knob's own name
    """Start writing lines: `json` or `console`, to a file or to standard error. Raises StartupError if it can't."""
    global writes_info  # noqa: PLW0603 - one process, one log
    _writer.open(file, console=format == "console")
    writes_info = _LEVELS[level] <= logging.INFO
    structlog.configure(
        processors=[merge_contextvars, _complete],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Sink(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, _Bridge)]
    root.addHandler(_Bridge())
    root.setLevel(max(_LEVELS[level], logging.WARNING))


def get_logger() -> FilteringBoundLogger:
    """Give a logger: `log.info("license_suspended", license_id=...)`."""
    return cast(FilteringBoundLogger, structlog.get_logger())


def write(line: Line) -> None:
    """Write a finished line past structlog, which costs 8 us: for the one line of every call."""
    _writer.write(line)


def flush() -> None:
    """Wait until all lines so far are written."""
    _writer.flush()


def stack_of(error: BaseException) -> list[str]:
    """Tell where an exception came from: classes and places, without messages, which may hold personal data."""
    lines: list[str] = []
    link: BaseException | None = error
    while link is not None and len(lines) < _FRAMES_MAX:
        lines.append(f"{type(link).__module__}.{type(link).__qualname__}")
        frames = traceback.extract_tb(link.__traceback__)[-_FRAMES_MAX:]
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return lines


class _Sink:
    """What structlog calls with the finished line."""

    def msg(self, line: dict[str, Any]) -> None:
        _writer.write(line)

    debug = info = warning = error = critical = fatal = exception = log = msg


def _complete(_: Any, method: str, line: MutableMapping[str, Any]) -> tuple[tuple[Any], dict[str, Any]]:
    line["level"] = "error" if method in {"exception", "fatal"} else method
    line["time"] = datetime.now(UTC)
    trace_id = current_trace_id()
    if trace_id:
        line["trace_id"] = trace_id
    error = line.pop("exc_info", None)
    if error:
        found = error if isinstance(error, BaseException) else _being_handled(error)
        if found is not None:
            line["stack"] = stack_of(found)
    return (dict(line),), {}


def _being_handled(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, tuple):
        return cast("BaseException | None", exc_info[1])
    import sys  # noqa: PLC0415 - only on this path

    return sys.exception()


class _Bridge(logging.Handler):
    """Brings other libraries' warnings into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say the message in full only where the library is known to say nothing of a request."""
        known = record.name.split(".", 1)[0] in _SAID_IN_FULL
        line: dict[str, Any] = {
            "event": record.getMessage() if known else str(record.msg)[:200],
            "logger": record.name,
            "level": record.levelname.lower(),
            "time": datetime.now(UTC),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["stack"] = stack_of(record.exc_info[1])
        _writer.write(line)


structlog.configure(
    processors=[merge_contextvars, _complete],
    wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    logger_factory=lambda *_: _Sink(),
)
"""Until `configure`, lines go nowhere: structlog's own default prints values and local variables."""
