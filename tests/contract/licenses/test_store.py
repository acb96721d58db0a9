# SPDX-License-Identifier: Apache-2.0
"""What the use cases expect of a store: memory, SQLite and PostgreSQL pass the same suite."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import PageTokenInvalid, VersionConflict
from services.kit.ledger.access import Access, Receipt, content_digest
from services.licenses.domain.identifier import LicenseIdentifier
from services.licenses.domain.license import License, LicenseIssued, LicenseState, suspend
from services.licenses.events import to_wire
from services.licenses.service import Content, LicensesStore, LicensesTx, Note, Request
from services.licenses.store import SqlLicensesStore
from tests.support.licenses_memory import MemoryLicensesStore
from tests.support.licenses_paper import BIRTH, CHILD, HOSPITAL, NOW
from tests.support.postgres import fresh_database
from tests.support.probe import resources

CHILD_ID = "0d1c2b3a-0000-4000-8000-000000000001"
MOTHER_ID = "0d1c2b3a-0000-4000-8000-000000000002"
CASE = "990100/11990100000001011X/case-1"
CONTENT = Content(CHILD, "a.b.c~d~", b"\1" * 32, "f" * 64)


def license_of(number: int, *, version: int = 1, serial: str = "", minutes: int = 0, step_id: str = "s") -> License:
    return License(
        license_id=f"5e9d4c1a-0000-4000-8000-{number:012d}",
        identifier=LicenseIdentifier(BIRTH, HOSPITAL, serial or f"Z{number}", version),
        holder_id=CHILD_ID,
        state=LicenseState.ACTIVE,
        issue_time=NOW + timedelta(minutes=minutes),
        expire_time=NOW + timedelta(days=3650),
        reader_id=MOTHER_ID,
        case_id=CASE,
        step_id=step_id,
    )


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LicensesStore]:
    with acting_as(Caller(CallerKind.SERVICE, "licenses")):
        if request.param == "memory":
            yield MemoryLicensesStore()
        elif request.param == "sqlite":
            opened = SqlLicensesStore.open(resources(f"sqlite:///{tmp_path}/l.sqlite", tmp_path), encode=to_wire)
            async with opened as sql:
                yield sql
        else:
            async with (
                fresh_database(request.getfixturevalue("postgres")) as url,
                SqlLicensesStore.open(resources(url, tmp_path), encode=to_wire) as sql,
            ):
                yield sql


async def added(store: LicensesStore, *licenses: License) -> None:
    async with store.transaction() as tx:
        for license in licenses:
            await tx.add(license, CONTENT)


async def test_what_is_added_is_found_again_whole(store: LicensesStore) -> None:
    license = license_of(1)
    await added(store, license)
    assert await store.find(license.license_id) == license
    assert await store.find_identified(license.identifier) == (license, CONTENT.words)
    assert await store.content(license) == CONTENT
    async with store.transaction() as tx:
        assert await tx.license(license.license_id) == license
        assert await tx.of_step(CASE, "s") == (license, CONTENT.fingerprint)


async def test_what_is_not_there_is_nothing(store: LicensesStore) -> None:
    license = license_of(1)
    assert await store.find(license.license_id) is None
    assert await store.find_identified(license.identifier) is None
    async with store.transaction() as tx:
        assert await tx.license(license.license_id) is None
        assert await tx.newest(BIRTH, HOSPITAL, "Z1") is None
        assert await tx.of_step(CASE, "s") is None
        assert await tx.request("nothing") is None


async def test_long_term_has_no_end(store: LicensesStore) -> None:
    license = replace(license_of(1), expire_time=None, reader_id="", case_id="", step_id="")
    await added(store, license)
    assert await store.find(license.license_id) == license


async def test_the_newest_version_is_the_highest(store: LicensesStore) -> None:
    first, tenth = license_of(1, serial="Z"), license_of(2, serial="Z", version=10)
    await added(store, tenth, first)
    async with store.transaction() as tx:
        assert await tx.newest(BIRTH, HOSPITAL, "Z") == tenth


async def test_the_newest_license_of_a_step_is_the_last_issued(store: LicensesStore) -> None:
    first, second = license_of(1, minutes=1), license_of(2, minutes=2)
    await added(store, second, first, license_of(3, minutes=3, step_id="other"))
    async with store.transaction() as tx:
        assert await tx.of_step(CASE, "s") == (second, CONTENT.fingerprint)


async def test_what_a_holder_has_comes_in_pages_and_what_has_ended_does_not(store: LicensesStore) -> None:
    licenses = [license_of(number) for number in range(1, 103)]
    other = replace(license_of(103), holder_id=MOTHER_ID, reader_id=CHILD_ID)
    await added(store, *licenses, other)
    async with store.transaction() as tx:
        await tx.save(replace(licenses[0], state=LicenseState.REVOKED))
        await tx.save(replace(licenses[1], state=LicenseState.SUSPENDED))
        first = await tx.held(BIRTH, HOSPITAL, CHILD_ID, after="")
        second = await tx.held(BIRTH, HOSPITAL, CHILD_ID, after=first[-1][0].license_id)
        assert [one.license_id for one, _ in first + second] == [one.license_id for one in licenses[1:]]
        assert (len(first), first[0][1]) == (100, CHILD)
        assert await tx.held(BIRTH, HOSPITAL, CHILD_ID, after=second[-1][0].license_id) == []
        assert await tx.held(BIRTH, "11990100000001011X", CHILD_ID, after="") == []


async def test_a_version_is_added_once(store: LicensesStore) -> None:
    await added(store, license_of(1, serial="Z"))
    with pytest.raises(VersionConflict):
        await added(store, license_of(2, serial="Z"))
    assert await store.find(license_of(2).license_id) is None


async def test_only_the_state_of_a_version_changes(store: LicensesStore) -> None:
    license = license_of(1)
    await added(store, license)
    suspended, _ = suspend(license, now=NOW)
    async with store.transaction() as tx:
        await tx.save(replace(suspended, holder_id=MOTHER_ID))
        await tx.note(Note(license.license_id, "suspend", NOW, "agency:x", "grounds"))
    assert await store.find(license.license_id) == suspended


async def test_a_request_is_remembered_with_its_answer(store: LicensesStore) -> None:
    await added(store, license_of(1))
    async with store.transaction() as tx:
        assert await tx.first_sight("agency:x:r-1")
        receipt = await tx.leaf(Access("licenses.IssueLicense", CHILD_ID, "p", "b", digest=content_digest(b"content")))
        request = Request("agency:x:r-1", "f" * 64, license_of(1).license_id, LicenseState.ACTIVE, receipt)
        await tx.remember(request)
    async with store.transaction() as tx:
        assert not await tx.first_sight("agency:x:r-1")
        assert await tx.request("agency:x:r-1") == request
        assert isinstance(request.receipt, Receipt)


async def _broken(tx: LicensesTx) -> None:
    await tx.first_sight("e-1")
    await tx.add(license_of(1), CONTENT)
    await tx.record(LicenseIssued(license_of(1)))
    await tx.leaf(Access("licenses.IssueLicense", CHILD_ID, "p", "b"))
    raise ZeroDivisionError


async def test_what_fails_leaves_nothing(store: LicensesStore) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.transaction() as tx:
            await _broken(tx)
    async with store.transaction() as tx:
        assert await tx.first_sight("e-1")
        assert (await tx.leaf(Access("licenses.IssueLicense", CHILD_ID, "p", "b"))).index == 0
    assert await store.find(license_of(1).license_id) is None


@pytest.mark.parametrize("reader", [CHILD_ID, MOTHER_ID])
async def test_a_reader_pages_through_all_newest_first(store: LicensesStore, reader: str) -> None:
    licenses = [license_of(number, minutes=number // 2) for number in range(7)]
    await added(store, *licenses)
    seen: list[License] = []
    token = ""
    for size in (3, 3, 3):
        page = await store.of_reader(reader, size, token)
        seen += page.rows
        token = page.next_token
        if not token:
            break
    assert seen == sorted(licenses, key=lambda one: (one.issue_time, one.license_id), reverse=True)
    assert (await store.of_reader("0d1c2b3a-0000-4000-8000-0000000000ff", 3, "")).rows == ()


async def test_a_foreign_page_token_is_refused(store: LicensesStore) -> None:
    for token in ("x", "e30", "eyJhZnRlciI6MSwidGltZSI6IjIwMjYtMDEtMDEifQ"):
        with pytest.raises(PageTokenInvalid):
            await store.of_reader(CHILD_ID, 3, token)


async def test_a_refusal_is_a_leaf_and_an_answer_too(store: LicensesStore) -> None:
    access = Access("licenses.GetLicense", CHILD_ID, "own_license", "PIPL art. 45")
    with pytest.raises(PageTokenInvalid):
        async with store.ledger.account(access):
            raise PageTokenInvalid("The page token is not one of ours.")
    async with store.ledger.account(access) as account:
        receipt = await account.answered(fields=("child_name",), digest=store.digest(b"x"))
    assert (receipt.log, receipt.index) == ("licenses", 1)
