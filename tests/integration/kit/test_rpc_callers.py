# SPDX-License-Identifier: Apache-2.0
"""Who gets in: certificates, tokens, rights, over real mutual TLS."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import AgencyServiceStub, IdentityServiceStub, TokenServiceStub

from services.kit.caller import Caller, CallerKind, acting_as
from services.kit.certificates import CertificateAuthority
from services.kit.crypto import SigningKey
from services.kit.errors import Code, RemoteRefusal, Unavailable
from services.kit.rpc.peer import Peer
from tests.support.mesh import BARRED, HEALTH, UNKNOWN, Mesh, mesh

VERIFY = pb.VerifyPersonRequest(subject_id="s", purpose="test", basis="test")


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh(tmp_path) as made:
        yield made


async def verify(peer: Peer) -> pb.VerifyPersonResponse:
    return await peer.call(peer.stub(IdentityServiceStub).VerifyPerson, VERIFY)


async def own_person(peer: Peer, token: str) -> pb.GetOwnPersonResponse:
    caller = Caller(CallerKind.CITIZEN, "whoever", token=token)
    with acting_as(caller):
        return await peer.call(peer.stub(IdentityServiceStub).GetOwnPerson, pb.GetOwnPersonRequest())


async def refused(call: Any) -> RemoteRefusal:
    with pytest.raises(RemoteRefusal) as caught:
        await call
    return caught.value


async def test_an_agency_with_the_right_is_let_in_under_its_own_name(net: Mesh) -> None:
    peer = await net.peer(f"spiffe://tongban/agency/{HEALTH}")
    assert (await verify(peer)).subject_id == f"agency:{HEALTH}"


async def test_a_service_that_the_contract_names_is_let_in_and_another_is_not(net: Mesh) -> None:
    named = await net.peer("spiffe://tongban/service/exchange")
    assert (await verify(named)).subject_id == "service:exchange"
    refusal = await refused(verify(await net.peer("spiffe://tongban/service/licenses")))
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")


async def test_an_agency_without_the_right_is_refused_and_told_which(net: Mesh) -> None:
    net.fake.rights[HEALTH] = (True, ("licenses.issue",))
    refusal = await refused(verify(await net.peer(f"spiffe://tongban/agency/{HEALTH}")))
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "RIGHT_MISSING")
    assert refusal.metadata["right"] == "identity.verify"
    assert refusal.remedy


@pytest.mark.parametrize("uscc", [BARRED, UNKNOWN])
async def test_a_barred_or_unknown_agency_is_refused_though_its_certificate_holds(net: Mesh, uscc: str) -> None:
    refusal = await refused(verify(await net.peer(f"spiffe://tongban/agency/{uscc}")))
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "AGENCY_NOT_ACTIVE")


async def test_an_agencys_rights_are_asked_once_and_forgotten_when_they_change(net: Mesh) -> None:
    peer = await net.peer(f"spiffe://tongban/agency/{HEALTH}")
    await asyncio.gather(*(verify(peer) for _ in range(20)))
    assert net.fake.asked.count(f"agency:{HEALTH}") == 1
    net.fake.rights[HEALTH] = (False, ())
    await verify(peer)
    net.rights.forget(HEALTH)
    assert (await refused(verify(peer))).reason == "AGENCY_NOT_ACTIVE"


async def test_an_operators_certificate_holds_every_right_of_operators_and_no_others(net: Mesh) -> None:
    peer = await net.peer("spiffe://tongban/operator/wang")
    agency = await peer.call(peer.stub(AgencyServiceStub).GetAgency, pb.GetAgencyRequest(uscc=HEALTH))
    assert agency.agency.uscc == HEALTH
    assert (await refused(verify(peer))).reason == "CALLER_NOT_ALLOWED"


async def test_no_certificate_is_no_connection(net: Mesh) -> None:
    ca = (net.pki / "ca.crt").read_bytes()
    channel = await net.channel(grpc.ssl_channel_credentials(ca))
    with pytest.raises(aio.AioRpcError) as caught:
        await IdentityServiceStub(channel).VerifyPerson(VERIFY, timeout=3)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_of_a_foreign_root_is_no_connection(net: Mesh, tmp_path: Path) -> None:
    folder = CertificateAuthority.open(tmp_path / "foreign").issue("spiffe://tongban/service/gateway")
    credentials = grpc.ssl_channel_credentials(
        (net.pki / "ca.crt").read_bytes(), (folder / "tls.key").read_bytes(), (folder / "tls.crt").read_bytes()
    )
    channel = await net.channel(credentials)
    with pytest.raises(aio.AioRpcError) as caught:
        await IdentityServiceStub(channel).VerifyPerson(VERIFY, timeout=3)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_agencys_certificate_cannot_stand_in_for_a_service(net: Mesh) -> None:
    """The server is identity; a client that wants the gateway must not talk to it."""
    peer = await net.peer("spiffe://tongban/service/exchange", server_name="gateway")
    with pytest.raises(Unavailable):
        await verify(peer)


async def test_a_document_signers_certificate_opens_no_door(net: Mesh) -> None:
    folder = net.authority.issue_signer(HEALTH)
    credentials = grpc.ssl_channel_credentials(
        (net.pki / "ca.crt").read_bytes(), (folder / "signer.key").read_bytes(), (folder / "signer.crt").read_bytes()
    )
    channel = await net.channel(credentials)
    with pytest.raises(aio.AioRpcError) as caught:
        await IdentityServiceStub(channel).VerifyPerson(VERIFY, timeout=3)
    assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED}


async def test_the_gateway_speaks_for_a_resident_with_a_token(net: Mesh) -> None:
    peer = await net.peer("spiffe://tongban/service/gateway")
    person = (await own_person(peer, net.token(sub="subject-7"))).person
    assert person.subject_id == "subject-7"
    assert person.name == "spiffe://tongban/service/gateway"


async def test_a_token_is_verified_once_and_keys_are_fetched_once(net: Mesh) -> None:
    peer = await net.peer("spiffe://tongban/service/gateway")
    token = net.token()
    await asyncio.gather(*(own_person(peer, token) for _ in range(10)))
    assert net.fake.asked.count("keys") == 1


async def test_a_token_from_anybody_but_the_gateway_is_refused(net: Mesh) -> None:
    for name in ("spiffe://tongban/service/licenses", f"spiffe://tongban/agency/{HEALTH}"):
        identity = net.identity(name)
        channel = await net.channel(identity.channel_credentials())
        with pytest.raises(aio.AioRpcError) as caught:
            await IdentityServiceStub(channel).GetOwnPerson(
                pb.GetOwnPersonRequest(), timeout=3, metadata=(("authorization", f"Bearer {net.token()}"),)
            )
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_only_the_gateway_passes_a_token_on(net: Mesh) -> None:
    peer = await net.peer("spiffe://tongban/service/exchange")
    with acting_as(Caller(CallerKind.CITIZEN, "subject-1", token=net.token())):
        assert (await verify(peer)).subject_id == "service:exchange"


async def test_expired_foreign_and_forged_tokens_are_refused_with_their_reason(net: Mesh, tmp_path: Path) -> None:
    peer = await net.peer("spiffe://tongban/service/gateway")
    stranger = SigningKey.open(tmp_path / "stranger", "token")
    now = int(time.time())
    valid = net.token()
    head, body, signature = valid.split(".")
    expected = {
        net.token(exp=now - 1): "TOKEN_EXPIRED",
        net.token(key=stranger): "TOKEN_INVALID",
        net.token(key=stranger, header={"kid": net.key.kid}): "TOKEN_INVALID",
        net.token(iss="https://elsewhere.example"): "TOKEN_INVALID",
        net.token(aud="another"): "TOKEN_INVALID",
        net.token(iat=now + 3600): "TOKEN_INVALID",
        net.token(role="emperor"): "TOKEN_INVALID",
        net.token(header={"typ": "JWT"}): "TOKEN_INVALID",
        f"{head}.{body}.{signature[:-4]}AAAA": "TOKEN_INVALID",
        f"{head}.{body}.": "TOKEN_INVALID",
        "no-token": "TOKEN_INVALID",
        "x" * 9000: "TOKEN_INVALID",
    }
    for token, reason in expected.items():
        refusal = await refused(own_person(peer, token))
        assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, reason), token[:60]


async def test_a_token_gives_no_right_to_everything_and_a_citizen_no_operators_door(net: Mesh) -> None:
    peer = await net.peer("spiffe://tongban/service/gateway")
    for role, reason in (("operator", "RIGHT_MISSING"), ("citizen", "CALLER_NOT_ALLOWED")):
        with acting_as(Caller(CallerKind.OPERATOR, "x", token=net.token(role=role, rights=["*"]))):
            call = peer.call(peer.stub(TokenServiceStub).PutPersonas, pb.PutPersonasRequest())
            assert (await refused(call)).reason == reason


async def test_keys_are_fetched_again_for_an_unknown_key_but_not_for_every_forgery(net: Mesh, tmp_path: Path) -> None:
    peer = await net.peer("spiffe://tongban/service/gateway")
    await own_person(peer, net.token())
    for number in range(5):
        stranger = SigningKey.open(tmp_path / "strangers", f"{number}")
        await refused(own_person(peer, net.token(key=stranger)))
    assert net.fake.asked.count("keys") == 1


async def test_health_and_reflection_answer_any_holder_of_a_certificate(net: Mesh) -> None:
    await net.server.health.set("", health_pb2.HealthCheckResponse.SERVING)
    identity = net.identity(f"spiffe://tongban/agency/{BARRED}")
    channel = await net.channel(identity.channel_credentials())
    health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=3)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    answers = [
        answer
        async for answer in reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked, timeout=3)
    ]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {"tongban.identity.v1.IdentityService", "grpc.health.v1.Health", "grpc.channelz.v1.Channelz"} <= names


async def test_channelz_tells_who_is_connected_to_services_and_operators_only(net: Mesh) -> None:
    for name in ("spiffe://tongban/service/licenses", "spiffe://tongban/operator/wang"):
        channel = await net.channel(net.identity(name).channel_credentials())
        servers = await channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest(), timeout=3)
        assert servers.server
    channel = await net.channel(net.identity(f"spiffe://tongban/agency/{HEALTH}").channel_credentials())
    stub = channelz_pb2_grpc.ChannelzStub(channel)
    for call in (
        stub.GetServers(channelz_pb2.GetServersRequest(), timeout=3),
        stub.GetTopChannels(channelz_pb2.GetTopChannelsRequest(), timeout=3),
        stub.GetSocket(channelz_pb2.GetSocketRequest(socket_id=1), timeout=3),
    ):
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
