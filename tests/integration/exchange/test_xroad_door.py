# SPDX-License-Identifier: Apache-2.0
"""An X-Road client at the door: httpx as the specification says, with an agency's certificate, and no code of ours.

Sections are those of PR-REST 1.0.4 (messages), PR-MREST 0.5 and PR-META (services of services).
"""

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator
from tongban.exchange.v1 import corrections_pb2, corrections_service_pb2
from tongban.exchange.v1 import exchange_service_pb2 as pb
from tongban.identity.v1 import identity_pb2, identity_service_pb2

from services.exchange.rest.xroad.door import BODY_BYTES_MAX
from services.kit.certificates import CertificateAuthority
from services.kit.ids import new_id
from services.kit.ledger.access import blinded, canonical, content_digest
from tests.support.exchange_city import (
    ADDRESS,
    HOUSEHOLD,
    NOBODY,
    NUMBER,
    OPERATOR,
    POLICE,
    SUBJECT_ID,
    City,
    city,
    grant_request,
)  # fmt: skip
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile
from tests.support.vectors import vectors

INSTANCE = "CN-990100"
CLIENT = f"{INSTANCE}/GOV/{HOSPITAL}/his"
SERVICE = f"/r1/{INSTANCE}/GOV/{POLICE}/{HOUSEHOLD}"
SUBSYSTEM = f"/r1/{INSTANCE}/GOV/{POLICE}/307002"
HEADERS = {"X-Road-Client": CLIENT, "X-Road-Issue": "birth;990100/x/1", "X-Road-UserId": "CN-clerk-7"}
QUESTION = {"subject": {"number": NUMBER}, "fields": ["address"]}


@pytest.fixture
async def town(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as opened:
        await opened.stock()
        yield opened


@asynccontextmanager
async def client(town: City, who: str = f"agency/{HOSPITAL}", name: str = "tls") -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client with a certificate of the city's authority."""
    town.authority.ensure(f"spiffe://tongban/{who}")
    kinds = {"agency": "agencies", "operator": "operators", "service": "services"}
    kind, _, own = who.partition("/")
    folder = town.folder / "pki" / kinds[kind] / own
    async with client_of(town.folder / "pki" / "ca.crt", folder, town.service.http_port, name) as opened:
        yield opened


@asynccontextmanager
async def client_of(ca: Path, folder: Path | None, port: int, name: str = "tls") -> AsyncIterator[httpx.AsyncClient]:
    context = ssl.create_default_context(cafile=str(ca))
    if folder is not None:
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=context, timeout=30) as opened:
        yield opened


def is_error(response: httpx.Response, kind: str) -> None:
    """4.6: status, header, media type and body of an error of X-Road's own."""
    assert response.headers["x-road-error"] == kind, response.text
    assert response.status_code == (400 if kind.startswith("Client.") else 500)
    assert response.headers["content-type"] == "application/json;charset=utf-8"
    body = response.json()
    assert set(body) == {"type", "message", "detail"}
    assert body["type"] == kind
    assert body["detail"]
    assert "date" in response.headers


def hash_of(response: httpx.Response) -> str:
    """4.3: what the client's own server computes from what was sent, to compare with X-Road-Request-Hash."""
    sent = response.request
    dropped = {"connection", "host", "user-agent", "content-length"}
    lines = [f"{sent.method}\r\n{sent.url.raw_path.decode()}\r\n".encode()]
    lines += [name + b":" + value + b"\r\n" for name, value in sent.headers.raw if name.decode().lower() not in dropped]
    lines.append(f"x-road-request-id:{response.headers['x-road-request-id']}\r\n".encode())
    if "x-road-id" not in sent.headers:
        lines.append(f"x-road-id:{response.headers['x-road-id']}\r\n".encode())
    headers = hashlib.sha512(b"".join(lines)).digest()
    body = sent.content
    whole = hashlib.sha512(headers + hashlib.sha512(body).digest()).digest() if body else headers
    return base64.b64encode(whole).decode()


async def test_a_neighbor_asks_and_gets_what_its_grant_gives(town: City) -> None:
    """4.1, 4.3: the answer of the service, with the headers of the exchange."""
    async with client(town) as neighbor:
        response = await neighbor.post(f"{SERVICE}/query", json=QUESTION, headers={**HEADERS, "X-Road-Id": "m-1"})
    assert response.status_code == 200
    body = response.json()
    assert body["values"] == {"address": ADDRESS}
    assert body["provider"] == POLICE
    assert response.headers["x-road-client"] == CLIENT
    assert response.headers["x-road-service"] == SERVICE.removeprefix("/r1/")
    assert response.headers["x-road-id"] == "m-1"
    assert "x-road-error" not in response.headers
    assert response.headers["x-road-request-hash"] == hash_of(response)
    leaf = (await town.leaves())[body["receipt"]["index"]]
    assert leaf["caller"] == f"agency:{HOSPITAL}"
    assert (leaf["operation"], leaf["purpose"], leaf["case"]) == ("query", "birth", "990100/x/1")
    assert (leaf["resource"], leaf["fields"], leaf["outcome"]) == (HOUSEHOLD, ["address"], "answered")


async def test_the_hash_of_a_request_without_a_body_is_of_its_headers(town: City) -> None:
    """4.3: query parameters count as they were sent, and what we wrote into the message counts."""
    async with client(town) as neighbor:
        response = await neighbor.get(f"{SERVICE}/subjects/{SUBJECT_ID}?fields=address", headers=HEADERS)
    assert response.json()["values"] == {"address": ADDRESS}
    assert response.headers["x-road-request-hash"] == hash_of(response)


async def test_values_are_compared_without_being_told(town: City) -> None:
    async with client(town) as neighbor:
        asked = {"subject": {"number": NUMBER}, "values": {"head_name": "Li Wei"}}
        response = await neighbor.post(f"{SERVICE}/verify", json=asked, headers=HEADERS)
    assert response.json()["matched"] is True
    assert response.json()["fields"] == {"head_name": True}
    assert "Li Wei" not in response.text


async def test_an_answer_tells_what_is_disputed_and_is_provable_by_its_holder(town: City) -> None:
    """docs/ledger.md: whoever has the values and the blinding proves them against the leaf."""
    claim = corrections_service_pb2.OpenCorrectionRequest(
        request_id=new_id(),
        resource=HOUSEHOLD,
        field="address",
        claimed="2 Autumn Road",
        grounds="We moved in March.",
        proofs=[corrections_pb2.CorrectionProof(kind=corrections_pb2.PROOF_KIND_DOCUMENT, reference="a" * 64)],
    )
    await town.call(SUBJECT_ID, "OpenCorrection", claim)
    async with client(town) as neighbor:
        answer = (await neighbor.post(f"{SERVICE}/query", json=QUESTION, headers=HEADERS)).json()
        asked = {"subject": {"number": NUMBER}, "values": {"head_name": "Li Wei"}}
        compared = (await neighbor.post(f"{SERVICE}/verify", json=asked, headers=HEADERS)).json()
    assert (answer["disputed"], compared["disputed"]) == (["address"], [])
    leaves = await town.leaves()
    for body, content in ((answer, answer["values"]), (compared, compared["fields"])):
        leaf, blinding = leaves[body["receipt"]["index"]], bytes.fromhex(body["receipt"]["blinding"])
        assert leaf["digest"] == blinded(content_digest(canonical(content)), blinding)


async def test_a_client_must_be_the_agency_of_its_certificate(town: City) -> None:
    """4.7: mutual TLS; what the header says must be what the certificate proves."""
    async with client(town) as neighbor:
        response = await neighbor.post(
            f"{SERVICE}/query", json=QUESTION, headers={**HEADERS, "X-Road-Client": f"{INSTANCE}/GOV/{POLICE}"}
        )
    is_error(response, "Server.ClientProxy.SslAuthenticationFailed")
    assert await town.leaves() == []


async def test_whoever_shows_no_certificate_of_ours_does_not_get_in(town: City, tmp_path: Path) -> None:
    """4.7."""
    stranger = CertificateAuthority.open(tmp_path / "other").ensure(f"spiffe://tongban/agency/{HOSPITAL}")
    town.authority.issue_signer(HOSPITAL)
    signer = town.folder / "pki" / "signers" / HOSPITAL
    for folder, name in ((None, "tls"), (stranger, "tls"), (signer, "signer")):
        async with client_of(town.folder / "pki" / "ca.crt", folder, town.service.http_port, name) as neighbor:
            with pytest.raises(httpx.TransportError):
                await neighbor.get("/listClients")


@pytest.mark.parametrize("who", ["operator/operator-1", "service/gateway"])
async def test_the_door_is_for_agencies(town: City, who: str) -> None:
    async with client(town, who) as neighbor:
        is_error(await neighbor.get("/listClients"), "Server.ServerProxy.AccessDenied")


async def test_an_agency_that_was_barred_is_no_member(town: City) -> None:
    town.identity.rights[HOSPITAL] = (False, ())
    async with client(town) as neighbor:
        response = await neighbor.post(f"{SERVICE}/query", json=QUESTION, headers=HEADERS)
    is_error(response, "Server.ClientProxy.UnknownMember")


@pytest.mark.parametrize(
    ("path", "headers", "kind"),
    [
        ("/r2/a/b/c/d/e", {}, "Client.BadRequest"),
        ("/somewhere", {}, "Client.BadRequest"),
        (f"{SERVICE}/query", {"X-Road-Client": ""}, "Client.BadRequest"),
        (f"{SERVICE}/query", {"X-Road-Client": "a/b"}, "Client.BadRequest"),
        (f"{SERVICE}/query", {"X-Road-Issue": ""}, "Client.BadRequest"),
        (f"{SERVICE}/query", {"X-Road-Id": "x" * 256}, "Client.BadRequest"),
        (f"/r1/EE/GOV/{POLICE}/307002/000001/query", {}, "Server.ClientProxy.UnknownMember"),
        (f"/r1/{INSTANCE}/GOV/{POLICE}/307002/999999/query", {}, "Server.ServerProxy.UnknownService"),
        (f"/r1/{INSTANCE}/GOV/{HOSPITAL}/{HOUSEHOLD}/query", {}, "Server.ServerProxy.UnknownService"),
        (f"{SERVICE}/query", {"X-Road-Issue": "taxes"}, "Server.ServerProxy.AccessDenied"),
    ],
)
async def test_what_the_protocol_has_a_word_for_is_an_error_of_its_own(
    town: City, path: str, headers: dict[str, str], kind: str
) -> None:
    """4.6."""
    async with client(town) as neighbor:
        sent = {name: value for name, value in {**HEADERS, **headers}.items() if value}
        is_error(await neighbor.post(path, json=QUESTION, headers=sent), kind)


async def test_refused_questions_have_their_leaf(town: City) -> None:
    async with client(town) as neighbor:
        await neighbor.post(f"{SERVICE}/query", json=QUESTION, headers={**HEADERS, "X-Road-Issue": "taxes"})
        await neighbor.post(f"{SERVICE}/query", json={**QUESTION, "fields": ["head_name"]}, headers=HEADERS)
    assert [leaf["outcome"] for leaf in await town.leaves()] == ["PURPOSE_NOT_GRANTED", "FIELD_NOT_GRANTED"]


async def test_codes_of_services_can_not_be_probed(town: City) -> None:
    """Whoever may not read the catalogue sees one refusal, whether the service is there or not."""
    town.identity.rights["119901000000010701"] = (True, ("exchange.query",))
    async with client(town, "agency/119901000000010701") as prober:
        own = {**HEADERS, "X-Road-Client": f"{INSTANCE}/GOV/119901000000010701"}
        for path in (
            SERVICE,
            f"/r1/{INSTANCE}/GOV/{POLICE}/307002/999999",
            f"/r1/{INSTANCE}/GOV/{HOSPITAL}/{HOUSEHOLD}",
        ):
            response = await prober.post(f"{path}/query", json=QUESTION, headers=own)
            is_error(response, "Server.ServerProxy.AccessDenied")
            assert response.json()["message"] == "The agency has no grant on this resource. (NO_GRANT)"


async def test_what_only_the_service_knows_is_the_service_s_own_answer(town: City) -> None:
    """4.6, category 1: no X-Road-Error; the headers of the exchange are there all the same."""
    async with client(town) as neighbor:
        nobody = await neighbor.post(f"{SERVICE}/query", json={"subject": {"number": NOBODY}}, headers=HEADERS)
        wrong = await neighbor.post(f"{SERVICE}/query", json={"subject": {"number": "secret-7"}}, headers=HEADERS)
        nowhere = await neighbor.get(f"{SERVICE}/elsewhere", headers=HEADERS)
        by_number = await neighbor.get(f"{SERVICE}/subjects/{NUMBER}", headers=HEADERS)
    for response, status, reason in (
        (nobody, 404, "NOT_FOUND"),
        (wrong, 400, "REQUEST_INVALID"),
        (nowhere, 404, "NOT_FOUND"),
        (by_number, 404, "NOT_FOUND"),
    ):
        assert (response.status_code, response.json()["reason"]) == (status, reason)
        assert "x-road-error" not in response.headers
        assert response.headers["x-road-request-hash"] == hash_of(response)
    assert "secret-7" not in wrong.text


async def test_a_represented_party_gets_nothing_through_another(town: City) -> None:
    """4.3 gives results to the represented party; Order 809 forbids passing them on, so that only oneself is represented."""
    async with client(town) as neighbor:
        own = await neighbor.post(
            f"{SERVICE}/query", json=QUESTION, headers={**HEADERS, "X-Road-Represented-Party": f"GOV/{HOSPITAL}"}
        )
        other = await neighbor.post(
            f"{SERVICE}/query", json=QUESTION, headers={**HEADERS, "X-Road-Represented-Party": f"GOV/{POLICE}"}
        )
    assert own.status_code == 200
    assert (other.status_code, other.json()["violations"][0]["field"]) == (400, "X-Road-Represented-Party")


async def test_a_provider_that_does_not_answer_is_a_network_error(town: City) -> None:
    """4.6, example 2."""
    (town.folder / "police.sqlite").unlink()
    async with client(town) as neighbor:
        response = await neighbor.post(f"{SERVICE}/query", json=QUESTION, headers=HEADERS)
    is_error(response, "Server.ServerProxy.NetworkError")
    assert response.headers["x-road-id"]


@pytest.mark.parametrize("told", [True, False])
async def test_a_body_of_many_megabytes_is_refused_in_words(town: City, told: bool) -> None:
    """3.1: a message has a greatest size."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    body: Any = b"x" * (4 << 20) if told else stream()
    async with client(town) as neighbor:
        response = await neighbor.post(f"{SERVICE}/query", content=body, headers=HEADERS)
        is_error(response, "Client.BadRequest")
        assert response.headers["connection"] == "close"
        fits = await neighbor.post(f"{SERVICE}/query", content=b" " * BODY_BYTES_MAX, headers=HEADERS)
        assert fits.json()["reason"] == "REQUEST_INVALID"


async def test_requests_on_one_connection_are_not_mixed_up(town: City) -> None:
    """Each answer is tied to its own question, whatever came before on the line."""
    async with client(town) as neighbor:
        for number in range(5):
            response = await neighbor.get(
                f"{SERVICE}/subjects/{SUBJECT_ID}?fields=address", headers={**HEADERS, "X-Road-Id": f"m-{number}"}
            )
            assert response.headers["x-road-id"] == f"m-{number}"
            assert response.headers["x-road-request-hash"] == hash_of(response)


# ---- services of services -------------------------------------------------------------------------------------------


def put_agencies(town: City) -> None:
    async def listed(_request: Any, _context: Any) -> Any:
        agencies = [
            identity_pb2.Agency(uscc=POLICE, name_zh="公安局", active=True),
            identity_pb2.Agency(uscc=HOSPITAL, name_zh="医院", active=True),
            identity_pb2.Agency(uscc="11990100000001054B", name_zh="旧局", active=False),
        ]
        return identity_service_pb2.ListAgenciesResponse(agencies=agencies)

    town.identity.behavior["ListAgencies"] = listed


async def test_members_and_their_subsystems_are_listed(town: City) -> None:
    """PR-META 2, as JSON."""
    put_agencies(town)
    async with client(town) as neighbor:
        listed = (await neighbor.get(f"/listClients?xRoadInstance={INSTANCE}")).json()["member"]
        foreign = await neighbor.get("/listClients?xRoadInstance=EE")
    assert [each["id"] for each in listed] == [
        {"object_type": "MEMBER", "xroad_instance": INSTANCE, "member_class": "GOV", "member_code": POLICE},
        {
            "object_type": "SUBSYSTEM",
            "xroad_instance": INSTANCE,
            "member_class": "GOV",
            "member_code": POLICE,
            "subsystem_code": "307002",
        },
        {"object_type": "MEMBER", "xroad_instance": INSTANCE, "member_class": "GOV", "member_code": HOSPITAL},
    ]
    assert [each["name"] for each in listed] == ["公安局", "公安局", "医院"]
    is_error(foreign, "Server.ClientProxy.UnknownMember")


async def test_the_published_description_of_list_clients_holds(town: City) -> None:
    put_agencies(town)
    schema = yaml.safe_load((vectors("xroad/spec-CC-BY-SA-3.0") / "listClients.openapi.yaml").read_text("utf-8"))
    known = schema["components"]["schemas"]["xroadIdentifier"]["properties"]
    async with client(town) as neighbor:
        listed = (await neighbor.get("/listClients")).json()
    assert set(listed) == {"member"}
    for each in listed["member"]:
        assert set(each) <= set(known)
        assert set(each["id"]) <= set(known["id"]["properties"])
        assert each["id"]["object_type"] in known["id"]["properties"]["object_type"]["enum"]


async def test_services_are_listed_all_and_allowed(town: City) -> None:
    """PR-MREST 4: listMethods, allowedMethods, never the services of services themselves."""
    other = town.household()
    other.code = "307002/000002"
    await town.call(OPERATOR, "PutResource", pb.PutResourceRequest(resource=other))
    async with client(town) as neighbor:
        every = (await neighbor.get(f"{SUBSYSTEM}/listMethods", headers={"X-Road-Client": CLIENT})).json()["service"]
        allowed = (await neighbor.get(f"{SUBSYSTEM}/allowedMethods", headers={"X-Road-Client": CLIENT})).json()[
            "service"
        ]
        none = (await neighbor.get(f"{SUBSYSTEM[:-1]}9/listMethods", headers={"X-Road-Client": CLIENT})).json()
    assert [each["service_code"] for each in every] == ["000001", "000002"]
    assert [each["service_code"] for each in allowed] == ["000001"]
    assert none == {"service": []}
    assert every[0] == {
        "object_type": "SERVICE",
        "service_type": "OPENAPI",
        "xroad_instance": INSTANCE,
        "member_class": "GOV",
        "member_code": POLICE,
        "subsystem_code": "307002",
        "service_code": "000001",
        "endpoint_list": [
            {"method": "POST", "path": "/query"},
            {"method": "POST", "path": "/verify"},
            {"method": "GET", "path": "/subjects/*"},
            {"method": "GET", "path": "/organizations/*"},
        ],
    }


async def test_what_was_taken_back_is_no_longer_allowed(town: City) -> None:
    given = await town.call(OPERATOR, "CreateGrant", grant_request(purposes=["other"]))
    assert given.grant.grant_id
    listed = await town.call(OPERATOR, "ListGrants", pb.ListGrantsRequest())
    for each in listed.grants:
        await town.call(
            OPERATOR,
            "RevokeGrant",
            pb.RevokeGrantRequest(request_id=new_id(), grant_id=each.grant_id, grounds="No longer needed."),
        )
    async with client(town) as neighbor:
        response = await neighbor.get(f"{SUBSYSTEM}/allowedMethods", headers={"X-Road-Client": CLIENT})
    assert response.json() == {"service": []}


async def test_a_service_describes_itself(town: City) -> None:
    """PR-MREST 5: getOpenAPI; valid OpenAPI 3.1 with the fields of the resource, and nothing of how it is reached."""
    async with client(town) as neighbor:
        headers = {"X-Road-Client": CLIENT}
        response = await neighbor.get(f"{SUBSYSTEM}/getOpenAPI?serviceCode=000001", headers=headers)
        unknown = await neighbor.get(f"{SUBSYSTEM}/getOpenAPI?serviceCode=000009", headers=headers)
        missing = await neighbor.get(f"{SUBSYSTEM}/getOpenAPI", headers=headers)
        twice = await neighbor.get(f"{SUBSYSTEM}/getOpenAPI?serviceCode=1&serviceCode=2", headers=headers)
    document = response.json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["servers"] == [{"url": SERVICE}]
    values = document["components"]["schemas"]["Answer"]["properties"]["values"]["properties"]
    assert set(values) == {"address", "head_name"}
    assert "sqlite" not in response.text
    is_error(unknown, "Server.ServerProxy.UnknownService")
    assert [missing.status_code, twice.status_code] == [400, 400]


async def test_the_catalogue_is_for_those_who_may_read_it(town: City) -> None:
    town.identity.rights[POLICE] = (True, ("exchange.query",))
    async with client(town, f"agency/{POLICE}") as neighbor:
        own = {"X-Road-Client": f"{INSTANCE}/GOV/{POLICE}"}
        for path in ("/listClients", f"{SUBSYSTEM}/listMethods", f"{SUBSYSTEM}/getOpenAPI?serviceCode=000001"):
            is_error(await neighbor.get(path, headers=own), "Server.ServerProxy.AccessDenied")
