# SPDX-License-Identifier: Apache-2.0
"""What agencies may do, compiled and at hand: a call reads the database only for a pair that was not asked for lately."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from weakref import WeakValueDictionary

from cachetools import LRUCache

from services.exchange.domain.hours import WorkingDay
from services.exchange.domain.permit import (
    CompiledGrant,
    Permit,
    compile_grant,
    must_still_hold,
    permit_ask,
    permit_query,
    permit_verify,
)
from services.exchange.domain.refusals import ResourceNotFound
from services.exchange.domain.resource import Resource
from services.exchange.domain.terms import Method
from services.exchange.service.ports import Store
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.flight import Flight

CHANGES_MAX: Final = 10_000
"""More changes than this since the last sweep, and everything is forgotten instead: it comes back as it is asked for."""
NEGATIVES_SHARE: Final = 4
"""Pairs without a grant are remembered too, a quarter as many, apart: whoever tries codes pushes out no grant."""
HELD_SECONDS: Final = 600.0
_OVERLAP = timedelta(seconds=60)  # Commits may come later than the moment written in them, and clocks differ a little.

Pair = tuple[str, str]
"""Grantee and code of the resource."""


@dataclass(slots=True, weakref_slot=True)
class _Held:
    """A resource that rules are compiled against; once it has changed, none of them counts any more."""

    resource: Resource | None
    current: bool = True


@dataclass(frozen=True, slots=True)
class _Rules:
    """One pair: the resource, and the agency's grants in force on it, newest first."""

    held: _Held
    grants: tuple[CompiledGrant, ...]
    until: float


class Rulebook:
    """Read on first use, once however many ask; forgotten on events within a second, by a sweep, and by age.

    `refresh` sweeps: it forgets what changed since the last time, so that an event that never came is made up for. Where
    no sweep succeeded for `age_seconds_max`, nobody is answered. At most `pairs_max` pairs with grants are held.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        monotonic: Callable[[], float],
        age_seconds_max: float,
        pairs_max: int,
        is_working_day: WorkingDay,
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._age_seconds_max = age_seconds_max
        self._is_working_day = is_working_day
        self._granted: LRUCache[Pair, _Rules] = LRUCache(pairs_max)
        self._without: LRUCache[Pair, _Rules] = LRUCache(max(1, pairs_max // NEGATIVES_SHARE))
        self._held: WeakValueDictionary[str, _Held] = WeakValueDictionary()  # as long as rules name it
        self._reading_rules = Flight[Pair, _Rules](self._read_rules, self._keep_rules)
        self._reading_resources = Flight[str, _Held](self._read_resource, self._held.__setitem__)
        self._swept_until = clock()
        self._fresh_until = float("-inf")
        self.revision = 0
        """Grows whenever anything is forgotten: as long as it is a permit's own, the permit holds."""

    async def ready(self) -> None:
        """Return if the rules are fresh enough to go by. Raises Unavailable."""
        self._must_be_fresh(self._monotonic())

    async def resource(self, code: str) -> Resource | None:
        """Give a resource of the catalogue, None where there is none. Raises Unavailable."""
        return (await self._resource(code)).resource

    async def permit_query(
        self,
        grantee: str,
        resource: str,
        *,
        purpose: str,
        fields: Sequence[str],
        method: Method = Method.QUERY,
        under: str = "",
    ) -> Permit:
        """Permit an agency to see fields, or refuse; Unavailable where the rules can't be read or are too old.

        `under`: only this grant counts.
        """
        revision = self.revision
        rules = await self._rules(grantee, resource)
        found, now = rules.held.resource, self._clock()
        grants = [each for each in rules.grants if each.grant_id == under] if under else rules.grants
        return permit_query(found, grants, purpose=purpose, fields=fields, now=now, method=method, revision=revision)

    async def permit_verify(self, grantee: str, resource: str, *, purpose: str, fields: Sequence[str]) -> Permit:
        """Permit an agency to compare fields, or refuse; Unavailable where the rules can't be read or are too old."""
        revision = self.revision
        rules = await self._rules(grantee, resource)
        found, now = rules.held.resource, self._clock()
        return permit_verify(found, rules.grants, purpose=purpose, fields=fields, now=now, revision=revision)

    async def permit_ask(self, grantee: str, resource: str, *, purpose: str, questions: Sequence[str]) -> Permit:
        """Permit an agency to ask questions, or refuse; Unavailable where the rules can't be read or are too old."""
        revision = self.revision
        rules = await self._rules(grantee, resource)
        found, now = rules.held.resource, self._clock()
        return permit_ask(found, rules.grants, purpose=purpose, questions=questions, now=now, revision=revision)

    async def must_still_hold(self, permit: Permit, *, grantee: str, purpose: str) -> None:
        """Return if nothing of a permit was taken back since it was made. Raises what refuses it now, Unavailable."""
        if permit.revision != self.revision:
            rules = await self._rules(grantee, permit.resource.code)
            must_still_hold(permit, rules.held.resource, rules.grants, purpose=purpose, now=self._clock())

    async def refresh(self) -> None:
        """Forget what changed since the last sweep. Raises Unavailable."""
        began, now = self._monotonic(), self._clock()
        touched = await self._store.changed_since(self._swept_until - _OVERLAP, limit=CHANGES_MAX)
        if touched is None:
            self._forget_all()
        else:
            for grantee, code in touched.pairs:
                self.forget_grants(grantee, code)
            for code in touched.resources:
                self.forget_resource(code)
        self._swept_until, self._fresh_until = now, began + self._age_seconds_max

    def forget_grants(self, grantee: str, resource: str) -> None:
        """Forget a pair, because one of its grants changed; what is being read of it is not kept either."""
        pair = (grantee, resource)
        self.revision += 1
        self._reading_rules.forget(pair)
        self._granted.pop(pair, None)
        self._without.pop(pair, None)

    def forget_resource(self, code: str) -> None:
        """Forget a resource, because it changed, and with it every rule that was compiled against it."""
        self.revision += 1
        self._reading_resources.forget(code)
        held = self._held.pop(code, None)
        if held is not None:
            held.current = False

    async def _rules(self, grantee: str, resource: str) -> _Rules:
        now = self._monotonic()
        self._must_be_fresh(now)
        pair = (grantee, resource)
        rules = self._granted.get(pair) or self._without.get(pair)
        if rules is not None and rules.held.current and now < rules.until:
            return rules
        return await self._reading_rules.answer(pair)

    async def _resource(self, code: str) -> _Held:
        held = self._held.get(code)
        return held if held is not None else await self._reading_resources.answer(code)

    async def _read_rules(self, pair: Pair) -> _Rules:
        until = self._monotonic() + HELD_SECONDS
        held = await self._resource(pair[1])
        given = await self._store.grants_of(*pair) if held.resource is not None else ()
        if self._held.get(pair[1]) is not held:
            held.current = (
                False  # It changed while the grants were read: good for whoever asked before, not to be kept.
            )
        resource = held.resource
        if resource is None:
            return _Rules(held, (), until)
        works = self._is_working_day
        return _Rules(held, tuple(compile_grant(each, resource, is_working_day=works) for each in given), until)

    def _keep_rules(self, pair: Pair, rules: _Rules) -> None:
        (self._granted if rules.grants else self._without)[pair] = rules
        (self._without if rules.grants else self._granted).pop(pair, None)

    async def _read_resource(self, code: str) -> _Held:
        try:
            return _Held(await self._store.read_resource(code))
        except ResourceNotFound:
            return _Held(None)

    def _forget_all(self) -> None:
        self.revision += 1
        self._reading_rules.forget_all()
        self._reading_resources.forget_all()
        self._granted.clear()
        self._without.clear()
        self._held.clear()

    def _must_be_fresh(self, now: float) -> None:
        if now > self._fresh_until:
            raise Unavailable("The grants could not be read anew for too long to go by them.", retry_after_seconds=1)
