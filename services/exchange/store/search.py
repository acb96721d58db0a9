# SPDX-License-Identifier: Apache-2.0
"""Searching in the inverted table: bounded counts, bounded walks, one probe for each word of each resource looked at."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, and_, func, literal, select, tuple_, union, union_all

from services.exchange.domain.resource import Resource
from services.exchange.domain.search import ANY_EACH, ANY_WORDS_MAX, COUNT_MAX, Found, Question
from services.exchange.domain.settings import ConnectorSettings
from services.exchange.domain.words import Place
from services.exchange.service.search import Posting
from services.exchange.store import rows
from services.exchange.store.catalogue import resource_term
from services.exchange.store.tables import resource
from services.kit.store import Store

_PLACES = tuple(int(place) for place in Place)
_DESCRIBED = [column for column in resource.c if column.name != "settings"]


class SearchReads(Store[Any]):
    """What is read of the inverted table. No statement's work grows with the catalogue."""

    async def counts(self, words: Sequence[str]) -> Mapping[str, int]:
        """Count each word's resources up to COUNT_MAX."""
        if not words:
            return {}
        each = (_postings(word).limit(COUNT_MAX).subquery() for word in words)
        query = union_all(
            *(select(literal(number), func.count()).select_from(some) for number, some in enumerate(each))
        )
        async with self.reading() as connection:
            found = await connection.execute(query)
        return {words[number]: count for number, count in found}

    async def window(
        self, question: Question, by: str, after: Posting, *, limit: int
    ) -> tuple[Sequence[Found], Posting | None]:
        """Walk one word's resources, best place first; probe the others."""
        walk = _postings(by).where(tuple_(resource_term.c.place, resource_term.c.code) > tuple_(*after))
        walk = walk.order_by(resource_term.c.place, resource_term.c.code)
        others = [word for word in dict.fromkeys((*question.words, *question.filters)) if word != by]
        needed = [word for word in question.needed if word != by]
        async with self.reading() as connection:
            found = await connection.execute(_probed(walk.limit(limit), others, needed))
            end = (await connection.execute(walk.offset(limit - 1).limit(1))).one_or_none()
        hits = [Found(code, dict(zip((by, *others), (place, *places), strict=True))) for code, place, *places in found]
        return hits, None if end is None else (end.place, end.code)

    async def any_of(self, question: Question, words: Sequence[str]) -> Sequence[Found]:
        """Take the best of each of the rarest words; probe them all."""
        each = (
            _postings(word).order_by(resource_term.c.place, resource_term.c.code).limit(ANY_EACH).subquery()
            for word in words[:ANY_WORDS_MAX]
        )
        candidates = union(*(select(literal(0).label("place"), some.c.code) for some in each))
        wanted = list(dict.fromkeys((*question.words, *question.filters)))
        async with self.reading() as connection:
            found = await connection.execute(_probed(candidates, wanted, question.filters))
        return [Found(code, dict(zip(wanted, places, strict=True))) for code, _, *places in found]

    async def holding(self, words: Sequence[str], *, limit: int) -> Mapping[str, Sequence[str]]:
        """Give the first codes for each word; a code that begins with 1 is a basic register."""
        if not words:
            return {}
        each = (
            _postings(word).order_by(resource_term.c.place, resource_term.c.code).limit(limit).subquery()
            for word in words
        )
        query = union_all(*(select(literal(number), some.c.code) for number, some in enumerate(each)))
        codes: dict[str, list[str]] = defaultdict(list)
        async with self.reading() as connection:
            for number, code in await connection.execute(query):
                codes[words[number]].append(code)
        return {word: sorted(found) for word, found in codes.items()}

    async def described(self, codes: Sequence[str]) -> Mapping[str, Resource]:
        """Give resources as the catalogue tells them; nothing is unsealed."""
        if not codes:
            return {}
        async with self.reading() as connection:
            found = await connection.execute(select(*_DESCRIBED).where(resource.c.code.in_(codes)))
        return {row["code"]: rows.described_from(row, ConnectorSettings()) for row in found.mappings()}


def _postings(word: str) -> Select[Any]:
    return select(resource_term.c.place, resource_term.c.code).where(resource_term.c.term == word)


def _probed(candidates: Any, words: Sequence[str], needed: Sequence[str]) -> Select[Any]:
    """Code, place and the place of each word; a scalar subquery for each word leaves the planner no other way than the probe."""
    walked = candidates.subquery("walked")
    columns = []
    for number, word in enumerate(words):
        probe = resource_term.alias(f"probe_{number}")
        at = select(probe.c.place).where(
            probe.c.term == word, probe.c.place.in_(_PLACES), probe.c.code == walked.c.code
        )
        columns.append(at.limit(1).scalar_subquery().label(f"place_{number}"))
    probed = select(walked.c.code, walked.c.place, *columns).subquery("probed")
    must = [probed.c[f"place_{words.index(word)}"].is_not(None) for word in needed]
    return select(probed).where(and_(True, *must))
