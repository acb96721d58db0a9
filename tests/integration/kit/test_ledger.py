# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from sqlalchemy import select
from tongban.ledger.v1 import ledger_service_pb2 as pb
from tongban.ledger.v1.ledger_events_pb2 import LedgerHeadSigned

from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.errors import NotFound, Refusal, RequestInvalid, Unavailable
from services.kit.ledger import Access, Ledger, LedgerRpc, ProvenLeaf, Receipt, merkle
from services.kit.ledger.access import blinded, content_digest
from services.kit.ledger.group import GroupCommit
from services.kit.ledger.rows import Rows
from services.kit.ledger.rpc import Context
from tests.support.eventually import eventually
from tests.support.probe import Probe, opened

AGENCY = Caller(kind=CallerKind.AGENCY, id="1299010000000102XJ", actor="spiffe://tongban/agency/1299010000000102XJ")
RESIDENT = Caller(kind=CallerKind.CITIZEN, id="subject-of-the-resident", actor="spiffe://tongban/service/gateway")


class GrantMissing(Refusal):
    pass


@dataclass
class Place:
    database: str
    folder: Path

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Probe]:
        async with opened(self.database, self.folder / "keys") as store:
            yield store


@pytest.fixture
def place(database: str, tmp_path: Path) -> Iterator[Place]:
    with acting_as(AGENCY):
        yield Place(database, tmp_path)


def access(subject: str = "subject-1", **more: str) -> Access:
    return Access("exchange.query", subject, "birth", "Order 809 art. 19", ("status",), **more)


async def every_leaf(ledger: Ledger) -> list[bytes]:
    bodies, at = [], 0
    while True:
        leaves, following = await ledger.leaves(at, 1000)
        assert [leaf.index for leaf in leaves] == list(range(at, at + len(leaves)))
        bodies += [leaf.body for leaf in leaves]
        if following == at:
            return bodies
        at = following


def holds(proven: ProvenLeaf) -> bool:
    leaf = merkle.leaf_hash(proven.leaf.body)
    return merkle.verify_inclusion(leaf, proven.leaf.index, proven.head.tree_size, proven.path, proven.head.root_hash)


async def test_concurrent_appends_share_commits_and_get_places_without_gaps(place: Place) -> None:
    async with place.opened() as store:
        receipts = await asyncio.gather(*(store.ledger.append(access(f"s{number}")) for number in range(700)))
        assert sorted(receipt.index for receipt in receipts) == list(range(700))
        bodies = await every_leaf(store.ledger)
        for receipt in receipts:
            assert merkle.leaf_hash(bodies[receipt.index]) == receipt.leaf_hash
        head = await store.ledger.head()
        assert (head.tree_size, head.root_hash) == (700, merkle.root_of([merkle.leaf_hash(each) for each in bodies]))
        for index in (0, 1, 255, 256, 511, 699):
            assert holds(await store.ledger.inclusion(index))
        for first in (1, 2, 255, 512, 699, 700):
            old = merkle.root_of([merkle.leaf_hash(each) for each in bodies[:first]])
            path = await store.ledger.consistency(first, 700)
            assert merkle.verify_consistency(first, 700, old, head.root_hash, path)


async def test_two_processes_append_to_one_tree(place: Place) -> None:
    async with place.opened() as one, place.opened() as two:
        receipts = await asyncio.gather(
            *((one if number % 2 else two).ledger.append(access(f"s{number}")) for number in range(400))
        )
        assert sorted(receipt.index for receipt in receipts) == list(range(400))
        assert await one.ledger.head() == await two.ledger.head()
        assert len(await every_leaf(two.ledger)) == 400
        assert holds(await two.ledger.inclusion(200))


async def test_a_leaf_joins_the_transaction_of_the_change_it_stands_for(place: Place) -> None:
    async with place.opened() as store:
        async with store.transaction() as tx:
            await tx.add("a", 1)
            receipt = await tx.leaf(access())
        assert receipt.index == 0
        with pytest.raises(ZeroDivisionError):
            async with store.transaction() as tx:
                await tx.leaf(access())
                raise ZeroDivisionError
        assert (await store.ledger.append(access())).index == 1
        assert len(await every_leaf(store.ledger)) == 2


async def test_leaves_in_transactions_and_appends_at_the_same_time_make_one_tree(place: Place) -> None:
    async with place.opened() as store:

        async def change(number: int) -> Receipt:
            async with store.transaction() as tx:
                await tx.add("a", number)
                return await tx.leaf(access())

        receipts = await asyncio.gather(
            *(change(number) if number % 3 == 0 else store.ledger.append(access()) for number in range(60))
        )
        assert sorted(receipt.index for receipt in receipts) == list(range(60))


async def test_a_leaf_says_who_for_whom_and_why_and_never_whom_in_clear(place: Place) -> None:
    async with place.opened() as store:
        await store.ledger.append(access("subject-1", case_id="case-1", on_behalf_of="11990100000001011X"))
        with acting_as(RESIDENT):
            await store.ledger.append(access(RESIDENT.id))
        first, second = (json.loads(body) for body in await every_leaf(store.ledger))
        assert first["caller"] == "agency:1299010000000102XJ"
        assert first["actor"] == "spiffe://tongban/agency/1299010000000102XJ"
        assert (first["case"], first["purpose"], first["basis"]) == ("case-1", "birth", "Order 809 art. 19")
        assert (first["fields"], first["outcome"]) == (["status"], "answered")
        assert first["subject"] == store.ledger.name("subject-1")
        assert second["caller"] == f"citizen:{store.ledger.name(RESIDENT.id)}"
        assert not any(name in json.dumps([first, second]) for name in ("subject-1", RESIDENT.id))


async def test_an_account_ends_in_one_leaf_whatever_happens(place: Place) -> None:
    async with place.opened() as store:
        async with store.ledger.account(access()) as entry:
            receipt = await entry.answered(fields=("a", "b"), digest=content_digest(b"answer"))
        assert receipt.index == 0
        with pytest.raises(GrantMissing):
            async with store.ledger.account(access()):
                raise GrantMissing("No grant.")
        with pytest.raises(Unavailable):
            async with store.ledger.account(access()):
                raise Unavailable("The register does not answer.")
        with pytest.raises(ZeroDivisionError):
            async with store.ledger.account(access()):
                raise ZeroDivisionError
        with pytest.raises(RuntimeError, match="without its leaf"):
            async with store.ledger.account(access()):
                pass
        with pytest.raises(GrantMissing):
            async with store.ledger.account(access()) as entry:
                await entry.answered()
                raise GrantMissing("Too late: it has its leaf.")
        bodies = [json.loads(body) for body in await every_leaf(store.ledger)]
        assert [body["outcome"] for body in bodies] == [
            "answered",
            "GRANT_MISSING",
            "UNAVAILABLE",
            "INTERNAL",
            "answered",
        ]
        assert bodies[0]["fields"] == ["a", "b"]
        assert bodies[0]["digest"] == blinded(content_digest(b"answer"), receipt.blinding) != content_digest(b"answer")


async def test_residents_see_their_own_leaves_newest_first_page_by_page_with_proofs(place: Place) -> None:
    async with place.opened() as store:
        for number in range(25):
            await store.ledger.append(access("mine" if number % 2 else "another's", case_id=f"c{number}"))
        seen: list[ProvenLeaf] = []
        token = ""
        while True:
            page = await store.ledger.own.page("mine", page_size=5, token=token)
            seen += page.rows
            assert len(page.rows) <= 5
            token = page.next_token
            if not token:
                break
        assert [leaf.leaf.index for leaf in seen] == [number for number in range(24, -1, -1) if number % 2]
        assert all(holds(leaf) for leaf in seen)
        assert not (await store.ledger.own.page("nobody")).rows


async def test_leaves_of_one_case_are_listed_in_order(place: Place) -> None:
    async with place.opened() as store:
        for number in range(10):
            await store.ledger.append(access(case_id=f"case-{number % 2}"))
        leaves, following = await store.ledger.leaves(0, 3, "case-1")
        assert ([leaf.index for leaf in leaves], following) == ([1, 3, 5], 6)
        leaves, following = await store.ledger.leaves(following, 3, "case-1")
        assert ([leaf.index for leaf in leaves], following) == ([7, 9], 10)


async def test_a_proof_that_is_asked_for_signs_a_head_once_and_tells_it_as_a_fact(place: Place) -> None:
    async with place.opened() as store:
        await store.ledger.append(access())
        heads = await asyncio.gather(*(store.ledger.head() for _ in range(5)))
        assert len({head.jws for head in heads}) == 1
        assert (await store.ledger.inclusion(0)).head == heads[0]
        await store.ledger.append(access())
        assert (await store.ledger.inclusion(1)).head.tree_size == 2
        assert (await store.ledger.inclusion(0)).head.tree_size == 2
        async with store.reading() as connection:
            facts = (await connection.execute(select(store.tables.outbox.c.value))).scalars().all()
        assert [LedgerHeadSigned.FromString(fact).head.tree_size for fact in facts] == [1, 2]
        assert [head.tree_size for head in await store.ledger.heads()] == [1, 2]


async def test_heads_of_two_processes_are_told_in_the_order_of_their_sizes(place: Place) -> None:
    async with place.opened() as first, place.opened() as second:

        async def living(store: Probe) -> None:
            for _ in range(15):
                await store.ledger.append(access())
                await store.ledger.head()

        await asyncio.gather(living(first), living(second))
        outbox = first.tables.outbox
        async with first.reading() as connection:
            facts = (await connection.execute(select(outbox.c.value, outbox.c.occur_time).order_by(outbox.c.id))).all()
        sizes = [LedgerHeadSigned.FromString(fact.value).head.tree_size for fact in facts]
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == 30
        times = [fact.occur_time for fact in facts]
        assert times == sorted(times)


async def test_what_is_not_durable_has_no_proof(place: Place) -> None:
    async with place.opened() as store:
        await store.ledger.append(access())
        with pytest.raises(NotFound):
            await store.ledger.inclusion(1)
        with pytest.raises(NotFound):
            await store.ledger.consistency(1, 2)
        with pytest.raises(RequestInvalid):
            await store.ledger.consistency(2, 1)


async def test_an_empty_ledger_has_a_head_too(place: Place) -> None:
    async with place.opened() as store:
        head = await store.ledger.head()
        assert (head.tree_size, head.root_hash) == (0, merkle.EMPTY_ROOT)


async def test_an_append_whose_caller_gave_up_disturbs_nobody(place: Place) -> None:
    async with place.opened() as store:
        appending = [asyncio.create_task(store.ledger.append(access())) for _ in range(20)]
        await asyncio.sleep(0)
        for task in appending[::2]:
            task.cancel()
        results = await asyncio.gather(*appending, return_exceptions=True)
        assert all(isinstance(result, Receipt) for result in results[1::2])
        assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
        bodies = await every_leaf(store.ledger)
        head = await store.ledger.head()
        assert head.root_hash == merkle.root_of([merkle.leaf_hash(body) for body in bodies])


async def test_a_use_whose_caller_gave_up_has_its_leaf(place: Place) -> None:
    async with place.opened() as store:
        asked = asyncio.Event()

        async def asking() -> None:
            async with store.ledger.account(access()):
                asked.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(asking())
        await asked.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

        async def told() -> bool:
            return bool(await every_leaf(store.ledger))

        await eventually(told)
        assert [json.loads(body)["outcome"] for body in await every_leaf(store.ledger)] == ["CANCELLED"]


async def test_a_leaf_that_can_not_be_written_takes_no_other_with_it(place: Place) -> None:
    async with place.opened() as store:
        with pytest.raises(RequestInvalid):
            store.ledger.account(access(case_id="\0"))
        with pytest.raises(RequestInvalid):
            await store.ledger.append(access(case_id="c" * 201))
        with pytest.raises(RequestInvalid):
            await store.ledger.append(access(case_id="\0"))
        group = GroupCommit(store, Rows(store))
        good = [store.ledger.entry(access()) for _ in range(3)]
        bad = good[1]._replace(subject=None)  # type: ignore[arg-type]
        results = await asyncio.gather(
            *(group.append(entry) for entry in (good[0], bad, good[2])), return_exceptions=True
        )
        assert [type(result) for result in results] == [Receipt, RuntimeError, Receipt]
        assert len(await every_leaf(store.ledger)) == 2


async def test_a_ledger_that_closes_tells_whoever_still_waits(place: Place) -> None:
    async with place.opened() as store:
        group = GroupCommit(store, Rows(store))
        waiting = [asyncio.create_task(group.append(store.ledger.entry(access()))) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await group.drained(0)
        async with asyncio.timeout(5):
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, Unavailable, Unavailable]


async def test_the_ledger_goes_on_after_a_restart(place: Place) -> None:
    for turn in range(3):
        async with place.opened() as store:
            receipts = await asyncio.gather(*(store.ledger.append(access()) for _ in range(7)))
            assert sorted(receipt.index for receipt in receipts) == list(range(turn * 7, turn * 7 + 7))
            assert holds(await store.ledger.inclusion(turn * 7))


async def test_a_locked_database_answers_nothing_and_writes_nothing(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/probe.sqlite", tmp_path)
    async with place.opened() as store, place.opened() as other:
        with acting_as(AGENCY):
            async with other.transaction():
                with pytest.raises(Unavailable):
                    await store.ledger.append(access())
            assert (await store.ledger.append(access())).index == 0


async def test_the_doorway_answers_in_wire_words(place: Place) -> None:
    context: Context = None  # type: ignore[assignment] # the doorway has no use for it
    async with place.opened() as store:
        rpc = LedgerRpc(store.ledger)
        for number in range(5):
            await store.ledger.append(access(RESIDENT.id, case_id=f"c{number % 2}"))
        listed = await rpc.ListLeaves(pb.ListLeavesRequest(from_index=1, page_size=2), context)
        assert ([leaf.index for leaf in listed.leaves], listed.next_index) == ([1, 2], 3)
        told = await rpc.GetHead(pb.GetHeadRequest(), context)
        assert told.head.tree_size == 5
        assert json.loads(told.public_key_jwk)["kid"]
        proof = (await rpc.GetInclusionProof(pb.GetInclusionProofRequest(index=3), context)).proof
        assert merkle.verify_inclusion(
            merkle.leaf_hash(proof.leaf.body), 3, proof.head.tree_size, proof.path, proof.head.root_hash
        )
        path = (await rpc.GetConsistencyProof(pb.GetConsistencyProofRequest(first_size=2, second_size=5), context)).path
        old = merkle.root_of([merkle.leaf_hash(leaf.body) for leaf in (await store.ledger.leaves(0, 2))[0]])
        assert merkle.verify_consistency(2, 5, old, told.head.root_hash, path)
        with acting_as(RESIDENT):
            own = await rpc.ListOwnLeaves(pb.ListOwnLeavesRequest(page_size=3), context)
        assert [leaf.leaf.index for leaf in own.leaves] == [4, 3, 2]
        assert own.next_page_token
        assert RESIDENT.id not in json.dumps(MessageToDict(own))
