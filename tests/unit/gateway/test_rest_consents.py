# SPDX-License-Identifier: Apache-2.0
"""Consents and previews through the public door."""

from typing import Any

from tests.support.gateway_consents import PREVIEW
from tests.support.gateway_door import MOTHER, OTHER, Doorway, doorway
from tests.support.gateway_fake import FakeGateway

BODY = {
    "grantee": "1299010000000102XJ",
    "resource": "307002/000001",
    "purpose": "birth",
    "fields": ["address"],
    "until": "2027-01-31",
}
ONE = f"/api/v1/previews/{PREVIEW.preview_id}"


def keyed(key: str, who: dict[str, str] = MOTHER) -> dict[str, str]:
    return {**who, "Idempotency-Key": key}


async def give(door: Doorway, key: str = "k1", **changes: Any) -> Any:
    return await door.client.post("/api/v1/consents", headers=keyed(key), json={**BODY, **changes})


async def test_a_consent_is_given_listed_and_withdrawn() -> None:
    async with doorway() as door:
        given = await give(door)
        assert given.status_code == 201
        consent = given.json()
        assert consent["grantee"]["name"] == {"zh": "安和医院", "en": "Anhe Hospital"}
        assert consent["expires"] == "2027-01-31T16:00:00.000Z"
        assert consent["withdrawn"] is None
        listed = (await door.client.get("/api/v1/consents", headers=MOTHER)).json()
        assert [each["consent_id"] for each in listed["consents"]] == [consent["consent_id"]]
        address = f"/api/v1/consents/{consent['consent_id']}/withdraw"
        for _ in range(2):
            withdrawn = await door.client.post(address, headers=keyed("k2"))
            assert withdrawn.json()["withdrawn"]
        again = await door.client.post(address, headers=keyed("k3"))
        assert (again.status_code, again.json()["reason"]) == (409, "CONSENT_WITHDRAWN")


async def test_the_same_key_is_the_same_consent_and_another_body_is_refused() -> None:
    async with doorway() as door:
        assert (await give(door)).json() == (await give(door)).json()
        other = await give(door, purpose="school")
        assert (other.status_code, other.json()["reason"]) == (409, "REQUEST_ID_REUSED")


async def test_somebody_elses_consent_is_not_found() -> None:
    async with doorway() as door:
        consent_id = (await give(door)).json()["consent_id"]
        response = await door.client.post(f"/api/v1/consents/{consent_id}/withdraw", headers=keyed("x", OTHER))
        assert (response.status_code, response.json()["reason"]) == (404, "CONSENT_NOT_FOUND")


async def test_what_breaks_the_contract_names_its_field() -> None:
    async with doorway() as door:
        for changes, field in (
            ({"until": "2027-02-31"}, "until"),
            ({"until": 7}, "until"),
            ({"fields": []}, "fields"),
            ({"grantee": "x"}, "grantee"),
            ({"more": 1}, "more"),
        ):
            response = await give(door, **changes)
            assert response.status_code == 400
            assert [one["field"] for one in response.json()["violations"]] == [field]
        response = await door.client.post("/api/v1/consents", headers=MOTHER, json=BODY)
        assert response.status_code == 400


async def test_what_was_shown_is_confirmed_by_its_token() -> None:
    async with doorway() as door:
        (waiting,) = (await door.client.get("/api/v1/previews", headers=MOTHER)).json()["previews"]
        assert (waiting["state"], "values" in waiting) == ("pending", False)
        first = (await door.client.get(ONE, headers=MOTHER)).json()
        seen = await door.client.get(ONE, headers=MOTHER)
        assert seen.headers["cache-control"] == "no-store"
        assert seen.json()["values"] == {"address": "1 Spring Lane"}
        stale = await door.client.post(f"{ONE}/confirm", headers=keyed("1"), json={"token": first["token"]})
        assert (stale.status_code, stale.json()["reason"]) == (409, "PREVIEW_TOKEN_INVALID")
        done = await door.client.post(f"{ONE}/confirm", headers=keyed("2"), json={"token": seen.json()["token"]})
        assert done.json()["state"] == "confirmed"
        after = (await door.client.get(ONE, headers=MOTHER)).json()
        assert (after["values"], after["token"]) == (None, "")


async def test_what_is_declined_stays_so() -> None:
    async with doorway() as door:
        assert (await door.client.post(f"{ONE}/decline", headers=keyed("1"))).json()["state"] == "declined"
        late = await door.client.post(f"{ONE}/confirm", headers=keyed("2"), json={"token": "x"})
        assert (late.status_code, late.json()["reason"]) == (409, "PREVIEW_NOT_PENDING")


async def test_both_need_a_resident() -> None:
    async with doorway() as door:
        assert isinstance(door.gateway, FakeGateway)
        for address in ("/api/v1/consents", "/api/v1/previews", ONE):
            assert (await door.client.get(address)).status_code == 401
