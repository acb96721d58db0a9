# SPDX-License-Identifier: Apache-2.0
"""What a grant executes beyond purposes and fields; a plain grant has none of it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.exchange.domain.conditions import LABEL_MAX, Condition, ConditionMalformed, Program, Question
from services.exchange.domain.hours import Hours
from services.exchange.domain.resource import SUBJECT_KEY
from services.kit.errors import Violation

QUESTIONS_MAX: Final = 20
RATE_MAX: Final = 100_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Method(StrEnum):
    """How data may be asked for; the earlier is preferred (domain of Order 809: verify, query, batch)."""

    VERIFY = "verify"
    QUERY = "query"
    BATCH = "batch"
    SUBSCRIBE = "subscribe"


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that is empty or 0 does not bind.

    `methods` empty: verify and query; batch and subscribe are always said. `predicate`: records for which it does not
    hold read as no record. `consent`: the basis is the subject's consent. `rate_per_second`: calls at each process, with
    as many at once.
    """

    methods: tuple[Method, ...] = ()
    predicate: Condition | None = None
    questions: tuple[Question, ...] = ()
    consent: bool = False
    rate_per_second: int = 0
    hours: Hours | None = None


PLAIN: Final = Terms()
UNLESS_SAID: Final = (Method.VERIFY, Method.QUERY)


def term_faults(terms: Terms, known: Collection[str]) -> list[Violation]:
    """Name everything that keeps these terms from being executed on a resource with these fields."""
    names = [each.name for each in terms.questions]
    checks = {
        "grant.terms.methods": (len(set(terms.methods)) == len(terms.methods), "Each method once."),
        "grant.terms.questions": (
            len(names) <= QUESTIONS_MAX and len(set(names)) == len(names),
            f"At most {QUESTIONS_MAX} questions, each name once.",
        ),
        "grant.terms.rate_per_second": (0 <= terms.rate_per_second <= RATE_MAX, f"0 to {RATE_MAX}."),
        "grant.terms.hours": (
            terms.hours is None or terms.hours.sound,
            "1 to 10 windows within a day, in order, without overlap.",
        ),
    }
    faults = [Violation(name, words) for name, (holds, words) in checks.items() if not holds]
    if terms.predicate is not None:
        faults += _condition_faults("grant.terms.predicate", terms.predicate, known)
    for index, each in enumerate(terms.questions[:QUESTIONS_MAX]):
        path = f"grant.terms.questions[{index}]"
        if not _NAME.fullmatch(each.name) or each.name == SUBJECT_KEY or each.name in known:
            faults.append(Violation(f"{path}.name", "Snake case, and no name of a field."))
        faults += _condition_faults(f"{path}.condition", each.condition, known)
    return faults


def _condition_faults(path: str, condition: Condition, known: Collection[str]) -> list[Violation]:
    faults = []
    try:
        Program(condition.expression, known)
    except ConditionMalformed as malformed:
        faults.append(Violation(f"{path}.expression", str(malformed)))
    if not (1 <= len(condition.label_zh) <= LABEL_MAX and 1 <= len(condition.label_en) <= LABEL_MAX):
        faults.append(Violation(path, f"Both labels, at most {LABEL_MAX} characters."))
    return faults
