# SPDX-License-Identifier: Apache-2.0
"""What happens to a call: deadlines, bounds, rules, errors, traces, rotation, drain."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

from services.kit import logs
from services.kit.errors import Code, RemoteFailure, RemoteRefusal, Unavailable
from services.kit.rpc.deadline import seconds_left, within
from services.kit.rpc.peer import Peer
from tests.support.mesh import Mesh, mesh

VERIFY = pb.VerifyPersonRequest(subject_id="s", purpose="test", basis="test")
SECRET = "11010519491231002X"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def net(tmp_path: Path, spans: InMemorySpanExporter) -> AsyncIterator[Mesh]:
    async with mesh(tmp_path, processors=(SimpleSpanProcessor(spans),), rpc_in_flight_max=5) as made:
        yield made


async def exchange(net: Mesh) -> Peer:
    return await net.peer("spiffe://tongban/service/exchange")


async def verify(peer: Peer, request: pb.VerifyPersonRequest = VERIFY, **options: Any) -> pb.VerifyPersonResponse:
    return await peer.call(peer.stub(IdentityServiceStub).VerifyPerson, request, **options)


async def bare(net: Mesh) -> aio.Channel:
    return await net.channel(net.identity("spiffe://tongban/service/exchange").channel_credentials())


async def test_a_call_without_a_deadline_is_refused(net: Mesh) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await IdentityServiceStub(await bare(net)).VerifyPerson(VERIFY)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert _reason(caught.value).reason == "DEADLINE_MISSING"
    assert _reason(caught.value).domain == "tongban"


async def test_what_is_left_of_the_time_goes_along_and_never_grows(net: Mesh) -> None:
    left: list[float | None] = []

    async def behave(_request: Any, _context: Any) -> pb.VerifyPersonResponse:
        left.append(seconds_left())
        return pb.VerifyPersonResponse()

    net.fake.behavior["VerifyPerson"] = behave
    peer = await exchange(net)
    with within(3):
        await verify(peer, timeout_seconds=60)
    await verify(peer, timeout_seconds=2)
    assert left[0] is not None
    assert left[1] is not None
    assert 0 < left[0] < 3.1  # The wire rounds timeouts up, by 2 % at most.
    assert 0 < left[1] < 2.1
    with within(0), pytest.raises(Unavailable):
        await verify(peer)


async def test_a_handler_is_stopped_at_the_deadline(net: Mesh) -> None:
    ended = asyncio.Event()

    async def behave(_request: Any, _context: Any) -> pb.VerifyPersonResponse:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        return pb.VerifyPersonResponse()

    net.fake.behavior["VerifyPerson"] = behave
    with pytest.raises(Unavailable, match="in time"):
        await verify(await exchange(net), timeout_seconds=0.3)
    async with asyncio.timeout(3):
        await ended.wait()


async def test_a_broken_rule_names_the_field_and_never_the_value(net: Mesh) -> None:
    request = pb.VerifyPersonRequest(number=SECRET * 2, purpose="", basis="x")
    with pytest.raises(RemoteRefusal) as caught:
        await verify(await exchange(net), request)
    refusal = caught.value
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert {one.field for one in refusal.violations} == {"number", "purpose"}
    assert SECRET not in str(refusal) + "".join(one.description for one in refusal.violations)


async def test_a_flood_of_violations_still_arrives_as_a_refusal(net: Mesh) -> None:
    net.fake.rights["11990100000001011X"] = (True, ("identity.register",))
    peer = await net.peer("spiffe://tongban/agency/11990100000001011X")
    request = pb.RegisterPersonsRequest(request_id="?", persons=[pb.NewPerson() for _ in range(500)])
    with pytest.raises(RemoteRefusal) as caught:
        await peer.call(peer.stub(IdentityServiceStub).RegisterPersons, request)
    assert caught.value.reason == "REQUEST_INVALID"
    assert len(caught.value.violations) == 20


async def test_bytes_that_are_no_message_are_refused(net: Mesh) -> None:
    call: Any = (await bare(net)).unary_unary("/tongban.identity.v1.IdentityService/VerifyPerson")
    with pytest.raises(aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff", timeout=3)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_message_beyond_four_megabytes_is_refused_both_ways(net: Mesh) -> None:
    channel = await bare(net)
    call: Any = channel.unary_unary("/tongban.identity.v1.IdentityService/VerifyPerson")
    with pytest.raises(aio.AioRpcError) as caught:
        await call(b"x" * (4 * 1024 * 1024 + 1), timeout=5)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def behave(_request: Any, _context: Any) -> pb.VerifyPersonResponse:
        return pb.VerifyPersonResponse(subject_id="x" * (4 * 1024 * 1024 + 1))

    net.fake.behavior["VerifyPerson"] = behave
    with pytest.raises(RemoteRefusal) as answer:
        await verify(await exchange(net))
    assert answer.value.code is Code.RESOURCE_EXHAUSTED


async def test_an_unexpected_error_leaks_nothing_and_is_found_by_its_incident(net: Mesh, tmp_path: Path) -> None:
    async def behave(_request: Any, _context: Any) -> pb.VerifyPersonResponse:
        raise ValueError(f"bad number {SECRET}")

    logs.configure("json", "info", str(tmp_path / "log.jsonl"))
    net.fake.behavior["VerifyPerson"] = behave
    with pytest.raises(RemoteFailure) as caught:
        await verify(await exchange(net))
    with pytest.raises(aio.AioRpcError) as wire:
        await IdentityServiceStub(await bare(net)).VerifyPerson(VERIFY, timeout=3)
    logs.flush()
    text = (tmp_path / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    [found] = [line for line in lines if line.get("incident") == caught.value.incident]
    assert found["event"] == "rpc_broke"
    assert any("behave" in place for place in found["stack"])
    assert wire.value.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in text + str(caught.value) + str(wire.value.trailing_metadata()) + str(wire.value.details())


async def test_beyond_the_bound_calls_are_refused_with_a_time_to_come_again(net: Mesh) -> None:
    calls = net.fake.hold()
    peer = await exchange(net)
    waiting = [asyncio.create_task(verify(peer)) for _ in range(5)]
    await calls.inside(5)
    with pytest.raises(aio.AioRpcError) as caught:
        await IdentityServiceStub(await bare(net)).VerifyPerson(VERIFY, timeout=3)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert _reason(caught.value).reason == "TOO_MANY_REQUESTS"
    with pytest.raises(Unavailable) as busy:
        await verify(peer)
    assert busy.value.retry_after_seconds == 1
    calls.release()
    await asyncio.gather(*waiting)
    await verify(peer)


async def test_one_call_is_two_spans_of_one_trace(net: Mesh, spans: InMemorySpanExporter) -> None:
    peer = await exchange(net)
    with net.telemetry.span("outer"):
        await verify(peer)
    by_kind = {span.kind.name: span for span in spans.get_finished_spans()}
    server, client, outer = by_kind["SERVER"], by_kind["CLIENT"], by_kind["INTERNAL"]
    assert server.context is not None
    assert client.context is not None
    assert outer.context is not None
    assert server.context.trace_id == client.context.trace_id == outer.context.trace_id
    assert server.parent is not None
    assert server.parent.span_id == client.context.span_id
    assert server.name == "tongban.identity.v1.IdentityService/VerifyPerson"


async def test_an_unsampled_trace_stays_unsampled_and_a_malformed_one_starts_anew(
    net: Mesh, spans: InMemorySpanExporter
) -> None:
    stub = IdentityServiceStub(await bare(net))
    unsampled = f"00-{'a' * 32}-{'b' * 16}-00"
    await stub.VerifyPerson(VERIFY, timeout=3, metadata=(("traceparent", unsampled),))
    assert spans.get_finished_spans() == ()
    await stub.VerifyPerson(VERIFY, timeout=3, metadata=(("traceparent", "nonsense"),))
    [span] = spans.get_finished_spans()
    assert span.parent is None


async def test_a_certificate_is_rotated_without_a_restart_on_both_sides(net: Mesh) -> None:
    peer = await exchange(net)
    await verify(peer)
    before = (net.pki / "services/identity/tls.crt").read_bytes()
    net.authority.issue("spiffe://tongban/service/identity")
    net.authority.issue("spiffe://tongban/service/exchange")
    assert (net.pki / "services/identity/tls.crt").read_bytes() != before
    seen: list[bytes] = []

    async def behave(_request: Any, context: Any) -> pb.VerifyPersonResponse:
        seen.append(context.auth_context()["x509_pem_cert"][0])
        return pb.VerifyPersonResponse()

    net.fake.behavior["VerifyPerson"] = behave
    async with asyncio.timeout(10):
        while not seen or seen[-1].strip() != (net.pki / "services/exchange/tls.crt").read_bytes().strip():
            await verify(peer)
            await asyncio.sleep(0.05)
    assert await _served_certificate(net) == (net.pki / "services/identity/tls.crt").read_text().strip()


async def test_the_drain_lets_a_call_finish_and_ends_streams_at_once(net: Mesh) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def behave(_request: Any, _context: Any) -> pb.VerifyPersonResponse:
        started.set()
        await release.wait()
        return pb.VerifyPersonResponse(subject_id="finished")

    net.fake.behavior["VerifyPerson"] = behave
    peer = await exchange(net)
    call = asyncio.create_task(verify(peer))
    watch = health_pb2_grpc.HealthStub(await bare(net)).Watch(health_pb2.HealthCheckRequest())
    await watch.read()
    await started.wait()
    begun = time.monotonic()
    drain = asyncio.create_task(net.server.drain(3))
    with pytest.raises(aio.AioRpcError) as caught:
        await watch.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - begun < 1
    release.set()
    assert (await call).subject_id == "finished"
    await drain
    assert time.monotonic() - begun < 2
    with pytest.raises(Unavailable):
        await verify(peer)


def _reason(error: aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    [blob] = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
    assert isinstance(blob, bytes)
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(blob).details:
        if detail.Unpack(info):
            break
    return info


async def _served_certificate(net: Mesh) -> str:
    """Give the certificate that the server shows now, as any TLS client sees it."""
    import ssl

    folder = net.pki / "services/exchange"
    context = ssl.create_default_context(cafile=str(net.pki / "ca.crt"))
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.set_alpn_protocols(["h2"])
    _reader, writer = await asyncio.open_connection(
        "127.0.0.1", net.port, ssl=context, server_hostname="identity.service.tongban.internal"
    )
    tls = writer.get_extra_info("ssl_object")
    shown = ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))
    writer.close()
    return shown.strip()
