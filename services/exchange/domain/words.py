# SPDX-License-Identifier: Apache-2.0
"""What a resource is found by: Chinese in pairs of characters, English by its stems, filters as words of their own.

Every word is a row of one inverted table, so that a search is the same bounded walk on either database (decision 18).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache

from services.exchange.domain.metadata import Opening
from services.exchange.domain.resource import Resource, SharingClass

INDEX_VERSION = 1
"""Grows when the words of a resource would come out differently: `Reindexing` then writes them anew."""
TERMS_MAX = 600
TERM_CHARACTERS_MAX = 120
QUERY_TERMS_MAX = 24

_RUN = re.compile(r"[㐀-䶿一-鿿豈-﫿]+|[a-z0-9]+")
_ENDINGS = ("ration", "rate", "ation", "ing", "ied", "ies", "ed", "er", "es", "s", "e", "y")
_STEM_MIN = 3
_STOP = frozenset({"a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"})


class Place(IntEnum):
    """Where a word stands in an entry; smaller counts for more. Filters stand at NAME."""

    NAME = 0
    ITEM = 1
    ABSTRACT = 2


@lru_cache(maxsize=10_000)
def stem(word: str) -> str:
    """Cut English endings off, as long as three letters stay; numbers and short words stay whole.

    What is left need be no word: forms of one word must come out the same, that is all.
    """
    while word.isalpha() and not word.endswith("ss"):
        ending = next((each for each in _ENDINGS if word.endswith(each) and len(word) - len(each) >= _STEM_MIN), None)
        if ending is None:
            break
        word = word.removesuffix(ending)
    return word


def words_of(text: str) -> Iterator[str]:
    """Give the words of a text: pairs of neighboring Chinese characters (one that stands alone, itself), English stems."""
    for run in _runs(text):
        if not _is_chinese(run):
            if run not in _STOP:
                yield stem(run)
        elif len(run) == 1:
            yield run
        else:
            yield from (run[index : index + 2] for index in range(len(run) - 1))


def query_words(text: str) -> tuple[str, ...]:
    """Give what a question asks for, each once, at most QUERY_TERMS_MAX."""
    return tuple(dict.fromkeys(words_of(text)))[:QUERY_TERMS_MAX]


def exact_item(label: str) -> str:
    """Give the word that finds the resources with an item of exactly this name or label."""
    return f"item:{''.join(_runs(label))}"[:TERM_CHARACTERS_MAX]


def filter_words(
    *,
    provider: str = "",
    sharing_class: SharingClass | None = None,
    theme: str = "",
    opening: Opening | None = None,
) -> tuple[str, ...]:
    """Give the words of filters. `theme`: the first 1 (类), 3 (项), 6 (目) or all digits of a classification."""
    words = {"provider": provider, "class": sharing_class or "", "theme": theme, "opening": opening or ""}
    return tuple(f"{name}:{value}" for name, value in words.items() if value)


def index_terms(resource: Resource) -> dict[str, Place]:
    """Give every word that finds a resource, with the best place it stands at; none for one that was retired."""
    if resource.retired:
        return {}
    places: dict[str, Place] = {}
    for place, words in _placed(resource):
        for word in words:
            places.setdefault(word[:TERM_CHARACTERS_MAX], place)
            if len(places) == TERMS_MAX:
                return places
    return places


def _placed(resource: Resource) -> Iterator[tuple[Place, Iterable[str]]]:
    """Best places first."""
    classification = resource.code.partition("/")[0]
    for theme in {classification[:1], classification[:3], classification[:6], classification}:
        yield Place.NAME, filter_words(theme=theme)
    yield (
        Place.NAME,
        filter_words(
            provider=resource.provider, sharing_class=resource.sharing_class, opening=resource.metadata.opening
        ),
    )
    yield Place.NAME, words_of(f"{resource.name_zh} {resource.name_en} {resource.code}")
    # A single character is searched for in names alone: elsewhere it would say too little for its rows.
    yield Place.NAME, (sign for run in _runs(resource.name_zh) if _is_chinese(run) for sign in run)
    for each in resource.fields:
        yield Place.ITEM, map(exact_item, (each.name, each.label_zh, each.label_en))
    for each in resource.fields:
        yield Place.ITEM, words_of(f"{each.label_zh} {each.label_en} {each.name}")
    yield Place.ABSTRACT, words_of(resource.metadata.provider_name)
    yield Place.ABSTRACT, words_of(f"{resource.metadata.abstract_zh} {resource.metadata.abstract_en}")


def _runs(text: str) -> list[str]:
    return _RUN.findall(unicodedata.normalize("NFKC", text).casefold())


def _is_chinese(run: str) -> bool:
    return not run.isascii()
