# SPDX-License-Identifier: Apache-2.0
"""The thread that renders and writes log lines."""

import json
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from services.kit.errors import StartupError

_TURN_SECONDS = 0.2
_LINES_MAX = 100_000
_FIRST = ("time", "level", "service", "event")


class Rendered(Protocol):
    """A line that renders itself."""

    def json(self) -> str:
        """Give one JSON object and a line end."""

    def fields(self) -> dict[str, Any]:
        """Give the line's fields."""


Line = dict[str, Any] | Rendered


class LineWriter:
    """A bounded queue of lines and one thread that empties it. Before `open` and after `close` lines are dropped."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=_LINES_MAX)
        self._descriptor = -1
        self._target: tuple[str, bool] | None = None
        self._console = False
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def open(self, file: str, *, console: bool) -> None:
        """Start writing. The same target again changes nothing: several services share a process and its lines."""
        if self._target == (file, console):
            return
        self.close()
        try:
            self._descriptor = _opened(Path(file)) if file else os.dup(sys.stderr.fileno())
        except OSError as error:
            raise StartupError(f"The log file {file} can't be written: {error.strerror}.") from error
        self._target, self._console = (file, console), console
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(self._stop,), name="tongban-logs", daemon=True)
        self._thread.start()

    def write(self, line: Line) -> None:
        """Take a line; it must not be changed afterwards."""
        if self._target is None:
            return
        if len(self._lines) == _LINES_MAX:
            self._dropped += 1
        self._lines.append(line)

    def flush(self) -> None:
        """Write what is waiting, now."""
        with self._writing:
            taken: list[Line] = [self._lines.popleft() for _ in range(len(self._lines))]
            if self._dropped:
                taken.append({"event": "log_lines_dropped", "level": "warning", "count": self._dropped})
                self._dropped = 0
            if taken:
                self._append(render(taken, console=self._console))

    def close(self) -> None:
        """Write the rest and stop."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = self._target = None
        os.close(self._descriptor)

    def _work(self, stop: threading.Event) -> None:
        while not stop.wait(_TURN_SECONDS):
            self.flush()
        self.flush()

    def _append(self, text: bytes) -> None:
        """Write all; a disk that is full or gone loses lines, never a service."""
        view = memoryview(text)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            self._dropped += text.count(b"\n", len(text) - len(view))


def render(lines: Iterable[Line], *, console: bool) -> bytes:
    """Render lines as JSON objects, or as text for a person."""
    one = _text if console else _json
    return "".join([one(line) for line in lines]).encode(errors="replace")


def _json(line: Line) -> str:
    if not isinstance(line, dict):
        return line.json()
    return json.dumps(line, default=_plain, ensure_ascii=False, separators=(",", ":")) + "\n"


def _text(told: Line) -> str:
    line = told if isinstance(told, dict) else told.fields()
    head = " ".join(_word(line[name]) for name in _FIRST if name in line)
    rest = "".join(f" {name}={_word(value)}" for name, value in line.items() if name not in (*_FIRST, "stack"))
    stack = "".join(f"\n    {place}" for place in line.get("stack", ()))
    return f"{head}{rest}{stack}\n"


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False)
    return text.strip('"').replace("\n", " ")


def _plain(value: Any) -> Any:
    """Render a value that JSON doesn't know; an unknown kind shows its class, since its text may hold anything."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, UUID | Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=str)
    return type(value).__name__


def _opened(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
