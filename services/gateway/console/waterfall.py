# SPDX-License-Identifier: Apache-2.0
"""Where each span of a trace is drawn: pure arithmetic."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.gateway.console.spans import Span

WIDTH: Final = 1000
"""Width of the drawing in its own units."""
_BAR_MIN: Final = 2
_DEPTH_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One span's line: how deep it stands, and where its bar begins and ends (0 to WIDTH)."""

    span: Span
    depth: int
    x: int
    width: int
    after_ns: int
    """From the start of the trace to the start of the span."""
    orphan: bool
    """True where its parent has not arrived."""

    @property
    def duration_ns(self) -> int:
        """Give how long it took."""
        return self.span.end_ns - self.span.start_ns


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A trace as it is drawn."""

    rows: tuple[Row, ...]
    start_ns: int
    duration_ns: int
    services: tuple[tuple[str, int], ...]
    """Services and how many spans each has, by name."""
    errors: int

    @property
    def ticks_ns(self) -> tuple[int, ...]:
        """Give five moments of the scale, from the start to the end."""
        return tuple(self.duration_ns * quarter // 4 for quarter in range(5))


def drawn(spans: Sequence[Span]) -> Waterfall:
    """Lay a trace out: children below their parents, by start; a span whose parent is missing stands as a root."""
    start = min((span.start_ns for span in spans), default=0)
    duration = max((span.end_ns for span in spans), default=0) - start
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda one: (one.start_ns, -one.end_ns, one.span_id)):
        above = span.parent_id if span.parent_id in known and span.parent_id != span.span_id else ""
        children[above].append(span)
    rows: list[Row] = []
    seen: set[str] = set()
    waiting = [(span, 0) for span in reversed(children[""])]
    while waiting or len(seen) < len(known):
        if not waiting:  # Parents that point at one another: begin anywhere.
            waiting.append((next(span for span in spans if span.span_id not in seen), 0))
        span, depth = waiting.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        rows.append(_row(span, depth, start, duration, orphan=bool(span.parent_id) and span.parent_id not in known))
        waiting += [(child, depth + 1) for child in reversed(children[span.span_id])]
    return Waterfall(
        rows=tuple(rows),
        start_ns=start,
        duration_ns=duration,
        services=tuple(sorted(Counter(span.service for span in spans).items())),
        errors=sum(span.status == "error" for span in spans),
    )


def _row(span: Span, depth: int, start: int, duration: int, *, orphan: bool) -> Row:
    scale = WIDTH / duration if duration else 0
    width = min(WIDTH, max(_BAR_MIN, round((span.end_ns - span.start_ns) * scale)))
    return Row(
        span=span,
        depth=min(depth, _DEPTH_MAX),
        x=min(round((span.start_ns - start) * scale), WIDTH - width),
        width=width,
        after_ns=span.start_ns - start,
        orphan=orphan,
    )
