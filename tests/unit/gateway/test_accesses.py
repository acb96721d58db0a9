# SPDX-License-Identifier: Apache-2.0
"""Three ledgers as one list: every leaf once, newest first, even while the reading itself adds leaves."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.gateway.domain.refusals import TooManyAccesses
from services.gateway.service import accesses
from services.gateway.service.accesses import LOGS, merged, usages
from services.gateway.service.views import AccessView, ForkView, HeadView, NarrowAccesses, OwnLeaves, WithheldView
from services.kit.errors import PageTokenInvalid, Unavailable
from services.kit.paging import decode_token, encode_token
from services.kit.text import Text
from tests.support.gateway_matters import NOW

PAGE = 4
NONE = Text("-", "-")
ALL = NarrowAccesses()


def leaf(log: str, index: int, seconds: int) -> AccessView:
    return AccessView(
        log=log,
        index=index,
        time=NOW + timedelta(seconds=seconds),
        operation="query",
        operation_name=NONE,
        actor="",
        caller="",
        asked_by=None,
        on_behalf_of=None,
        purpose="",
        purpose_name=NONE,
        basis="",
        resource="",
        resource_name=None,
        fields=(),
        field_names=(),
        case_id="",
        outcome="answered",
        outcome_name=NONE,
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

    async def own_leaves(self, log: str, narrow: NarrowAccesses, page_size: int, page_token: str) -> OwnLeaves:
        if log in self.away:
            raise Unavailable("away")
        rows = self.leaves[log]
        if self.grows:
            rows.append(leaf(log, len(rows), 100_000 + len(rows)))
        below = int(decode_token(page_token).get("below", len(rows)))
        found = [row for row in reversed(rows) if row.index < below][: min(page_size, PAGE)]
        more = bool(found) and found[-1].index > 0
        token = encode_token(below=found[-1].index) if more else ""
        wanted = tuple(row for row in found if narrow.outcome in {"", row.outcome} or row.withheld)
        return OwnLeaves(wanted, token, len(rows), sum(row.withheld is not None for row in rows))

    async def own_leaf(self, log: str, index: int) -> AccessView:
        return self.leaves[log][index]

    async def since(self, log: str) -> datetime | None:
        return self.leaves[log][0].time if self.leaves[log] else None

    async def forks(self, log: str) -> tuple[ForkView, ...]:
        raise Unavailable(f"{log} is not asked for forks here.")

    async def public_key(self, log: str) -> Mapping[str, str]:
        raise Unavailable(f"{log} is not asked for its key here.")


async def whole(ledgers: Ledgers, page_size: int) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []
    token = ""
    for _ in range(200):
        page = await merged(ledgers, ALL, page_size, token)
        seen += [(row.log, row.index) for row in page.rows]
        token = page.next_token
        if not token:
            return seen
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("page_size", [1, 3, 5, 50])
async def test_every_leaf_comes_once_newest_first(page_size: int) -> None:
    ledgers = Ledgers(identity=11, licenses=3, exchange=7)
    seen = await whole(ledgers, page_size)
    expected = sorted(
        (row for rows in ledgers.leaves.values() for row in rows), key=lambda row: row.time or NOW, reverse=True
    )
    assert seen == [(row.log, row.index) for row in expected]


async def test_leaves_that_come_meanwhile_shift_nothing() -> None:
    ledgers = Ledgers(identity=9, licenses=0, exchange=5)
    first = await merged(ledgers, ALL, 5, "")
    ledgers.grows = True
    seen = [(row.log, row.index) for row in first.rows]
    token = first.next_token
    while token:
        page = await merged(ledgers, ALL, 5, token)
        seen += [(row.log, row.index) for row in page.rows]
        token = page.next_token if page.rows else ""
    old = [one for one in seen if one[1] < {"identity": 9, "licenses": 0, "exchange": 5, "gateway": 0}[one[0]]]
    assert len(old) == len(set(old)) == 14


async def test_a_ledger_that_is_away_is_named() -> None:
    ledgers = Ledgers(identity=2, licenses=2)
    ledgers.away = {"licenses"}
    page = await merged(ledgers, ALL, 10, "")
    assert page.missing == ("licenses",)
    assert {row.log for row in page.rows} == {"identity"}
    ledgers.away = set(LOGS)
    with pytest.raises(Unavailable):
        await merged(ledgers, ALL, 10, "")


async def test_a_resident_without_leaves_gets_an_empty_list() -> None:
    page = await merged(Ledgers(), ALL, 10, "")
    assert (page.rows, page.next_token, page.missing) == ((), "", ())


@pytest.mark.parametrize("token", ["nonsense", encode_token(identity_below="x", identity_token="")])
async def test_a_token_of_somebody_elses_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        await merged(Ledgers(identity=1), ALL, 10, token)


async def test_what_is_withheld_has_its_place_among_its_neighbors_and_is_counted() -> None:
    ledgers = Ledgers(identity=6, licenses=2, exchange=6)
    for log, index in (("exchange", 3), ("exchange", 5), ("identity", 2)):
        row = ledgers.leaves[log][index]
        ledgers.leaves[log][index] = replace(row, time=None, withheld=WithheldView("hidden", "order", None))
    page = await merged(ledgers, ALL, 50, "")
    assert (page.total, page.hidden) == (14, 3)
    for log in LOGS:
        mine = [row.index for row in page.rows if row.log == log]
        assert mine == sorted(mine, reverse=True)
    assert sorted(await whole(ledgers, 3)) == sorted((row.log, row.index) for row in page.rows)


async def test_a_filter_that_leaves_pages_empty_still_comes_to_the_end() -> None:
    ledgers = Ledgers(identity=90, licenses=1, exchange=90)
    ledgers.leaves["identity"][1] = replace(ledgers.leaves["identity"][1], outcome="NO_GRANT")
    seen, token = [], ""
    for _ in range(100):
        page = await merged(ledgers, NarrowAccesses(outcome="NO_GRANT"), 3, token)
        seen += [(row.log, row.index) for row in page.rows]
        token = page.next_token
        if not token:
            break
    assert seen == [("identity", 1)]


async def test_all_that_can_be_read_is_counted_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ledgers = Ledgers(identity=9, licenses=2, exchange=4)
    ledgers.leaves["exchange"][2] = replace(
        ledgers.leaves["exchange"][2], time=None, withheld=WithheldView("hidden", "order", None)
    )
    found = await usages(ledgers, ALL)
    assert len(found) == 14
    assert [row.time for row in found] == sorted((row.time for row in found if row.time), reverse=True)
    monkeypatch.setattr(accesses, "USAGES_MAX", 3)
    with pytest.raises(TooManyAccesses):
        await usages(ledgers, ALL)
    monkeypatch.undo()
    ledgers.away = {"licenses"}
    with pytest.raises(Unavailable):
        await usages(ledgers, ALL)
