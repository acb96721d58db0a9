# SPDX-License-Identifier: Apache-2.0
"""Searching the catalogue: what is asked, and what counts for how much. The walk itself is the store's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Final

from services.exchange.domain.resource import Resource, ResourceField
from services.exchange.domain.words import Place, exact_item, filter_words, query_words, words_of
from services.kit.errors import RequestInvalid, Violation

COUNT_MAX: Final = 1_000
"""Beyond so many resources a word is simply frequent."""
WINDOW: Final = 1_000
"""Resources looked at together: the order is exact inside a window; windows follow where the rarest word stands."""
WINDOWS_MAX: Final = 5
ANY_WORDS_MAX: Final = 6
ANY_EACH: Final = 200
HOLDERS_MAX: Final = 10

_WEIGHTS: Final[Mapping[int, int]] = {Place.NAME: 9, Place.ITEM: 3, Place.ABSTRACT: 1}


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for: words that count, filters that only narrow. `any_word`: one of the words will do."""

    words: tuple[str, ...]
    filters: tuple[str, ...]
    any_word: bool = False

    @property
    def needed(self) -> tuple[str, ...]:
        """Everything that a resource must have."""
        return self.filters if self.any_word else (*self.words, *self.filters)


@dataclass(frozen=True, slots=True)
class Found:
    """A resource of a window: where each word of the question stands in it, None where it doesn't."""

    code: str
    places: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Hit:
    """A resource that was found; a higher score comes first."""

    resource: Resource
    score: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A resource that holds what a form asks for, in this item; `exact`: by the very name."""

    resource: Resource
    item: ResourceField
    exact: bool


def ask(text: str, *, any_word: bool = False, **filters: object) -> Question:
    """Read a question. Raises RequestInvalid where nothing in it can be searched for."""
    question = Question(query_words(text), filter_words(**filters), any_word and bool(text))  # type: ignore[arg-type] # the same names
    if not (question.words or question.filters) or (text and not question.words):
        raise RequestInvalid(
            "There is nothing to search for.",
            violations=[Violation("words", "Chinese characters, or words of letters and digits; or a filter.")],
        )
    return question


def rarity(count: int) -> int:
    """Tell how much a word says: 1 where COUNT_MAX resources or more have it, 11 where one has."""
    return 1 + int(log2(COUNT_MAX / min(max(count, 1), COUNT_MAX)))


def score(found: Found, words: Sequence[str], rarities: Mapping[str, int]) -> int:
    """Weigh a resource: rare words and good places count for more."""
    stands = ((word, found.places.get(word)) for word in words)
    return sum(_WEIGHTS[place] * rarities[word] for word, place in stands if place is not None)


def held_in(resource: Resource, label: str) -> Holder | None:
    """Tell in which item a resource holds what is asked for: by its very name, or with all the words of it."""
    wanted = exact_item(label)
    for item in resource.fields:
        if wanted in map(exact_item, (item.name, item.label_zh, item.label_en)):
            return Holder(resource, item, exact=True)
    words = set(words_of(label))
    for item in resource.fields:
        if words <= set(words_of(f"{item.label_zh} {item.label_en} {item.name}")):
            return Holder(resource, item, exact=False)
    return None
