# SPDX-License-Identifier: Apache-2.0
"""A resident's journey: what a department said about me is wrong; it is put right wherever it went."""

from typing import Any

from google.protobuf.message import Message
from tongban.exchange.v1 import corrections_pb2 as nouns
from tongban.exchange.v1 import corrections_service_pb2 as pb
from tongban.exchange.v1.corrections_service_pb2_grpc import CorrectionServiceStub

from services.kit.ids import new_id
from tests.support.eventually import eventually
from tests.support.system import System

MARRIAGES = "307001/000001"
CIVIL_AFFAIRS = "spiffe://tongban/agency/11990100000001054B"
HOSPITAL = "spiffe://tongban/agency/1299010000000102XJ"
RIGHT = "改名后的配偶"


async def asked(system: System, who: str, method: str, request: Message) -> Any:
    async with system.peer("exchange", who) as peer:
        return await peer.call(getattr(peer.stub(CorrectionServiceStub), method), request)


async def test_a_wrong_value_is_disputed_confirmed_and_called_back(system: System) -> None:
    async with system.resident("mother-1") as mother:
        draft = await mother.create("birth", {})
        used = next(
            each for each in await mother.accesses() if each["case_id"] == draft["id"] and each["resource"] == MARRIAGES
        )
        assert "spouse_name" in used["fields"]
        dispute = {
            "resource": used["resource"],
            "field": "spouse_name",
            "claimed": RIGHT,
            "grounds": "配偶已更名。",
            "proofs": [{"kind": "document", "reference": "6b" * 32}],
        }
        key = {"idempotency-key": new_id()}
        first = await mother.send("POST", "/api/v1/corrections", dispute, headers=key)
        again = await mother.send("POST", "/api/v1/corrections", dispute, headers=key)
        other = await mother.send("POST", "/api/v1/corrections", {**dispute, "claimed": "x"}, headers=key)
        assert first.status_code == again.status_code == 201, first.text
        assert (other.status_code, other.json()["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")
        opened = first.json()
        assert again.json()["correction_id"] == opened["correction_id"]
        assert (opened["state"], opened["provider"]["role"]) == ("open", "civil_affairs")
        assert opened["derivation"][-1]["zh"].startswith("于 ")
        async with system.resident("father-1") as father:
            foreign = await father.send("GET", f"/api/v1/corrections/{opened['correction_id']}")
            assert (foreign.status_code, foreign.json()["reason"]) == (404, "CORRECTION_NOT_FOUND")

        meanwhile = await mother.create("birth", {})
        shown = {each["name"]: each["disputed"] for each in meanwhile["prefilled"]}
        assert (shown["father_name"], shown["father_number"], shown["mother_name"]) == (True, False, False)
        served = await mother.send("PATCH", f"/api/v1/cases/{meanwhile['id']}", {"answers": {"father_name": RIGHT}})
        assert served.status_code == 200, served.text
        await mother.send("DELETE", f"/api/v1/cases/{meanwhile['id']}")

        wanted = pb.GetCorrectionRequest(correction_id=opened["correction_id"])
        seen = (await asked(system, CIVIL_AFFAIRS, "GetCorrection", wanted)).correction
        assert (seen.claimed, len(seen.subject_key)) == (RIGHT, 18)
        confirm = pb.ConfirmCorrectionRequest(
            request_id=new_id(), correction_id=opened["correction_id"], explanation="已更正。"
        )
        confirmed = (await asked(system, CIVIL_AFFAIRS, "ConfirmCorrection", confirm)).correction
        assert confirmed.receivers >= 1

        async def flagged() -> bool:
            entries = (await mother.get(f"/api/v1/cases/{draft['id']}/timeline"))["entries"]
            return "value_corrected" in [entry["kind"] for entry in entries]

        await eventually(flagged, seconds=20)
        recalls = (await asked(system, HOSPITAL, "ListRecalls", pb.ListRecallsRequest())).recalls
        recall = next(each for each in recalls if each.correction_id == opened["correction_id"])
        done = pb.AcknowledgeRecallRequest(
            request_id=new_id(), correction_id=recall.correction_id, measure=nouns.RECALL_MEASURE_CORRECTED
        )
        await asked(system, HOSPITAL, "AcknowledgeRecall", done)
        after = await mother.get(f"/api/v1/corrections/{opened['correction_id']}")
        assert (after["state"], after["explanation"], after["acknowledged"]) == ("confirmed", "已更正。", 1)
        listed = (await mother.get("/api/v1/corrections"))["corrections"]
        assert opened["correction_id"] in [each["correction_id"] for each in listed]
        await mother.send("DELETE", f"/api/v1/cases/{draft['id']}")
    assert RIGHT not in system.logs()
