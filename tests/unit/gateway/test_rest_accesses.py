# SPDX-License-Identifier: Apache-2.0
"""Who used my data, filtered, one by one, hidden and counted; and the same through the door of Estonia's Data Tracker."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from services.gateway.service import NarrowAccesses
from tests.support.gateway_door import MOTHER, doorway
from tests.support.gateway_fake import ACCESS, NOW
from tests.support.vectors import vectors

MINE = {**MOTHER, "X-Road-UserId": "mother"}


async def test_a_list_is_narrowed_by_what_the_address_says() -> None:
    async with doorway() as door:
        query = {
            "from": "2026-11-01T00:00:00Z",
            "to": "2026-12-01T08:00:00+08:00",
            "agency": "11990100000001046G",
            "resource": "307002/000001",
            "purpose": "birth",
            "outcome": "answered",
        }
        answer = await door.client.get("/api/v1/accesses", headers=MOTHER, params=query)
        assert answer.status_code == 200
        assert door.gateway.narrowed == [
            NarrowAccesses(
                datetime(2026, 11, 1, tzinfo=UTC),
                datetime(2026, 12, 1, tzinfo=UTC),
                "11990100000001046G",
                "307002/000001",
                "birth",
                "answered",
            )
        ]
        for wrong in ({"from": "yesterday"}, {"from": "0.5"}, {"since": "2026-11-01T00:00:00Z"}, {"agency": "x" * 19}):
            refused = await door.client.get("/api/v1/accesses", headers=MOTHER, params=wrong)
            assert refused.status_code == 400, wrong


async def test_an_entry_says_in_words_who_for_what_and_how_it_came_out() -> None:
    async with doorway() as door:
        body = (await door.client.get("/api/v1/accesses", headers=MOTHER)).json()
        entry = body["accesses"][0]
        assert entry["asked_by"]["name"] == {"zh": "平台服务", "en": "The platform"}
        assert entry["on_behalf_of"]["name"]["zh"]
        assert entry["field_names"] == [{"name": "name", "title": {"zh": "姓名", "en": "Name"}}]
        assert entry["purpose_name"]["en"] == "Birth of a child"
        assert entry["outcome_name"]["zh"] == "已答复"


async def test_what_an_order_hides_is_counted_and_proven_and_nothing_more() -> None:
    async with doorway() as door:
        body = (await door.client.get("/api/v1/accesses", headers=MOTHER)).json()
        assert (body["total"], body["hidden"]) == (2, 1)
        hidden = body["accesses"][1]
        assert hidden["withheld"]["reason"] == "hidden"
        assert hidden["withheld"]["order_id"]
        assert hidden["withheld"]["ends"]
        assert hidden["time"] is hidden["asked_by"] is hidden["on_behalf_of"] is None
        assert hidden["proof"]["body"] == ""
        assert len(hidden["proof"]["leaf_hash"]) == 64
        assert hidden["proof"]["path"]


async def test_one_entry_is_read_by_ledger_and_index() -> None:
    async with doorway() as door:
        one = await door.client.get(f"/api/v1/accesses/{ACCESS.log}/{ACCESS.index}", headers=MOTHER)
        assert one.json()["proof"]["head"]["cosignatures"] == []
        another = await door.client.get("/api/v1/accesses/exchange/1", headers=MOTHER)
        assert another.status_code == 404
        for wrong in ("/api/v1/accesses/registers/1", "/api/v1/accesses/exchange/-1", "/api/v1/accesses/exchange/x"):
            assert (await door.client.get(wrong, headers=MOTHER)).status_code in {400, 404}


async def test_forks_are_shown_to_everybody() -> None:
    async with doorway() as door:
        found = (await door.client.get("/.well-known/ledger-forks.json")).json()["forks"]
        assert [(one["log"], one["kind"]) for one in found] == [("licenses", "forked")]


async def test_the_data_tracker_gives_uses_page_by_page() -> None:
    async with doorway() as door:
        path = "/data-tracker/v2/findUsage"
        every = (await door.client.get(path, headers=MINE, params={"userCode": "mother"})).json()
        assert every["totalUsages"] == len(every["usages"]) == 5
        some = (
            await door.client.get(
                path,
                headers=MINE,
                params={"userCode": "mother", "offset": "2", "limit": "2", "periodStart": "2021-01-31T10:20:30Z"},
            )
        ).json()
        assert (some["totalUsages"], some["usages"]) == (5, every["usages"][2:4])
        assert door.gateway.narrowed[-1].from_time == datetime(2021, 1, 31, 10, 20, 30, tzinfo=UTC)
        usage = every["usages"][0]
        assert usage["receiverCode"] == ACCESS.on_behalf_of.uscc if ACCESS.on_behalf_of else ""
        assert "身份核验" in usage["action"]
        assert "Verification of identity" in usage["action"]


async def test_the_data_tracker_answers_for_oneself_alone() -> None:
    async with doorway() as door:
        path = "/data-tracker/v2/findUsage"
        for headers, code in (
            (MINE, "other"),
            ({**MINE, "X-Road-UserId": "other"}, "mother"),
            ({**MINE, "X-Road-UserId": "other"}, "other"),
            (MOTHER, "mother"),
        ):
            refused = await door.client.get(path, headers=headers, params={"userCode": code})
            assert refused.status_code == 400
        nobody = await door.client.get(path, headers={"X-Road-UserId": "mother"}, params={"userCode": "mother"})
        assert nobody.status_code == 401


async def test_a_heartbeat_says_what_fails() -> None:
    async with doorway() as door:
        path = "/data-tracker/v2/heartbeat"
        assert (await door.client.get(path)).json() == {"status": "OK", "message": "API is ready"}
        door.failing["exchange"] = "does not answer"
        assert (await door.client.get(path)).json()["status"] == "FAIL"
        period = (await door.client.get("/data-tracker/v2/usagePeriod")).json()
        assert datetime.fromisoformat(period["periodStart"]) == NOW


@pytest.mark.parametrize("operation", ["findUsage", "usagePeriod", "heartbeat"])
async def test_the_data_tracker_keeps_to_the_document_of_the_original(operation: str) -> None:
    text = (vectors("andmejalgija") / "dumonitor-openapi.yaml").read_text(encoding="utf-8")
    theirs: dict[str, Any] = yaml.safe_load(text)
    [(path, asked)] = [
        (path, methods["get"])
        for path, methods in theirs["paths"].items()
        if methods["get"]["operationId"] == operation
    ]
    async with doorway() as door:
        ours = (await door.client.get("/openapi.json")).json()["paths"][f"/data-tracker{path}"]["get"]
        for parameter in asked.get("parameters", ()):
            [own] = [each for each in ours["parameters"] if each["name"].lower() == parameter["name"].lower()]
            assert own["in"] == parameter["in"]
            assert own["required"] == parameter["required"]
            schema = own["schema"].get("anyOf", [own["schema"]])[0]
            assert schema["type"] == parameter["schema"]["type"]
            assert schema.get("format", "") in {parameter["schema"].get("format", ""), ""}
            if "default" in parameter["schema"]:
                assert own["schema"]["default"] == parameter["schema"]["default"]
        query = {"userCode": "mother"} if operation == "findUsage" else {}
        answer = await door.client.get(f"/data-tracker{path}", headers=MINE, params=query)
        assert answer.status_code == 200
        schema = asked["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": theirs["components"]}, format_checker=FormatChecker()).validate(
            answer.json()
        )
