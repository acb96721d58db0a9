# SPDX-License-Identifier: Apache-2.0
"""The one log line of every call. It is rendered by the log's own thread, in 2 us instead of 7."""

import time
from datetime import UTC, datetime
from json import dumps
from typing import Any, NamedTuple


class CallLine(NamedTuple):
    """What became of a call. Texts are made of letters, digits and `.:/_-`; only a reason may come from elsewhere."""

    at: float
    service: str
    method: str
    code: str
    reason: str
    seconds: float
    caller: str
    trace_id: int

    def json(self) -> str:
        """Give the line as one JSON object."""
        reason = f'"reason":{dumps(self.reason)},' if self.reason else ""
        caller = f'"caller":"{self.caller}",' if self.caller else ""
        return (
            f'{{"time":"{_moment(self.at)}","level":"info","service":"{self.service}","event":"rpc",'
            f'"method":"{self.method}","code":"{self.code}",{reason}{caller}'
            f'"ms":{self.seconds * 1000:.2f},"trace_id":"{self.trace_id:032x}"}}\n'
        )

    def fields(self) -> dict[str, Any]:
        """Give the line as fields, for other formats."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(self.at, UTC),
            "level": "info",
            "service": self.service,
            "event": "rpc",
            "method": self.method,
            "code": self.code,
        }
        if self.reason:
            line["reason"] = self.reason
        if self.caller:
            line["caller"] = self.caller
        return line | {"ms": round(self.seconds * 1000, 2), "trace_id": f"{self.trace_id:032x}"}


_second = -1
_shown = ""


def _moment(at: float) -> str:
    """Write a time as logs do; the part down to the second is made once a second. Called by one thread."""
    global _second, _shown  # noqa: PLW0603 - a cache of one entry
    second = int(at)
    if second != _second:
        _shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _second = second
    return f"{_shown}.{int((at - second) * 1_000_000):06d}Z"
