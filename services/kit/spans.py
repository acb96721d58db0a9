# SPDX-License-Identifier: Apache-2.0
"""Sends ended spans to an OTLP/HTTP receiver in batches, and keeps quiet when it is away.

The SDK's own batch processor waits up to 30 s at shutdown and logs each failed attempt. This one keeps a bounded
queue (the oldest spans go first), tries again at its next turn, and stops within a second.
"""

import logging
import threading
from collections import deque
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExportResult

_QUEUE_MAX = 8192
_BATCH_MAX = 512
_TURN_SECONDS = 0.5
_TIMEOUT_SECONDS = 0.8
_CLOSE_SECONDS = 0.9


class SpanSender(SpanProcessor):
    """A span processor with one thread. `dropped` counts spans that found the queue full."""

    def __init__(self, endpoint: str, token: str = "") -> None:
        self._endpoint = endpoint
        self._token = token
        self._queue: deque[ReadableSpan] = deque(maxlen=_QUEUE_MAX)
        self._awake = threading.Event()
        self._sending = threading.Lock()
        self._closing = False
        self.dropped = 0
        self._exporter: Any = None
        self._thread = threading.Thread(target=self._work, name="tongban-spans", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do: spans are sent when they end."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a sampled span."""
        if self._closing or span.context is None or not span.context.trace_flags.sampled:
            return
        if len(self._queue) == _QUEUE_MAX:
            self.dropped += 1
        self._queue.append(span)
        if len(self._queue) >= _BATCH_MAX:
            self._awake.set()

    def force_flush(self, timeout_millis: int = 500) -> bool:
        """Send what is waiting; True if all went out within the time."""
        done = threading.Event()

        def flush() -> None:
            self._send_all()
            done.set()

        threading.Thread(target=flush, name="tongban-spans-flush", daemon=True).start()
        return done.wait(timeout_millis / 1000) and not self._queue

    def shutdown(self) -> None:
        """Try once more to send what is left, and stop."""
        if self._closing:
            return
        self._closing = True
        self._awake.set()
        self._thread.join(_CLOSE_SECONDS)
        if self._exporter is not None:
            self._exporter.shutdown()

    def _work(self) -> None:
        while not self._closing:
            self._awake.wait(_TURN_SECONDS)
            self._awake.clear()
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        """Send batch after batch until the queue is empty or the receiver fails; what failed goes back in front."""
        with self._sending:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(_BATCH_MAX, len(self._queue)))]
                if self._sent(batch):
                    continue
                room = _QUEUE_MAX - len(self._queue)
                self.dropped += max(0, len(batch) - room)
                self._queue.extendleft(reversed(batch[len(batch) - min(room, len(batch)) :]))
                return

    def _sent(self, batch: list[ReadableSpan]) -> bool:
        try:
            if self._exporter is None:
                self._exporter = _open_exporter(self._endpoint, self._token)
            return bool(self._exporter.export(batch) is SpanExportResult.SUCCESS)
        except Exception:  # noqa: BLE001 - whatever happens here, a service must not notice
            return False


def _open_exporter(endpoint: str, token: str) -> Any:
    """Import on first use, on the sender's thread: it costs 0.2 s that a start shouldn't wait for."""
    import requests  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # The queue is the answer to a receiver that is away.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    session = requests.Session()
    session.trust_env = False
    headers = {"authorization": f"Bearer {token}"} if token else None
    return OTLPSpanExporter(endpoint=endpoint, headers=headers, timeout=_TIMEOUT_SECONDS, session=session)
