# SPDX-License-Identifier: Apache-2.0
"""The life of a service: it opens, serves, drains and closes; what a person must mend is one sentence."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tongban.identity.v1 import identity_service_pb2 as pb
from tongban.identity.v1 import identity_service_pb2_grpc as identity_grpc

from services.kit import logs
from services.kit.caller import current_caller
from services.kit.certificates import CertificateAuthority, Identity
from services.kit.config import Common
from services.kit.crypto import SigningKey
from services.kit.errors import StartupError, Unauthenticated
from services.kit.rpc.peer import Peer
from services.kit.run import App, Runtime, serving
from services.kit.telemetry import Telemetry
from tests.support.mesh import IdentityFake, free_port
from tests.support.probe import Probe, fact_of

Asgi = Callable[..., Awaitable[None]]


class Settings(Common, frozen=True):
    """Of the service that these tests serve."""


def settings_in(folder: Path, **knobs: Any) -> Settings:
    port = knobs.pop("grpc_port", None) or free_port()
    CertificateAuthority.open(folder / "pki").ensure("spiffe://tongban/service/identity")
    return Settings(
        **{
            "database": f"sqlite:///{folder}/db/identity.sqlite",
            "events": f"sqlite:///{folder}/db/events.sqlite",
            "pki": folder / "pki",
            "keys": folder / "keys",
            "grpc_port": port,
            "peers": {"identity": f"127.0.0.1:{port}"},
            **knobs,
        }
    )


async def hello(scope: Any, _receive: Any, send: Any) -> None:
    """Say who is asked for as the caller in a request: nobody, until a door establishes somebody."""
    assert scope["type"] == "http"
    try:
        who = current_caller().label
    except Unauthenticated:
        who = "nobody"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": who.encode()})


def app(seen: list[str], background: Callable[[], Any] | None = None, *, http: Asgi | None = hello) -> Any:
    @asynccontextmanager
    async def running(settings: Settings, runtime: Runtime) -> AsyncIterator[App]:
        seen.append(f"opened as {current_caller().label}")
        async with Probe.open(runtime, encode=fact_of) as store:
            fake = IdentityFake(SigningKey.open(settings.keys, "token"))  # type: ignore[abstract]
            try:
                yield App(
                    name="identity",
                    rpc=[
                        (identity_grpc.add_IdentityServiceServicer_to_server, fake),
                        (identity_grpc.add_AgencyServiceServicer_to_server, fake),
                        (identity_grpc.add_TokenServiceServicer_to_server, fake),
                    ],
                    store=store,
                    topics=["tongban.gateway.events.v1"],
                    background=[background] if background else [],
                    http=http,
                )
            finally:
                seen.append("closed")

    return running


async def until_ready(problems: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while await problems():
            await asyncio.sleep(0.05)


async def test_a_service_opens_serves_over_both_doors_and_closes(tmp_path: Path) -> None:
    seen: list[str] = []
    ran_as: list[str] = []

    async def work() -> None:
        ran_as.append(current_caller().label)
        await asyncio.Event().wait()

    settings = settings_in(tmp_path)
    begun = 0.0
    async with serving(settings, app(seen, work), name="identity") as service:
        await until_ready(service.problems)
        telemetry = Telemetry("test")
        identity = Identity.open(tmp_path / "pki", "spiffe://tongban/service/identity")
        async with Peer.open(f"127.0.0.1:{service.grpc_port}", identity, telemetry, server_name="identity") as peer:
            keys = await peer.call(peer.stub(identity_grpc.TokenServiceStub).GetJwks, pb.GetJwksRequest())
            assert json.loads(keys.jwks_json)["keys"]
            health = peer.stub(health_pb2_grpc.HealthStub)
            async with asyncio.timeout(5):
                while True:
                    answer = await peer.call(health.Check, health_pb2.HealthCheckRequest())
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        break
                    await asyncio.sleep(0.05)
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.get(f"http://127.0.0.1:{service.http_port}/")
        assert response.text == "nobody"
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert seen == ["opened as service:identity", "closed"]
    assert ran_as == ["service:identity"]


async def test_a_second_start_goes_on_with_the_same_folder(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    for _ in range(2):
        async with serving(settings, app([]), name="identity") as service:
            await until_ready(service.problems)
    assert service.grpc_port == settings.grpc_port


async def test_a_port_in_use_is_one_sentence_and_everything_opened_is_closed(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        seen: list[str] = []
        with pytest.raises(StartupError, match=f"{port} is in use"):
            async with serving(settings_in(tmp_path, grpc_port=port), app(seen), name="identity"):
                pytest.fail("it must not serve")
        assert seen[-1] == "closed"


async def test_work_that_breaks_is_the_services_failure(tmp_path: Path) -> None:
    async def work() -> None:
        raise RuntimeError("broken")

    async with serving(settings_in(tmp_path), app([], work), name="identity") as service:
        async with asyncio.timeout(5):
            assert isinstance(await service.failure(), RuntimeError)


async def test_every_line_of_a_service_names_it(tmp_path: Path) -> None:
    logs.configure("json", "info", str(tmp_path / "log.jsonl"))

    async def speaking(_scope: Any, _receive: Any, send: Any) -> None:
        logs.get_logger().info("asked_over_http")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with (
        serving(settings_in(tmp_path), app([], http=speaking), name="identity") as service,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        await client.get(f"http://127.0.0.1:{service.http_port}/")
    logs.flush()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"started", "drained", "stopped", "asked_over_http"} <= {line["event"] for line in lines}
    assert {line.get("service") for line in lines} == {"identity"}


PROGRAM = """
import os, sys
from pathlib import Path
from services.kit.run import run
from tests.integration.kit.test_serving import Settings, app
run("identity", Settings, app([]))
"""


def program(folder: Path, **extra: str) -> "subprocess.Popen[str]":
    settings = settings_in(folder)
    environ = {
        **os.environ,
        "IDENTITY_DATABASE": settings.database,
        "IDENTITY_EVENTS": settings.events,
        "IDENTITY_PKI": str(settings.pki),
        "IDENTITY_KEYS": str(settings.keys),
        "IDENTITY_GRPC_PORT": str(settings.grpc_port),
        "IDENTITY_LOG_FILE": str(folder / "log.jsonl"),
        **extra,
    }
    environ = {name: value for name, value in environ.items() if value}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environ, stderr=subprocess.PIPE, text=True)


def wait_for_start(folder: Path) -> None:
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        if (folder / "log.jsonl").exists() and '"started"' in (folder / "log.jsonl").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the process did not start")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_the_process_within_five_seconds(tmp_path: Path, number: signal.Signals) -> None:
    process = program(tmp_path)
    wait_for_start(tmp_path)
    begun = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=10)
    assert time.monotonic() - begun < 5
    assert process.returncode == 0, said
    assert said == ""
    assert '"stopped"' in (tmp_path / "log.jsonl").read_text()


def _spoil_database(folder: Path) -> None:
    (folder / "db").mkdir()
    (folder / "db/identity.sqlite").write_bytes(b"this is no database" * 1000)


def _spoil_folder(folder: Path) -> None:
    (folder / "db").write_text("a file, not a folder")


@pytest.mark.parametrize(
    ("spoil", "extra", "code", "words"),
    [
        (_spoil_database, {}, 1, "database"),
        (_spoil_folder, {}, 1, "db"),
        (None, {"IDENTITY_GRPC_PORT": "high"}, 2, "IDENTITY_GRPC_PORT"),
        (None, {"IDENTITY_NONSENSE": "1"}, 2, "IDENTITY_NONSENSE"),
        (None, {"IDENTITY_PKI": "/nowhere"}, 1, "/nowhere"),
        (None, {"IDENTITY_LOG_FILE": "/proc/nowhere/x"}, 1, "/proc/nowhere"),
    ],
)
def test_what_a_person_must_mend_is_one_sentence_and_an_exit_code(
    tmp_path: Path, spoil: Callable[[Path], None] | None, extra: dict[str, str], code: int, words: str
) -> None:
    if spoil is not None:
        spoil(tmp_path)
    process = program(tmp_path, **extra)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert words in said
    assert said.count("\n") == 1
    assert said.startswith("tongban identity: ")
