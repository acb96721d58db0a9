# SPDX-License-Identifier: Apache-2.0
"""A resident and an auditor hold the ledgers to account: names, filters, witnesses, an order of two officers, an offline proof."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tongban.ledger.v1 import ledger_service_pb2 as pb
from tongban.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

from services.cli.demo.proofs import check_access
from services.cli.demo.resident import Resident
from services.kit.certificates import read_certificate
from services.kit.errors import RemoteRefusal
from services.kit.ids import new_id
from services.kit.ledger.export import export
from services.kit.ledger.verify import verify_export
from tests.support.eventually import eventually
from tests.support.system import System

MARRIAGES = "307001/000001"
HOSPITAL = "1299010000000102XJ"
PLATFORM = "spiffe://tongban/operator/platform"
SECOND = "spiffe://tongban/operator/second-officer"
WITNESS_SECONDS = 90


async def read(mother: Resident, path: str) -> Any:
    answer = await mother.send("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def asked(system: System, who: str, method: str, request: Any) -> Any:
    async with system.peer("exchange", who) as peer:
        return await peer.call(getattr(peer.stub(LedgerServiceStub), method), request, timeout_seconds=30)


async def test_a_resident_reads_who_asked_in_words_and_finds_one_use_again(system: System) -> None:
    async with system.resident("mother-1") as mother:
        await mother.create("birth", {})
        since = datetime.now(UTC) - timedelta(hours=1)
        query = f"resource={MARRIAGES}&outcome=answered&agency={HOSPITAL}&from={since:%Y-%m-%dT%H:%M:%SZ}"
        page = await read(mother, f"/api/v1/accesses?{query}")
        used = page["accesses"][0]
        assert {each["resource"] for each in page["accesses"]} == {MARRIAGES}
        assert used["resource_name"]["zh"] != MARRIAGES != used["resource_name"]["en"]
        assert used["on_behalf_of"]["name"]["zh"] == "通办市妇幼保健院"
        assert used["asked_by"]["kind"] == "self"
        assert all(each["title"]["zh"] != each["name"] for each in used["field_names"])
        assert page["total"] > len(page["accesses"])
        keys = await read(mother, "/.well-known/ledger-keys.json")

        async def witnessed() -> bool:
            one = await read(mother, f"/api/v1/accesses/exchange/{used['index']}")
            check_access(one, keys)
            return len(one["proof"]["head"]["cosignatures"]) == 2

        await eventually(witnessed, seconds=WITNESS_SECONDS)
        assert (await read(mother, "/.well-known/ledger-forks.json"))["forks"] == []
        assert (await read(mother, "/data-tracker/v2/heartbeat"))["status"] == "OK"


async def test_an_order_of_two_officers_hides_and_shows_again_and_every_proof_holds_offline(
    system: System, tmp_path: Path
) -> None:
    async with system.resident("mother-2") as mother:
        await mother.create("birth", {})
        before = await read(mother, "/api/v1/accesses?page_size=200")
        mine = [each for each in before["accesses"] if each["log"] == "exchange"]
        subject = mother_id(mine)
        assert subject
        order = pb.CreateHidingOrderRequest(
            request_id=new_id(),
            subject_id=own_subject(mother),
            agency=HOSPITAL,
            ground="Criminal Procedure Law art. 152",
            end_told=True,
        )
        order.end_time.FromDatetime(datetime.now(UTC) + timedelta(days=3))
        made = (await asked(system, PLATFORM, "CreateHidingOrder", order)).order
        signing = pb.CountersignHidingOrderRequest(request_id=new_id(), order_id=made.order_id)
        with pytest.raises(RemoteRefusal) as refusal:
            await asked(system, PLATFORM, "CountersignHidingOrder", signing)
        assert refusal.value.reason == "SAME_OFFICER"
        await asked(system, SECOND, "CountersignHidingOrder", signing)
        during = await read(mother, "/api/v1/accesses?page_size=200")
        hidden = [each for each in during["accesses"] if each["withheld"]]
        assert during["hidden"] == len(hidden) >= 2
        assert {each["withheld"]["order_id"] for each in hidden} == {made.order_id}
        assert not any(each["on_behalf_of"] for each in hidden)
        lifting = pb.LiftHidingOrderRequest(request_id=new_id(), order_id=made.order_id, ground="closed")
        await asked(system, SECOND, "LiftHidingOrder", lifting)
        after = await read(mother, "/api/v1/accesses?page_size=200")
        assert after["hidden"] == 0
        assert {"ledger.countersign", "ledger.lift"} <= {each["operation"] for each in after["accesses"]}
    path = tmp_path / "exchange.jsonl"
    async with system.peer("exchange", PLATFORM) as peer:
        await export(peer, path)
    report = verify_export(path, root=read_certificate(system.folder.pki / "ca.crt"), subject=subject)
    assert report.holds, report.findings
    assert report.about == sum(each["log"] == "exchange" for each in after["accesses"])


def mother_id(accesses: list[Any]) -> str:
    """The pseudonym that every leaf about a resident carries."""
    [subject] = {json.loads(each["proof"]["body"])["subject"] for each in accesses}
    return str(subject)


def own_subject(mother: Resident) -> str:
    """The subject id in the resident's own token."""
    payload = mother.authorization.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])
