# SPDX-License-Identifier: Apache-2.0
"""Disputing a value at the public door."""

import pytest

from tests.support.gateway_door import MOTHER, OTHER, doorway
from tests.support.gateway_fake import CORRECTION

ASKED = {
    "resource": CORRECTION.resource,
    "field": "address",
    "claimed": "2 Autumn Road",
    "grounds": "We moved.",
    "proofs": [{"kind": "document", "reference": "6b" * 32}],
}
KEY = {**MOTHER, "idempotency-key": "k-1"}


async def test_a_resident_disputes_a_value_and_learns_by_when_it_is_answered_and_how_that_was_counted() -> None:
    async with doorway() as door:
        response = await door.client.post("/api/v1/corrections", json=ASKED, headers=KEY)
        assert response.status_code == 201, response.text
        body = response.json()
        assert response.headers["location"] == f"/api/v1/corrections/{body['correction_id']}"
        assert (body["field"], body["state"], body["due"]) == ("address", "open", "2026-12-07T02:10:00.000Z")
        assert set(body["derivation"][0]) == {"zh", "en"}
        read = await door.client.get(response.headers["location"], headers=MOTHER)
        assert read.json() == body


async def test_a_list_shows_no_word_of_what_is_disputed() -> None:
    async with doorway() as door:
        (row,) = (await door.client.get("/api/v1/corrections", headers=MOTHER)).json()["corrections"]
        assert not {"claimed", "grounds", "proofs", "explanation"} & set(row)


async def test_the_same_key_with_another_claim_is_refused_and_anothers_key_is_another() -> None:
    async with doorway() as door:
        await door.client.post("/api/v1/corrections", json=ASKED, headers=KEY)
        again = await door.client.post("/api/v1/corrections", json={**ASKED, "claimed": "x"}, headers=KEY)
        assert (again.status_code, again.json()["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")
        other = await door.client.post(
            "/api/v1/corrections", json={**ASKED, "claimed": "x"}, headers={**OTHER, "idempotency-key": "k-1"}
        )
        assert other.status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"proofs": []},
        {"proofs": [{"kind": "rumor", "reference": "6b" * 32}]},
        {"proofs": [{"kind": "license", "reference": "short"}]},
        {"grounds": ""},
        {"grounds": "x" * 1001},
        {"field": "No Field"},
        {"subject": "somebody else"},
    ],
)
async def test_a_claim_that_breaks_the_contract_is_refused_without_its_words(changes: dict[str, object]) -> None:
    async with doorway() as door:
        response = await door.client.post("/api/v1/corrections", json={**ASKED, **changes}, headers=KEY)
        assert (response.status_code, response.json()["reason"]) == (400, "REQUEST_INVALID")
        assert "Autumn" not in response.text


async def test_an_unknown_resource_or_correction_is_not_found_and_nobody_comes_without_a_token() -> None:
    async with doorway() as door:
        unknown = await door.client.post("/api/v1/corrections", json={**ASKED, "resource": "1/1"}, headers=KEY)
        assert (unknown.status_code, unknown.json()["reason"]) == (404, "RESOURCE_NOT_FOUND")
        none = await door.client.get("/api/v1/corrections/6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52", headers=MOTHER)
        assert (none.status_code, none.json()["reason"]) == (404, "CORRECTION_NOT_FOUND")
        assert (await door.client.post("/api/v1/corrections", json=ASKED)).status_code == 401


async def test_a_correction_can_be_withdrawn() -> None:
    async with doorway() as door:
        address = f"/api/v1/corrections/{CORRECTION.correction_id}/withdraw"
        response = await door.client.post(address, headers=KEY)
        assert (response.status_code, response.json()["state"]) == (200, "withdrawn")
