# SPDX-License-Identifier: Apache-2.0
"""A definition as SVG: no library, no script, the same picture for the same definition."""

from collections.abc import Iterator, Mapping
from html import escape

from services.gateway.definitions.layout import PLATFORM, Layout, Place, layout
from services.gateway.domain.definition import Matter, Step
from services.gateway.domain.plan import compile_plan
from services.kit.text import Text

_LABEL, _BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _TOP = 150, 190, 62, 46, 16, 64
_CELL_WIDTH, _CELL_HEIGHT = _BOX_WIDTH + _GAP_X, _BOX_HEIGHT + _GAP_Y
_ZH_MAX, _EN_MAX, _LANE_ZH_MAX, _LANE_EN_MAX = 14, 32, 11, 24
_OURS = Text("办件引擎", "The case engine")
_KINDS = {
    "verify": "核验",
    "fetch": "共享",
    "license": "证照",
    "task": "办理",
    "decide": "判定",
    "notify": "告知",
    "wait": "等待",
    "pay": "缴费",
    "sub_case": "子办件",
    "sign": "签署",
}
_READ = 'role="img" aria-labelledby="title desc" lang="zh"'
_TIP = """<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#404040"/></marker></defs>"""
_STYLE = """text{font-family:"Noto Sans SC","PingFang SC","Microsoft YaHei",sans-serif;fill:#1a1a1a}
.t{font-size:18px;font-weight:600}.l{font-size:12px;font-weight:600}.z{font-size:13px}.e{font-size:10px;fill:#404040}
.lane{fill:#f6f7f9;stroke:#8a8f98}.box{fill:#fff;stroke:#1f4e79;stroke-width:1.5}.may{stroke-dasharray:5 3}
.need{fill:none;stroke:#1f4e79;stroke-width:1.3}.after{fill:none;stroke:#6b6b6b;stroke-width:1.2;stroke-dasharray:4 3}"""


def draw(matter: Matter, agencies: Mapping[str, Text]) -> str:
    """Draw it. `agencies` names roles; a role without a name stands for itself.

    Solid lines are `needs`, dashed ones `after`; a dashed box may be skipped.

    Raises:
        DefinitionInvalid: its structure does not hold, so there is no order to draw.
    """
    compile_plan(matter)
    placed = layout(matter)
    width = _LABEL + placed.columns * _CELL_WIDTH + _GAP_X
    height = _TOP + sum(placed.lanes.values()) * _CELL_HEIGHT + len(placed.lanes) * _GAP_Y
    tops = _tops(placed)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_READ}>',
        f'<title id="title">{escape(f"{matter.title.zh} {matter.title.en}")}</title>',
        f'<desc id="desc">{escape(describe(matter))}</desc>',
        f"<style>{_STYLE}</style>",
        _TIP,
        f'<text class="t" x="12" y="30">{escape(matter.title.zh)}</text>',
        f'<text class="e" x="12" y="48">{escape(matter.title.en)}</text>',
        *_lanes(placed, tops, width, agencies),
        *_edges(matter, placed, tops),
        *(line for step in matter.steps for line in _box(step, *_corner(placed.places[step.id], tops))),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def describe(matter: Matter) -> str:
    """The picture in words, for whoever can't see it: each step with what it waits for."""
    titles = {step.id: step.title.en for step in matter.steps}

    def sentence(step: Step) -> str:
        waits = [*(titles[one] for one in step.needs), *(titles[one] for one in step.after)]
        return f"{step.title.en}, after {'; '.join(waits)}." if waits else f"{step.title.en}, at once."

    return " ".join(sentence(step) for step in matter.steps)


def _tops(placed: Layout) -> dict[str, int]:
    tops, y = {}, _TOP
    for lane, rows in placed.lanes.items():
        tops[lane] = y
        y += rows * _CELL_HEIGHT + _GAP_Y
    return tops


def _corner(place: Place, tops: Mapping[str, int]) -> tuple[int, int]:
    return _LABEL + _GAP_X // 2 + place.column * _CELL_WIDTH, tops[place.lane] + _GAP_Y // 2 + place.row * _CELL_HEIGHT


def _lanes(placed: Layout, tops: Mapping[str, int], width: int, agencies: Mapping[str, Text]) -> Iterator[str]:
    for lane, rows in placed.lanes.items():
        name = _OURS if lane == PLATFORM else agencies.get(lane, Text(lane, lane))
        y = tops[lane]
        yield f'<rect class="lane" x="4" y="{y}" width="{width - 8}" height="{rows * _CELL_HEIGHT}" rx="4"/>'
        yield f'<text class="l" x="12" y="{y + 22}">{escape(_cut(name.zh, _LANE_ZH_MAX))}</text>'
        yield f'<text class="e" x="12" y="{y + 38}">{escape(_cut(name.en, _LANE_EN_MAX))}</text>'


def _box(step: Step, x: int, y: int) -> Iterator[str]:
    may = " may" if step.optional or step.when is not None else ""
    kind = _KINDS.get(step.kind.value, step.kind.value)
    yield f"<g><title>{escape(f'{step.id}: {step.title.zh} {step.title.en}')}</title>"
    yield f'<rect class="box{may}" x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6"/>'
    yield f'<text class="z" x="{x + 8}" y="{y + 20}">{escape(_cut(step.title.zh, _ZH_MAX))}</text>'
    yield f'<text class="e" x="{x + 8}" y="{y + 37}">{escape(_cut(step.title.en, _EN_MAX))}</text>'
    yield f'<text class="e" x="{x + 8}" y="{y + 53}">{escape(f"{kind} {step.kind.value}")}</text></g>'


def _edges(matter: Matter, placed: Layout, tops: Mapping[str, int]) -> Iterator[str]:
    for step in matter.steps:
        x2, y2 = _corner(placed.places[step.id], tops)
        for kind, others in (("need", step.needs), ("after", step.after)):
            for other in others:
                x1, y1 = _corner(placed.places[other], tops)
                yield _edge(kind, x1 + _BOX_WIDTH, y1 + _BOX_HEIGHT // 2, x2, y2 + _BOX_HEIGHT // 2)


def _edge(kind: str, x1: int, y1: int, x2: int, y2: int) -> str:
    bend = max(_GAP_X // 2, (x2 - x1) // 2)
    curve = f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
    return f'<path class="{kind}" d="{curve}" marker-end="url(#tip)"/>'


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"
