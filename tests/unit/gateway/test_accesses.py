# SPDX-License-Identifier: Apache-2.0
"""Three ledgers as one list: every leaf once, newest first, even while the reading itself adds leaves."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from services.gateway.service.accesses import LOGS, merged
from services.gateway.service.views import AccessView, HeadView
from services.kit.errors import PageTokenInvalid, Unavailable
from services.kit.paging import Page, decode_token, encode_token
from tests.support.gateway_matters import NOW

PAGE = 4


def leaf(log: str, index: int, seconds: int) -> AccessView:
    return AccessView(
        log=log,
        index=index,
        time=NOW + timedelta(seconds=seconds),
        operation="query",
        actor="",
        caller="",
        on_behalf_of=None,
        purpose="",
        basis="",
        resource="",
        fields=(),
        case_id="",
        outcome="answered",
        body=b"",
        leaf_hash=b"",
        path=(),
        head=HeadView(log, index + 1, b"", NOW, ""),
    )


class Ledgers:
    """Leaves by log; pages by index, as the real ones."""

    def __init__(self, **leaves: int) -> None:
        self.leaves = {
            log: [leaf(log, index, index * 3 + at) for index in range(leaves.get(log, 0))]
            for at, log in enumerate(LOGS)
        }
        self.away: set[str] = set()
        self.grows = False

    async def own_leaves(self, log: str, page_size: int, page_token: str) -> Page[AccessView]:
        if log in self.away:
            raise Unavailable("away")
        rows = self.leaves[log]
        if self.grows:
            rows.append(leaf(log, len(rows), 100_000 + len(rows)))
        below = int(decode_token(page_token).get("below", len(rows)))
        found = [row for row in reversed(rows) if row.index < below][: min(page_size, PAGE)]
        more = bool(found) and found[-1].index > 0
        return Page(tuple(found), encode_token(below=found[-1].index) if more else "")

    async def public_key(self, log: str) -> Mapping[str, str]:
        raise Unavailable(f"{log} is not asked for its key here.")


async def whole(ledgers: Ledgers, page_size: int) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []
    token = ""
    for _ in range(200):
        page = await merged(ledgers, page_size, token)
        seen += [(row.log, row.index) for row in page.rows]
        token = page.next_token
        if not token:
            return seen
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("page_size", [1, 3, 5, 50])
async def test_every_leaf_comes_once_newest_first(page_size: int) -> None:
    ledgers = Ledgers(identity=11, licenses=3, exchange=7)
    seen = await whole(ledgers, page_size)
    expected = sorted((row for rows in ledgers.leaves.values() for row in rows), key=lambda row: row.time, reverse=True)
    assert seen == [(row.log, row.index) for row in expected]


async def test_leaves_that_come_meanwhile_shift_nothing() -> None:
    ledgers = Ledgers(identity=9, licenses=0, exchange=5)
    first = await merged(ledgers, 5, "")
    ledgers.grows = True
    seen = [(row.log, row.index) for row in first.rows]
    token = first.next_token
    while token:
        page = await merged(ledgers, 5, token)
        seen += [(row.log, row.index) for row in page.rows]
        token = page.next_token if page.rows else ""
    old = [one for one in seen if one[1] < {"identity": 9, "licenses": 0, "exchange": 5}[one[0]]]
    assert len(old) == len(set(old)) == 14


async def test_a_ledger_that_is_away_is_named() -> None:
    ledgers = Ledgers(identity=2, licenses=2)
    ledgers.away = {"licenses"}
    page = await merged(ledgers, 10, "")
    assert page.missing == ("licenses",)
    assert {row.log for row in page.rows} == {"identity"}
    ledgers.away = set(LOGS)
    with pytest.raises(Unavailable):
        await merged(ledgers, 10, "")


async def test_a_resident_without_leaves_gets_an_empty_list() -> None:
    page = await merged(Ledgers(), 10, "")
    assert (page.rows, page.next_token, page.missing) == ((), "", ())


@pytest.mark.parametrize("token", ["nonsense", encode_token(identity_below="x", identity_token="")])
async def test_a_token_of_somebody_elses_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        await merged(Ledgers(identity=1), 10, token)
