# SPDX-License-Identifier: Apache-2.0
"""Random scenes of resources, grants and records with marked values, and what a scene lets be told.

What a scene expects is reckoned here in plain Python, apart from the code under test: conditions come in pairs of CEL
and Python. Doors that are added to the exchange add a `Call` and its expectation, and the same sinks are searched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from services.exchange.domain.conditions import Condition, Question
from services.exchange.domain.terms import UNLESS_SAID, Method, Terms

TEXTS = ("alpha", "beta", "gamma")
NUMBERS = ("count", "total")
FIELDS = (*TEXTS, *NUMBERS)
PURPOSES = ("birth", "school")
MARK = "QZMARK"
"""Stands in every text of a record, and nowhere else in the world."""
NUMBER_MARK = 7_300_000
"""Every number of a record is this and a little more, and no other number is."""
UNARY = ("query", "verify", "ask")
DOORS = (*UNARY, "batch", "hear", "request", "xroad_query", "xroad_verify")
"""Kinds of calls; `hear` is of a change with values, `request` is answered by people."""
METHODS = {"verify": Method.VERIFY, "ask": Method.VERIFY, "xroad_verify": Method.VERIFY, "batch": Method.BATCH}
METHODS["hear"] = Method.SUBSCRIBE
COMPARING = ("verify", "xroad_verify")


def method_of(kind: str) -> Method:
    """The method that a grant must allow."""
    return METHODS.get(kind, Method.QUERY)


Record = Mapping[str, Any]
Judged = Callable[[Record], bool | None]


def _present(name: str, judge: Callable[[Any], bool]) -> Judged:
    return lambda record: None if record[name] is None else judge(record[name])


CONDITIONS: dict[str, Judged] = {
    **{f"record.{name}.startsWith('{MARK}')": _present(name, lambda text: text.startswith(MARK)) for name in TEXTS},
    **{f"record.{name}.size() > 20": _present(name, lambda text: len(text) > 20) for name in TEXTS},
    **{
        f"record.{name} >= {NUMBER_MARK + 50}": _present(name, lambda number: number >= NUMBER_MARK + 50)
        for name in NUMBERS
    },
    **{f"has(record.{name})": lambda record, name=name: record[name] is not None for name in FIELDS},  # type: ignore[misc] # mypy takes the bound name for a parameter
}
QUESTIONS = {
    f"q{index}": Question(f"q{index}", Condition(source, "问", "Asks")) for index, source in enumerate(CONDITIONS)
}


def judged(condition: Condition, record: Record) -> bool | None:
    """What a condition says of a record."""
    return CONDITIONS[condition.expression](record)


@dataclass(frozen=True)
class Granted:
    """One grant of a scene."""

    purposes: tuple[str, ...]
    fields: tuple[str, ...]
    verify_fields: tuple[str, ...]
    daily_quota: int
    terms: Terms

    def lets(self, purpose: str, method: Method) -> bool:
        """Whether it holds for a purpose and a method; scenes play within its hours."""
        return purpose in self.purposes and method in (self.terms.methods or UNLESS_SAID)


@dataclass(frozen=True)
class Call:
    """One call: `asked` are fields to be seen, values to be compared by field, or questions."""

    kind: str
    purpose: str
    asked: tuple[str, ...]
    right: bool = True
    """Verify: whether the values that are sent are those of the record."""


@dataclass(frozen=True)
class Scene:
    """A resource with all fields, its grants newest first, a record, another that must read the same, and calls."""

    grants: tuple[Granted, ...]
    record: Record
    seed: int
    calls: tuple[Call, ...]


names = st.lists(st.sampled_from(FIELDS), unique=True, max_size=4).map(tuple)
questions = st.lists(st.sampled_from(sorted(QUESTIONS)), unique=True, max_size=4).map(tuple)
purposes = st.sampled_from(PURPOSES)
texts = st.one_of(st.none(), st.sampled_from([f"{MARK}-x", f"{MARK}-a-rather-long-one", f"no-{MARK}"]))
numbers = st.one_of(st.none(), st.integers(NUMBER_MARK, NUMBER_MARK + 99))
terms = st.builds(
    Terms,
    methods=st.sampled_from([(), (Method.VERIFY,), (Method.QUERY,), tuple(Method)]),
    predicate=st.none() | st.sampled_from(sorted(CONDITIONS)).map(lambda source: Condition(source, "件", "If")),
    questions=questions.map(lambda asked: tuple(QUESTIONS[name] for name in asked)),
)


@st.composite
def granted(draw: st.DrawFn) -> Granted:
    given, own = draw(names), draw(terms)
    compared = draw(names)
    if not (given or compared or own.questions):
        given = ("alpha",)
    held = draw(st.sampled_from([("birth",), ("school",), PURPOSES]))
    return Granted(held, given, compared, draw(st.sampled_from([0, 0, 1, 3])), own)


@st.composite
def calls(draw: st.DrawFn, kinds: tuple[str, ...]) -> Call:
    kind = draw(st.sampled_from(kinds))
    if kind == "ask":
        return Call(kind, draw(purposes), draw(questions.filter(bool)))
    asked = draw(names.filter(bool) if kind in COMPARING else names)
    return Call(kind, draw(purposes), asked, draw(st.booleans()))


@st.composite
def scenes(draw: st.DrawFn, kinds: tuple[str, ...] = UNARY) -> Scene:
    record = {**{name: draw(texts) for name in TEXTS}, **{name: draw(numbers) for name in NUMBERS}}
    seed = draw(st.integers(0, 9999))
    marked = {name: f"{value}-{seed}-{name}" if isinstance(value, str) else value for name, value in record.items()}
    held = tuple(draw(st.lists(granted(), min_size=1, max_size=3)))
    return Scene(held, marked, seed, tuple(draw(st.lists(calls(kinds), min_size=1, max_size=6))))


def read_by(grant: Granted) -> set[str]:
    """Fields that a grant's conditions read."""
    conditions = [each.condition for each in grant.terms.questions]
    if grant.terms.predicate is not None:
        conditions.append(grant.terms.predicate)
    return {name for each in conditions for name in FIELDS if f"record.{name}" in each.expression}


def altered(record: Record, keep: set[str]) -> dict[str, Any]:
    """Give another record of which every condition says the same, and nothing but `keep` has the same value."""
    changed = {}
    for name, value in record.items():
        if value is None or name in keep:
            changed[name] = value
        elif isinstance(value, str):
            changed[name] = value[:-1] + ("Z" if value[-1] != "Z" else "Y")
        else:
            edge = NUMBER_MARK + 50
            low, high = (edge, edge + 49) if value >= edge else (NUMBER_MARK, edge - 1)
            changed[name] = low if value != low else high
    return changed


@dataclass(frozen=True)
class Expected:
    """What a call must come to: the grant by its place in the scene, and the answer or the reason of its refusal."""

    place: int | None
    reason: str
    answer: Any = None


class Reckoning:
    """The rules once more, in the plainest form; quotas are counted as calls pass."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._used = [0] * len(scene.grants)

    def expect(self, call: Call, record: Record, values: Mapping[str, str]) -> Expected:
        """What the call comes to, and what it uses up."""
        method = method_of(call.kind)
        held = self._scene.grants
        meant = [each for each in held if call.purpose in each.purposes]
        holding = [each for each in held if each.lets(call.purpose, method)]
        if not holding:
            return Expected(None, "METHOD_NOT_GRANTED" if meant else "PURPOSE_NOT_GRANTED")
        chosen = next((each for each in holding if self._covers(each, call)), None)
        if chosen is None:
            return Expected(None, "QUESTION_NOT_GRANTED" if call.kind == "ask" else "FIELD_NOT_GRANTED")
        place = next(index for index, each in enumerate(held) if each is chosen)
        if chosen.daily_quota and self._used[place] >= chosen.daily_quota:
            return Expected(place, "QUOTA_EXCEEDED")
        self._used[place] += 1
        return self._answer(chosen, place, call, record, values)

    @staticmethod
    def _covers(grant: Granted, call: Call) -> bool:
        if call.kind == "ask":
            return set(call.asked) <= {each.name for each in grant.terms.questions}
        if call.kind in COMPARING:
            return set(call.asked) <= set(grant.verify_fields)
        return set(call.asked) <= set(grant.fields) if call.asked else bool(grant.fields)

    @staticmethod
    def _answer(grant: Granted, place: int, call: Call, record: Record, values: Mapping[str, str]) -> Expected:
        predicate = grant.terms.predicate
        there = predicate is None or judged(predicate, record) is True
        if call.kind in COMPARING:
            matches = {name: there and str(record[name]) == values[name] for name in call.asked}
            return Expected(place, "", {name: matches[name] and record[name] is not None for name in call.asked})
        if call.kind == "ask":
            answers = {name: judged(QUESTIONS[name].condition, record) if there else None for name in call.asked}
            return Expected(place, "", answers)
        if not there:
            return Expected(place, "NOT_FOUND")
        return Expected(place, "", {name: record[name] for name in call.asked or grant.fields})
