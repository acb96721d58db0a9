# SPDX-License-Identifier: Apache-2.0
"""Every grant in force, compiled and in memory: no call reads the database to learn what it may do."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from services.exchange.domain.grant import Grant
from services.exchange.domain.permit import CompiledGrant, Permit, compile_grant, permit_query, permit_verify
from services.exchange.domain.resource import Resource
from services.exchange.service.ports import Store
from services.kit.clock import Clock
from services.kit.errors import Unavailable

_OVERLAP = timedelta(seconds=60)  # Commits may come later than the moment written in them, and clocks differ a little.


class Rulebook:
    """Loaded at start, mended by events within a second, and refused once it is older than its bound.

    `refresh` reads what changed since the last time, so that an event that never came is made up for.
    """

    def __init__(self, store: Store, *, clock: Clock, monotonic: Callable[[], float], age_seconds_max: float) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._age_seconds_max = age_seconds_max
        self._resources: dict[str, Resource] = {}
        self._grants: dict[str, dict[str, Sequence[Grant]]] = defaultdict(dict)  # resource -> grantee -> in force
        self._compiled: dict[tuple[str, str], tuple[CompiledGrant, ...]] = {}
        self._read_until: datetime | None = None
        self._fresh_until = float("-inf")
        self._reading = asyncio.Lock()

    def resource(self, code: str) -> Resource | None:
        """Give a resource of the catalogue, None where there is none."""
        return self._resources.get(code)

    async def ready(self) -> None:
        """Return if the rules are fresh enough to go by. Raises Unavailable."""
        self._must_be_fresh()

    def permit_query(self, grantee: str, resource: str, *, purpose: str, fields: Sequence[str]) -> Permit:
        """Permit an agency to see fields, or refuse; Unavailable where the rules are too old to go by."""
        self._must_be_fresh()
        found, grants = self._rules(grantee, resource)
        return permit_query(found, grants, purpose=purpose, fields=fields, now=self._clock())

    def permit_verify(self, grantee: str, resource: str, *, purpose: str, fields: Sequence[str]) -> Permit:
        """Permit an agency to compare fields, or refuse; Unavailable where the rules are too old to go by."""
        self._must_be_fresh()
        found, grants = self._rules(grantee, resource)
        return permit_verify(found, grants, purpose=purpose, fields=fields, now=self._clock())

    async def refresh(self) -> None:
        """Read what changed, everything the first time. Raises Unavailable."""
        async with self._reading:
            began, now = self._monotonic(), self._clock()
            since = None if self._read_until is None else self._read_until - _OVERLAP
            changes = await self._store.changed_since(since)
            for resource in changes.resources:
                self._resources[resource.code] = resource
            for (grantee, code), grants in changes.grants.items():
                self._grants[code][grantee] = grants
            touched = {(grantee, each.code) for each in changes.resources for grantee in self._grants[each.code]}
            self._compile(touched | set(changes.grants))
            self._read_until, self._fresh_until = now, began + self._age_seconds_max

    async def refresh_grants(self, grantee: str, resource: str) -> None:
        """Read the grants of one pair, because one of them changed. Raises Unavailable."""
        async with self._reading:
            if resource not in self._resources:
                self._resources[resource] = await self._store.read_resource(resource)
            self._grants[resource][grantee] = await self._store.grants_of(grantee, resource)
            self._compile([(grantee, resource)])

    async def refresh_resource(self, code: str) -> None:
        """Read one resource, because it changed. Raises Unavailable."""
        async with self._reading:
            self._resources[code] = await self._store.read_resource(code)
            self._compile([(grantee, code) for grantee in self._grants[code]])

    def _rules(self, grantee: str, resource: str) -> tuple[Resource | None, Sequence[CompiledGrant]]:
        return self._resources.get(resource), self._compiled.get((grantee, resource), ())

    def _compile(self, pairs: Iterable[tuple[str, str]]) -> None:
        for grantee, code in pairs:
            resource = self._resources.get(code)
            if resource is None:
                continue
            compiled = tuple(compile_grant(each, resource) for each in self._grants[code].get(grantee, ()))
            if compiled:
                self._compiled[grantee, code] = compiled
            else:
                self._compiled.pop((grantee, code), None)

    def _must_be_fresh(self) -> None:
        if self._monotonic() > self._fresh_until:
            raise Unavailable("The grants could not be read anew for too long to go by them.", retry_after_seconds=1)
