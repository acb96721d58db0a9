# SPDX-License-Identifier: Apache-2.0
"""The exchange's store and ledger in memory. Passes the same suite as the real ones (tests/contract/exchange)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime

from services.exchange.domain.change import Notice
from services.exchange.domain.grant import Grant
from services.exchange.domain.inquiry import KeptAnswer
from services.exchange.domain.refusals import AnswerNotFound, GrantNotFound, ResourceNotFound
from services.exchange.domain.resource import Resource
from services.exchange.domain.version import NOBODY, By
from services.exchange.service.ports import Touched
from services.kit.caller import Caller, current_caller
from services.kit.errors import Refusal, Unavailable
from services.kit.ledger.access import Access, Receipt
from services.kit.paging import Page, decode_token, encode_token


@dataclass
class Rows:
    """What is committed."""

    seen: set[str] = field(default_factory=set)
    facts: list[object] = field(default_factory=list)
    leaves: list[tuple[Caller, Access]] = field(default_factory=list)
    resources: dict[str, tuple[Resource, datetime]] = field(default_factory=dict)
    grants: dict[str, tuple[Grant, datetime]] = field(default_factory=dict)
    answers: dict[str, tuple[KeptAnswer, datetime]] = field(default_factory=dict)
    counts: dict[tuple[str, date], int] = field(default_factory=dict)
    notices: dict[tuple[str, str], Notice] = field(default_factory=dict)

    def copied(self) -> "Rows":
        """A copy to change: its entries are frozen."""
        return Rows(**{name: value.copy() for name, value in vars(self).items()})


@dataclass
class MemoryTx:
    """One transaction on a copy of the rows."""

    rows: Rows

    async def first_sight(self, id: str, *asked: str) -> bool:
        assert not asked, "whoever says what is asked has a real store"
        new = id not in self.rows.seen
        self.rows.seen.add(id)
        return new

    async def record(self, fact: object) -> None:
        self.rows.facts.append(fact)

    async def leaf(self, access: Access) -> Receipt:
        self.rows.leaves.append((current_caller(), access))
        return _receipt(self.rows)

    async def find_resource(self, code: str) -> Resource | None:
        found = self.rows.resources.get(code)
        return None if found is None else found[0]

    async def resource(self, code: str) -> Resource:
        found = await self.find_resource(code)
        if found is None:
            raise ResourceNotFound("There is no such resource in the catalogue.")
        return found

    async def save_resource(self, resource: Resource, *, now: datetime, by: By = NOBODY) -> None:
        assert by is not None
        self.rows.resources[resource.code] = (resource, now)

    async def grants_on(self, code: str, *, after: tuple[datetime, str] | None, limit: int) -> Sequence[Grant]:
        found = sorted((each for each, _ in self.rows.grants.values() if each.resource == code), key=_place)
        return [each for each in found if not each.revoked and (after is None or _place(each) > after)][:limit]

    async def save_notices(self, notices: Sequence[Notice]) -> None:
        self.rows.notices.update({(each.agency, each.change_id): each for each in notices})

    async def count_calls(self, calls: Mapping[str, int], day: date) -> None:
        for grant_id, number in calls.items():
            self.rows.counts[grant_id, day] = self.rows.counts.get((grant_id, day), 0) + number

    async def find_grant(self, grant_id: str) -> Grant | None:
        found = self.rows.grants.get(grant_id)
        return None if found is None else found[0]

    async def grant(self, grant_id: str) -> Grant:
        found = await self.find_grant(grant_id)
        if found is None:
            raise GrantNotFound("There is no such grant.")
        return found

    async def grants_beside(self, draft: Grant) -> int:
        pair = [
            each
            for each, _ in self.rows.grants.values()
            if (each.grantee, each.resource) == (draft.grantee, draft.resource)
        ]
        return sum(not each.revoked and each.expire_time > draft.create_time for each in pair)

    async def add_grant(self, grant: Grant, *, request_id: str) -> None:
        assert request_id
        self.rows.grants[grant.grant_id] = (grant, grant.create_time)

    async def save_revocation(self, grant: Grant, *, grounds: str) -> None:
        assert grounds
        assert grant.revoke_time
        self.rows.grants[grant.grant_id] = (grant, grant.revoke_time)

    async def keep_answer(self, answer: KeptAnswer, *, expire_time: datetime) -> None:
        self.rows.answers[answer.answer_id] = (answer, expire_time)

    async def drop_answers(self, *, before: datetime, limit: int) -> int:
        old = [each for each, (_, expiry) in self.rows.answers.items() if expiry < before][:limit]
        for each in old:
            del self.rows.answers[each]
        return len(old)

    async def take_quota(self, grant_id: str, day: date, *, calls: int, quota: int) -> int:
        counted = self.rows.counts.get((grant_id, day), 0)
        taken = max(0, min(calls, quota - counted))
        self.rows.counts[grant_id, day] = counted + taken
        return taken

    async def return_quota(self, grant_id: str, day: date, *, calls: int) -> None:
        self.rows.counts[grant_id, day] -= calls

    async def drop_counts(self, *, before: date) -> None:
        for key in [key for key in self.rows.counts if key[1] < before]:
            del self.rows.counts[key]


class MemoryAccount:
    """One use of personal data on its way to its leaf."""

    def __init__(self, ledger: "MemoryLedger", access: Access) -> None:
        self._ledger = ledger
        self.access = access
        self.receipt: Receipt | None = None

    async def answered(self, *, fields: Sequence[str], digest: str) -> Receipt:
        access = self.access._replace(fields=tuple(fields), digest=digest)
        self.receipt = await self._ledger.append(access)
        return self.receipt


class MemoryLedger:
    """Leaves in a list, with the kit's manners: an account that ends without a leaf is an error."""

    def __init__(self, store: "MemoryExchangeStore") -> None:
        self._store = store

    async def append(self, access: Access) -> Receipt:
        if self._store.down:
            raise Unavailable("The database does not answer.")
        self._store.rows.leaves.append((current_caller(), access))
        return _receipt(self._store.rows)

    @asynccontextmanager
    async def account(self, access: Access) -> AsyncIterator[MemoryAccount]:
        account = MemoryAccount(self, access)
        try:
            yield account
        except Refusal as refusal:
            await self.append(access._replace(outcome=refusal.reason))
            raise
        except Unavailable:
            await self.append(access._replace(outcome="UNAVAILABLE"))
            raise
        assert account.receipt is not None, "A use of personal data ended without its leaf."


class MemoryExchangeStore:
    """Committed rows, one transaction at a time. `down`: the database does not answer."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.down = False
        self.ledger = MemoryLedger(self)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTx]:
        async with self._turn:
            self._must_answer()
            tx = MemoryTx(self.rows.copied())
            yield tx
            self.rows = tx.rows

    def digest(self, payload: bytes) -> str:
        return hashlib.sha256(b"test key" + payload).hexdigest()

    def subject_mark(self, kind: str, value: str) -> str:
        return f"{kind}:{hashlib.sha256(f'test key{value}'.encode()).hexdigest()}"

    async def read_resource(self, code: str) -> Resource:
        self._must_answer()
        return await MemoryTx(self.rows).resource(code)

    async def list_resources(self, *, page_size: int, page_token: str) -> Page[Resource]:
        after = str(decode_token(page_token).get("code", ""))
        found = sorted((each for each, _ in self.rows.resources.values() if each.code > after), key=lambda r: r.code)
        page = tuple(found[:page_size])
        return Page(page, encode_token(code=page[-1].code) if len(found) > page_size else "")

    async def list_grants(self, *, grantee: str, resource: str, page_size: int, page_token: str) -> Page[Grant]:
        token = decode_token(page_token)
        last = (str(token.get("time", "9999")), str(token.get("id", "")))
        found = [
            each
            for each in self._newest_first()
            if grantee in {"", each.grantee}
            and resource in {"", each.resource}
            and (each.create_time.isoformat(), each.grant_id) < last
        ]
        page = tuple(found[:page_size])
        if len(found) <= page_size:
            return Page(page)
        return Page(page, encode_token(time=page[-1].create_time.isoformat(), id=page[-1].grant_id))

    async def grants_of(self, grantee: str, resource: str) -> Sequence[Grant]:
        self._must_answer()
        pair = (grantee, resource)
        return tuple(
            each for each in self._newest_first() if (each.grantee, each.resource) == pair and not each.revoked
        )

    async def calls_counted(self, grant_id: str, day: date) -> int:
        return self.rows.counts.get((grant_id, day), 0)

    async def changed_since(self, moment: datetime, *, limit: int) -> Touched | None:
        self._must_answer()
        codes = [each.code for each, when in self.rows.resources.values() if when >= moment]
        pairs = [(each.grantee, each.resource) for each, when in self.rows.grants.values() if when >= moment]
        return None if max(len(codes), len(pairs)) > limit else Touched(frozenset(codes), frozenset(pairs))

    async def read_answer(self, answer_id: str, *, now: datetime) -> KeptAnswer:
        found = self.rows.answers.get(answer_id)
        if found is None or found[1] <= now:
            raise AnswerNotFound("There is no such answer, or it is no longer kept.")
        return found[0]

    def _newest_first(self) -> list[Grant]:
        return sorted((each for each, _ in self.rows.grants.values()), key=_place, reverse=True)

    def _must_answer(self) -> None:
        if self.down:
            raise Unavailable("The database does not answer.")


def _place(grant: Grant) -> tuple[datetime, str]:
    return grant.create_time, grant.grant_id


def _receipt(rows: Rows) -> Receipt:
    return Receipt("exchange", len(rows.leaves) - 1, b"\0" * 32)
