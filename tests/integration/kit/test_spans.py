# SPDX-License-Identifier: Apache-2.0
"""Spans on their way to a receiver: one that answers, one that comes late, one that hangs, none at all."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.kit.telemetry import Telemetry
from tests.support.mesh import free_port


class Receiver(ThreadingHTTPServer):
    """Keeps the names of the spans that arrive."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.names: list[str] = []
        self.services: set[str] = set()
        self.shown: set[str | None] = set()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def close(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        assert self.path == "/v1/traces"
        self.server.shown.add(self.headers["authorization"])
        body = self.rfile.read(int(self.headers["content-length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.services |= {
                pair.value.string_value for pair in resource.resource.attributes if pair.key == "service.name"
            }
            self.server.names += [span.name for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def close_in_time(telemetry: Telemetry) -> None:
    begun = time.monotonic()
    telemetry.close()
    assert time.monotonic() - begun < 1.5


def test_spans_arrive_with_their_service_and_the_last_ones_at_closing(receiver: Receiver) -> None:
    telemetry = Telemetry("licenses", otlp=f"http://127.0.0.1:{receiver.server_port}", otlp_token="s3cret")
    for number in range(1200):
        with telemetry.span(f"work-{number}"):
            pass
    telemetry.flush(5)
    assert len(receiver.names) == 1200
    with telemetry.span("last"):
        pass
    close_in_time(telemetry)
    assert receiver.names[-1] == "last"
    assert receiver.services == {"licenses"}
    assert receiver.shown == {"Bearer s3cret"}


def test_spans_wait_for_a_receiver_that_comes_late() -> None:
    port = free_port()
    telemetry = Telemetry("licenses", otlp=f"http://127.0.0.1:{port}")
    with telemetry.span("early"):
        pass
    telemetry.flush(2)
    late = Receiver(port)
    try:
        ends = time.monotonic() + 10
        while not late.names and time.monotonic() < ends:
            time.sleep(0.05)
        assert late.names == ["early"]
    finally:
        close_in_time(telemetry)
        late.close()


def test_closing_does_not_wait_for_a_receiver_that_hangs_or_is_away(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        for port in (hanging.getsockname()[1], free_port()):
            telemetry = Telemetry("licenses", otlp=f"http://127.0.0.1:{port}")
            with telemetry.span("lost"):
                pass
            close_in_time(telemetry)
    assert capfd.readouterr() == ("", "")
