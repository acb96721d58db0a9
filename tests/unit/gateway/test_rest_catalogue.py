# SPDX-License-Identifier: Apache-2.0
"""Matters, licenses, accesses, personas, health, and the contract itself."""

import hashlib
from typing import Any

from openapi_spec_validator import validate

from tests.support.gateway_door import MOTHER, doorway
from tests.support.gateway_fake import LICENSE

OPEN = {
    "/.well-known/jwks.json",
    "/.well-known/ledger-forks.json",
    "/.well-known/ledger-keys.json",
    "/.well-known/oauth-authorization-server",
    "/api/v1/matters",
    "/api/v1/matters/{code}",
    "/api/v1/opendata/datasets",
    "/api/v1/opendata/datasets/{dataset}",
    "/api/v1/opendata/datasets/{dataset}/releases",
    "/api/v1/opendata/datasets/{dataset}/releases/{version}/{file}",
    "/api/v1/opendata/{catalog}",
    "/api/v1/sandbox/personas",
    "/api/v1/statistics",
    "/data-tracker/v2/heartbeat",
    "/data-tracker/v2/usagePeriod",
    "/healthz",
    "/oauth/token",
    "/readyz",
}


async def test_matters_need_no_token() -> None:
    async with doorway() as door:
        listed = (await door.client.get("/api/v1/matters")).json()["matters"]
        assert [matter["code"] for matter in listed] == ["birth"]
        one = await door.client.get("/api/v1/matters/birth")
        assert one.json() == listed[0]
        assert one.json()["fields"][0]["title"] == {"zh": "字段", "en": "Field"}
        none = await door.client.get("/api/v1/matters/nothing")
        assert (none.status_code, none.json()["reason"]) == (404, "MATTER_NOT_FOUND")


async def test_a_license_shows_its_credential_only_by_itself() -> None:
    async with doorway() as door:
        listed = (await door.client.get("/api/v1/licenses", headers=MOTHER)).json()["licenses"]
        assert "credential" not in listed[0]
        one = (await door.client.get(f"/api/v1/licenses/{LICENSE.license_id}", headers=MOTHER)).json()
        assert one["credential"] == "eyJ.eyJ.sig~d1~"
        assert one["attributes"] == {"child_name": "安宁"}
        assert {name: one[name] for name in listed[0]} == listed[0]
        none = await door.client.get("/api/v1/licenses/6f0c6f9e-6b1c-4a54-9a43-2f3a5f4f0b52", headers=MOTHER)
        assert (none.status_code, none.json()["reason"]) == (404, "LICENSE_NOT_FOUND")


async def test_an_access_comes_with_what_proves_it_and_a_list_says_what_it_lacks() -> None:
    async with doorway() as door:
        body = (await door.client.get("/api/v1/accesses", headers=MOTHER)).json()
        assert body["missing"] == ["exchange"]
        proof = body["accesses"][0]["proof"]
        assert proof["leaf_hash"] == hashlib.sha256(b"\x00" + proof["body"].encode()).hexdigest()
        assert proof["path"] == ["01" * 32]
        assert proof["head"]["root_hash"] == "02" * 32
        assert proof["head"]["jws"]


async def test_personas_of_the_sandbox_have_samples() -> None:
    async with doorway() as door:
        personas = (await door.client.get("/api/v1/sandbox/personas")).json()["personas"]
        assert personas[0]["key"] == "mother-1"
        assert personas[0]["samples"]["birth"] == {"child_sex": "female"}


async def test_health_is_alive_and_readiness_names_what_fails() -> None:
    async with doorway() as door:
        assert (await door.client.get("/healthz")).json() == {"status": "ok", "failing": {}}
        assert (await door.client.get("/readyz")).json() == {"status": "ok", "failing": {}}
        door.failing["identity"] = "does not answer"
        response = await door.client.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {"status": "not_ready", "failing": {"identity": "does not answer"}}
        assert (await door.client.get("/healthz")).status_code == 200


async def test_the_contract_is_valid_and_every_operation_is_described() -> None:
    async with doorway() as door:
        document = (await door.client.get("/openapi.json")).json()
        validate(document)
        assert document["openapi"].startswith("3.1")
        problem = {"$ref": "#/components/schemas/Problem"}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                assert operation["summary"], (path, method)
                assert operation["description"], (path, method)
                for status, answer in operation["responses"].items():
                    if status.startswith(("4", "5")) and path not in {"/oauth/token", "/readyz"}:
                        assert answer["content"]["application/problem+json"]["schema"] == problem, (
                            path,
                            method,
                            status,
                        )
        assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
        assert open_to_everybody(document) == OPEN


def open_to_everybody(document: dict[str, Any]) -> set[str]:
    """Addresses that need no token: everything else does, whatever is added."""
    return {
        path
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if not operation.get("security")
    }


async def test_the_docs_page_needs_nothing_from_elsewhere() -> None:
    async with doorway() as door:
        page = await door.client.get("/docs")
        assert "//" not in page.text.replace("<!DOCTYPE", "")
        for path in ("/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"):
            asset = await door.client.get(path)
            assert asset.status_code == 200
            assert asset.content
        assert (await door.client.get("/docs/../door.py")).status_code == 404
        assert (await door.client.get("/")).headers["location"] == "docs"
