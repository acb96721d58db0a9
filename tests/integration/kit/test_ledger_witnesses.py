# SPDX-License-Identifier: Apache-2.0
"""Witnesses over mutual TLS: they co-sign what only grows, and show everybody what does not."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tongban.ledger.v1 import ledger_events_pb2, ledger_pb2
from tongban.ledger.v1 import ledger_service_pb2 as pb

from services.kit.caller import acting_as
from services.kit.certificates import read_certificate
from services.kit.crypto import SigningKey
from services.kit.errors import RemoteRefusal, Unavailable
from services.kit.ledger.access import SignedHead, canonical, rfc3339
from services.kit.ledger.export import export
from services.kit.ledger.statements import (
    COSIGNATURE_TYPE,
    FORK_TYPE,
    HEAD_TYPE,
    open_statement,
    proven_by_itself,
    state,
)
from services.kit.ledger.verify import verify_export
from services.kit.rpc.peer import Peer
from tests.support.ledger_door import AGENCY, LOG, OPERATOR, WITNESSES, Watched, access, watched
from tests.support.mesh import BARRED, HEALTH
from tests.support.probe import Probe

SPIFFE_ID = f"spiffe://tongban/agency/{HEALTH}"
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def ledger(database: str, tmp_path: Path) -> AsyncIterator[Watched]:
    async with watched(database, tmp_path, Clock()) as served:
        yield served


async def grow(store: Probe, leaves: int = 3) -> None:
    with acting_as(AGENCY):
        for _ in range(leaves):
            await store.ledger.append(access())


async def facts(store: Probe, name: str) -> list[bytes]:
    table = store.tables.outbox
    async with store.reading() as connection:
        rows = await connection.execute(select(table.c.type, table.c.value).order_by(table.c.id))
        return [row.value for row in rows if row.type.endswith(f".{name}")]


async def test_two_witnesses_co_sign_every_head_that_they_see(ledger: Watched) -> None:
    witnesses = [await ledger.witness(uscc) for uscc in WITNESSES]
    for size in (0, 3, 6):
        if size:
            await grow(ledger.store)
        for witness in witnesses:
            assert await witness.look(LOG) == ""
            assert await witness.look(LOG) == ""
        told = await ledger.call(OPERATOR, "GetHead", pb.GetHeadRequest())
        assert told.head.tree_size == size
        assert sorted(said.witness for said in told.head.cosignatures) == sorted(
            f"spiffe://tongban/agency/{uscc}" for uscc in WITNESSES
        )
        for said in told.head.cosignatures:
            statement = open_statement(said.jws, COSIGNATURE_TYPE)
            assert statement.claims["root"] == told.head.root_hash.hex()
            assert statement.issued_by(read_certificate(ledger.mesh.pki / "ca.crt"))
    events = [
        ledger_events_pb2.LedgerHeadCosigned.FromString(fact)
        for fact in await facts(ledger.store, "LedgerHeadCosigned")
    ]
    assert [event.tree_size for event in events] == [0, 0, 3, 3, 6, 6]
    await grow(ledger.store)
    proof = (await ledger.call(OPERATOR, "GetInclusionProof", pb.GetInclusionProofRequest(index=2))).proof
    assert (proof.head.tree_size, len(proof.head.cosignatures)) == (6, 2)


async def test_an_export_carries_what_witnesses_said_and_proves_it_away_from_us(
    ledger: Watched, tmp_path: Path
) -> None:
    await grow(ledger.store)
    for uscc in WITNESSES:
        await (await ledger.witness(uscc)).look(LOG)
    await grow(ledger.store)
    path = tmp_path / "probe.jsonl"
    assert await export(await ledger.peer(), path) == 6
    root = read_certificate(ledger.mesh.pki / "ca.crt")
    report = verify_export(path, root=root)
    assert report.holds, report.findings
    assert (report.leaves, report.heads, report.witnesses) == (6, 2, 2)


async def test_a_cosignature_is_taken_from_its_witness_alone_and_for_a_real_head_alone(ledger: Watched) -> None:
    await grow(ledger.store)
    await (await ledger.witness(HEALTH)).look(LOG)
    head = (await ledger.call(OPERATOR, "GetHead", pb.GetHeadRequest())).head
    ledger.mesh.fake.rights[BARRED] = (True, ("ledger.witness",))
    thief = f"spiffe://tongban/agency/{BARRED}"
    with pytest.raises(RemoteRefusal) as refused:
        await ledger.call(thief, "CosignHead", pb.CosignHeadRequest(jws=head.cosignatures[0].jws))
    assert refused.value.reason == "COSIGNATURE_INVALID"
    folder = ledger.mesh.identity(thief).folder
    key, certificate = SigningKey.read(folder / "tls.key"), read_certificate(folder / "tls.crt")
    claims = {"log": LOG, "root": "00" * 32, "size": 3, "time": rfc3339(NOW), "witness": thief}
    for wrong in (claims, {**claims, "root": head.root_hash.hex(), "log": "other"}, {**claims, "size": 9}, {}):
        with pytest.raises(RemoteRefusal) as refused:
            jws = state(COSIGNATURE_TYPE, wrong, key, certificate)
            await ledger.call(thief, "CosignHead", pb.CosignHeadRequest(jws=jws))
        assert refused.value.reason == "COSIGNATURE_INVALID"
    with pytest.raises(RemoteRefusal) as refused:
        await ledger.call(
            thief, "ReportFork", pb.ReportForkRequest(jws=state(FORK_TYPE, {"witness": thief}, key, certificate))
        )
    assert refused.value.reason == "EVIDENCE_INVALID"
    ledger.mesh.rights.forget_all()
    ledger.mesh.fake.rights[BARRED] = (True, ("ledger.heads",))
    with pytest.raises(RemoteRefusal) as refused:
        await ledger.call(thief, "CosignHead", pb.CosignHeadRequest(jws="x"))
    assert refused.value.reason == "RIGHT_MISSING"


async def test_a_witness_that_was_killed_still_knows_what_it_signed(ledger: Watched) -> None:
    await grow(ledger.store)
    await (await ledger.witness()).look(LOG)
    await rewrite(ledger)
    assert await (await ledger.witness()).look(LOG) != ""


async def rewrite(ledger: Watched, *, size: int = 3) -> None:
    """Put another history in the place of the old one, as whoever holds database and key can."""
    async with ledger.store.transaction() as tx:
        for name in ("ledger_leaf", "ledger_node", "ledger_head", "ledger_cosignature"):
            await tx.connection.exec_driver_sql(f"DELETE FROM {name}")
        frontier = ledger.store.tables.ledger_frontier
        await tx.connection.execute(frontier.update().values(size=0, peaks=b""))
    ledger.store.ledger._heads._newest = None
    ledger.store.ledger._group._edge = None
    with acting_as(AGENCY):
        for number in range(size):
            await ledger.store.ledger.append(access(case_id=f"rewritten-{number}"))


@pytest.mark.parametrize(("size", "kind"), [(3, "forked"), (2, "cut"), (5, "inconsistent")])
async def test_a_rewritten_history_is_refused_and_shown_to_everybody(
    ledger: Watched, tmp_path: Path, size: int, kind: str
) -> None:
    await grow(ledger.store)
    witness = await ledger.witness()
    await witness.look(LOG)
    clock = ledger.clock
    assert isinstance(clock, Clock)
    clock.now += timedelta(minutes=5)
    await rewrite(ledger, size=size)
    found = await witness.look(LOG)
    assert found
    assert await witness.look(LOG) == found
    listed = (await ledger.call(OPERATOR, "ListForkEvidence", pb.ListForkEvidenceRequest())).evidence
    assert [(each.evidence_id, each.log, each.witness) for each in listed] == [
        (found, LOG, f"spiffe://tongban/agency/{HEALTH}")
    ]
    assert listed[0].kind == ledger_pb2.ForkKind.Value(f"FORK_KIND_{kind.upper()}")
    told = [ledger_events_pb2.LedgerForkFound.FromString(fact) for fact in await facts(ledger.store, "LedgerForkFound")]
    assert [fact.evidence for fact in told] == list(listed)
    claims = open_statement(listed[0].jws, FORK_TYPE).claims
    assert proven_by_itself(claims) is (kind != "inconsistent")
    assert not (await ledger.call(OPERATOR, "GetHead", pb.GetHeadRequest())).head.cosignatures
    path = tmp_path / "probe.jsonl"
    await export(await ledger.peer(), path)
    assert any("shows that the history was" in finding for finding in verify_export(path).findings)
    # and without the witness's evidence, by the head that it kept
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith('{"fork"')]
    path.write_text("\n".join([*lines, canonical({"head": listed[0].first}).decode(), ""]), encoding="utf-8")
    assert not verify_export(path).holds


async def test_a_head_of_another_key_is_refused(ledger: Watched, tmp_path: Path) -> None:
    await grow(ledger.store)
    witness = await ledger.witness()
    await witness.look(LOG)
    stranger = SigningKey.open(tmp_path, "stranger")
    ledger.store.ledger._heads._key = stranger
    await grow(ledger.store, 1)
    assert await witness.look(LOG)
    [evidence] = (await ledger.call(OPERATOR, "ListForkEvidence", pb.ListForkEvidenceRequest())).evidence
    assert evidence.kind == ledger_pb2.FORK_KIND_KEY


async def test_a_ledger_that_can_not_prove_what_it_signed_is_refused(ledger: Watched) -> None:
    await grow(ledger.store)
    witness = await ledger.witness()
    await witness.look(LOG)
    payload = canonical({"log": LOG, "root": "ab" * 32, "size": 9, "time": rfc3339(ledger.clock())})
    jws = ledger.store.ledger._heads._key.sign_jws(payload, {"typ": HEAD_TYPE})
    async with ledger.store.transaction() as tx:
        head = SignedHead(LOG, 9, b"\xab" * 32, ledger.clock(), jws)
        await ledger.store.ledger._rows.add_head(tx, head)
    assert await witness.look(LOG)
    [evidence] = (await ledger.call(OPERATOR, "ListForkEvidence", pb.ListForkEvidenceRequest())).evidence
    assert evidence.kind == ledger_pb2.FORK_KIND_INCONSISTENT


async def test_evidence_is_told_again_until_every_other_ledger_has_heard_it(ledger: Watched) -> None:
    away = await ledger.mesh.stack.enter_async_context(
        Peer.open("127.0.0.1:1", ledger.mesh.identity(SPIFFE_ID), ledger.mesh.telemetry, server_name="other")
    )
    await grow(ledger.store)
    witness = await ledger.witness(HEALTH, other=away)
    await witness.look(LOG)
    await rewrite(ledger)
    found = await witness.look(LOG)
    kept = ledger.folder / f"witness-{HEALTH}" / f"{LOG}.json"
    assert json.loads(kept.read_bytes())["evidence"] == {found: False}
    witness = await ledger.witness(HEALTH, other=await ledger.peer(SPIFFE_ID))
    await witness.look(LOG)
    assert json.loads(kept.read_bytes())["evidence"] == {found: True}
    assert len(await facts(ledger.store, "LedgerForkFound")) == 1


async def test_a_ledger_that_is_away_is_waited_for(ledger: Watched) -> None:
    await grow(ledger.store)
    witness = await ledger.witness()
    await ledger.mesh.server.drain(0.1)
    with pytest.raises(Unavailable):
        await witness.look(LOG)
