# SPDX-License-Identifier: Apache-2.0
"""Finding resources: by words and filters for people, by the fields of a form for machines."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from services.exchange.domain.resource import Resource
from services.exchange.domain.search import (
    HOLDERS_MAX,
    WINDOW,
    WINDOWS_MAX,
    Found,
    Hit,
    Holder,
    Question,
    ask,
    held_in,
    rarity,
    score,
)
from services.exchange.domain.words import Place, exact_item, query_words
from services.kit.caller import Caller
from services.kit.errors import PageTokenInvalid
from services.kit.paging import Page, decode_token, encode_token

PAGE_SIZE = 20

Posting = tuple[int, str]
"""Where a word stands, and in which resource."""
START: Posting = (-1, "")
_PLACES: Final = frozenset({START[0], *map(int, Place)})


class SearchReads(Protocol):
    """The inverted table."""

    async def counts(self, words: Sequence[str]) -> Mapping[str, int]:
        """Tell how many resources have each word, counted up to COUNT_MAX."""

    async def window(
        self, question: Question, by: str, after: Posting, *, limit: int
    ) -> tuple[Sequence[Found], Posting | None]:
        """Walk `limit` resources that have the word `by`; give those that have all that is needed, and where the walk ended."""

    async def any_of(self, question: Question, words: Sequence[str]) -> Sequence[Found]:
        """Give resources that have one of the words, a bounded number for each."""

    async def holding(self, words: Sequence[str], *, limit: int) -> Mapping[str, Sequence[str]]:
        """Give the first codes for each word."""

    async def described(self, codes: Sequence[str]) -> Mapping[str, Resource]:
        """Give what the catalogue says of resources, without how they are reached."""


class _Cursor(NamedTuple):
    """Where the next page begins: behind this score and code in the window behind this posting of `by`."""

    by: str
    after: Posting
    last: tuple[int, str] | None = None

    def token(self) -> str:
        score, code = self.last or (-1, "")
        return encode_token(by=self.by, place=self.after[0], behind=self.after[1], score=score, code=code)


class SearchService:
    """Answers questions to the catalogue."""

    def __init__(self, store: SearchReads) -> None:
        self._store = store

    async def search(
        self, text: str, *, any_word: bool, page_size: int, page_token: str, caller: Caller, **filters: Any
    ) -> Page[Hit]:
        """Give resources, best first. A page may be short before the last: the work for each is bounded."""
        caller.must("exchange.read")
        question = ask(text, any_word=any_word, **filters)
        return await self.find(question, page_size=page_size or PAGE_SIZE, page_token=page_token)

    async def find(self, question: Question, *, page_size: int, page_token: str = "") -> Page[Hit]:
        """Give resources for a question, best first."""
        counts = await self._store.counts((*question.words, *question.filters))
        if any(not counts[word] for word in question.needed) or not any(counts.values()):
            return Page(())
        rarities = {word: rarity(counts[word]) for word in question.words}
        ranked = self._any if question.any_word else self._all
        best, cursor = await ranked(question, counts, rarities, page_size, page_token)
        described = await self._store.described([code for _, code in best])
        hits = tuple(Hit(described[code], -value) for value, code in best if code in described)
        return Page(hits, "" if cursor is None else cursor.token())

    async def find_holders(self, labels: Sequence[str], caller: Caller) -> Mapping[str, Sequence[Holder]]:
        """Tell for each label which resources hold it already, basic registers first (Order 809, art. 19)."""
        caller.must("exchange.read")
        words = {label: exact_item(label) for label in labels}
        exact = await self._store.holding(tuple(set(words.values())), limit=HOLDERS_MAX)
        codes = {label: exact.get(word) or await self._near(label) for label, word in words.items()}
        described = await self._store.described(sorted({code for each in codes.values() for code in each}))
        return {
            label: [
                holder
                for code in found
                if code in described and (holder := held_in(described[code], label)) is not None
            ][:HOLDERS_MAX]
            for label, found in codes.items()
        }

    async def _near(self, label: str) -> Sequence[str]:
        question = Question(query_words(label), ())
        counts = await self._store.counts(question.words)
        if not question.words or not all(counts.values()):
            return ()
        rarest = min(question.words, key=lambda word: counts[word])
        found, _ = await self._store.window(question, rarest, START, limit=WINDOW)
        return [each.code for each in found][: 5 * HOLDERS_MAX]

    async def _all(
        self,
        question: Question,
        counts: Mapping[str, int],
        rarities: Mapping[str, int],
        page_size: int,
        page_token: str,
    ) -> tuple[list[tuple[int, str]], _Cursor | None]:
        """Walk windows until the page is full, there is no more, or enough was looked at."""
        rarest = min(question.needed, key=lambda word: counts[word])
        cursor = _cursor(page_token, question.needed) or _Cursor(rarest, START)
        best: list[tuple[int, str]] = []
        for _ in range(WINDOWS_MAX):
            found, end = await self._store.window(question, cursor.by, cursor.after, limit=WINDOW)
            left = _behind(found, question, rarities, cursor.last)
            taken = left[: page_size - len(best)]
            best += taken
            if len(taken) < len(left):
                return best, cursor._replace(last=best[-1])
            if end is None:
                return best, None
            cursor = _Cursor(cursor.by, end)
            if len(best) == page_size:
                break
        return best, cursor

    async def _any(
        self,
        question: Question,
        counts: Mapping[str, int],
        rarities: Mapping[str, int],
        page_size: int,
        page_token: str,
    ) -> tuple[list[tuple[int, str]], _Cursor | None]:
        """Rank what the rarest words lead to."""
        words = sorted((word for word in question.words if counts[word]), key=lambda word: counts[word])
        cursor = _cursor(page_token, ("",)) or _Cursor("", START)
        found = await self._store.any_of(question, words)
        left = _behind(found, question, rarities, cursor.last)
        best = left[:page_size]
        return best, cursor._replace(last=best[-1]) if len(left) > page_size else None


def _behind(
    found: Sequence[Found], question: Question, rarities: Mapping[str, int], last: tuple[int, str] | None
) -> list[tuple[int, str]]:
    """Rank, and leave out what earlier pages gave. Scores are negated, so that plain order is best first."""
    ranked = sorted((-score(each, question.words, rarities), each.code) for each in found)
    return ranked if last is None else [each for each in ranked if each > last]


def _cursor(page_token: str, words: Sequence[str]) -> _Cursor | None:
    token = decode_token(page_token)
    if not token:
        return None
    by, place, behind = token.get("by"), token.get("place"), token.get("behind")
    value, code = token.get("score"), token.get("code")
    if by not in words or place not in _PLACES or not isinstance(value, int):
        raise PageTokenInvalid("The page token is not one of this question's.")
    return _Cursor(str(by), (int(place), str(behind)), (value, str(code)) if code else None)
