# SPDX-License-Identifier: Apache-2.0
"""A channel that is replaced when the certificate files change, behind stubs that stay."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from grpc import aio

from services.kit.certificates import Identity
from services.kit.rpc.limits import MESSAGE_BYTES_MAX

_LOOK_SECONDS = 1.0
_OLD_GRACE_SECONDS = 30.0


class Method:
    """One method of a stub. Called directly it is the bare gRPC call; `Peer.call` adds everything else."""

    __slots__ = ("_channel", "arity", "path", "request_serializer", "response_deserializer")

    def __init__(self, channel: "SwappingChannel", arity: str, path: str, serializer: Any, deserializer: Any) -> None:
        self._channel = channel
        self.arity = arity
        self.path = path
        self.request_serializer = serializer
        self.response_deserializer = deserializer

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the bare call."""
        return self._channel.callable(self)(*args, **kwargs)


class SwappingChannel:
    """Looks like an aio channel to a generated stub. Files are looked at once a second at most, when somebody calls."""

    def __init__(self, address: str, identity: Identity, target_name: str) -> None:
        self._address = address
        self._identity = identity
        self._options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.initial_reconnect_backoff_ms", 100),
            # How long an attempt may take, handshake and all: a peer that has just opened, on a busy machine, takes more than 100 ms.
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.enable_http_proxy", 0),
            ("grpc.ssl_target_name_override", target_name),
        ]
        self._closing: set[asyncio.Task[None]] = set()
        self._stamp = identity.stamp
        self._looked = time.monotonic()
        self._channel = self._connected()
        self._callables: dict[str, Callable[..., Any]] = {}

    def callable(self, method: Method) -> Callable[..., Any]:
        """Give the method on the channel that is in force now."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        found = self._callables.get(method.path)
        if found is None:
            make = getattr(self._channel, method.arity)
            found = make(method.path, method.request_serializer, method.response_deserializer)
            self._callables[method.path] = found
        return found

    async def close(self) -> None:
        """Close at once; calls in flight end as cancelled."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._channel.close()

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Method:
        """Make a method for a stub."""
        return Method(self, "unary_unary", path, request_serializer, response_deserializer)

    def unary_stream(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Method:
        """Make a method for a stub."""
        return Method(self, "unary_stream", path, request_serializer, response_deserializer)

    def stream_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Method:
        """Make a method for a stub."""
        return Method(self, "stream_unary", path, request_serializer, response_deserializer)

    def stream_stream(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Method:
        """Make a method for a stub."""
        return Method(self, "stream_stream", path, request_serializer, response_deserializer)

    def _connected(self) -> aio.Channel:
        return aio.secure_channel(self._address, self._identity.channel_credentials(), options=self._options)

    def _look(self) -> None:
        """Replace the channel where the files changed; the old one lets its calls end."""
        self._looked = time.monotonic()
        stamp = self._identity.stamp
        if stamp == self._stamp:
            return
        old, self._channel = self._channel, self._connected()
        self._stamp = stamp
        self._callables.clear()
        task = asyncio.get_running_loop().create_task(old.close(_OLD_GRACE_SECONDS))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
