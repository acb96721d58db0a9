# SPDX-License-Identifier: Apache-2.0
"""Tampering with real rows, as the operator with full database access and the signing key: what nobody finds fails the test."""

import contextlib
import json
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from joserfc.jwk import ECKey

from services.kit.caller import acting_as
from services.kit.certificates import CertificateAuthority, Identity
from services.kit.ledger import merkle
from services.kit.ledger.export import export
from services.kit.ledger.statements import StatementInvalid, open_head
from services.kit.ledger.verify import verify_export
from services.kit.ledger.witness import Witness
from services.kit.rpc.peer import Peer
from tests.support.ledger_door import AGENCY, LOG, InProcess, access
from tests.support.ledger_tampering import AFTERWARDS, LEAVES, OTHERS, tamper
from tests.support.probe import Probe, opened

WITNESS = "spiffe://tongban/agency/11990100000001011X"
COVERED = 37
ROUNDS = 6
"""Times that each deed is done, with other places, with each way to hide it."""


class World:
    """A ledger of some leaves that a witness has signed, with some more behind; copied for each deed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = CertificateAuthority.open(folder / "pki")
        authority.ensure(WITNESS)
        self.identity = Identity.open(folder / "pki", WITNESS)
        self.root = x509.load_pem_x509_certificate((folder / "pki" / "ca.crt").read_bytes())
        self.now = datetime.now(UTC)

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    @contextlib.asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[Probe]:
        database = f"sqlite:///{self.folder / name}/probe.sqlite"
        async with opened(database, self.folder / name / "keys", self.clock) as store:
            yield store

    def peer(self, store: Probe) -> Peer:
        certificate = (self.identity.folder / "tls.crt").read_bytes()
        return InProcess(store, WITNESS, certificate)  # type: ignore[return-value] # as much of a peer as is asked for

    def witness(self, store: Probe, name: str) -> Witness:
        peers = {LOG: self.peer(store)}
        return Witness(peers, self.identity, self.folder / name / "witness", clock=self.clock)

    async def make(self, covered: int) -> None:
        async with self.opened("honest") as store:
            with acting_as(AGENCY):
                for index in range(covered):
                    await store.ledger.append(access(case_id=f"case-{index}"))
                    if index % 11 == 0:
                        await store.ledger.head()
                assert await self.witness(store, "honest").look(LOG) == ""
                await export(self.peer(store), self.folder / "honest" / "probe.jsonl")

    def copy(self, name: str) -> None:
        shutil.copytree(self.folder / "honest", self.folder / name)


async def found_by(world: World, name: str) -> set[str]:
    """Who finds something wrong; nobody where it is empty."""
    try:
        async with world.opened(name) as store:
            with acting_as(AGENCY):
                for turn in ("as it stands", "after one more leaf"):
                    if turn == "after one more leaf":
                        await store.ledger.append(access())
                    if finders := await _look(world, store, name):
                        return finders
    except (AssertionError, pytest.fail.Exception):
        raise
    except Exception:  # noqa: BLE001 - a ledger that breaks in whatever way is one that nobody takes for whole
        return {"the ledger stops"}
    return set()


async def _look(world: World, store: Probe, name: str) -> set[str]:
    found: set[str] = set()
    kept = [
        str(json.loads(line)["head"])
        for line in (world.folder / "honest" / "probe.jsonl").read_text(encoding="utf-8").splitlines()
        if line.startswith('{"head"')
    ]
    path = world.folder / name / "probe.jsonl"
    await export(world.peer(store), path, other_heads=kept)
    known = json.loads((world.folder / "honest" / "witness" / "probe.json").read_bytes())["key"]
    if not verify_export(path, trusted_key=known, root=world.root).holds:
        found.add("verifier")
    if await world.witness(store, name).look(LOG):
        found.add("witness")
    if found:
        return found
    _, size = await store.ledger.leaves(0, 1000)
    key = ECKey.import_key(known)
    for index in range(size):
        proven = await store.ledger.inclusion(index)
        try:
            head = open_head(proven.head.jws, key)
        except StatementInvalid:
            return {"holder of a proof"}
        leaf = merkle.leaf_hash(proven.leaf.body)
        if (head.size, head.root) != (proven.head.tree_size, proven.head.root_hash) or not merkle.verify_inclusion(
            leaf, index, head.size, proven.path, head.root
        ):
            return {"holder of a proof"}
    return found


async def test_whatever_the_operator_does_to_rows_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path)
    await world.make(COVERED)
    deeds = [(deed, how) for deed in LEAVES for how in AFTERWARDS] + [(deed, "nothing") for deed in OTHERS]
    finders: Counter[str] = Counter()
    missed: list[str] = []
    for number, (deed, how, round_) in enumerate((*each, turn) for each in deeds for turn in range(ROUNDS)):
        name = f"deed-{number}"
        world.copy(name)
        tamper(
            world.folder / name / "probe.sqlite",
            world.folder / name / "keys",
            deed,
            how,
            random.Random(number),
            covered=COVERED,
        )
        world.now += timedelta(minutes=5)
        found = await found_by(world, name)
        finders[" and ".join(sorted(found))] += 1
        if how.startswith("signed anew"):
            assert found == {"verifier", "witness"}, (deed, how)
        if not found:
            missed.append(f"{deed}, then {how}, round {round_}")
        shutil.rmtree(world.folder / name)
    with capsys.disabled():
        print(f"\ntampering: {finders.total()} deeds, {len(missed)} not found; found by {dict(finders.most_common())}")
    assert missed == []


async def test_an_honest_ledger_raises_no_alarm(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.make(COVERED)
    world.copy("copy")
    assert await found_by(world, "copy") == set()
