# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002 - handlers have the server's signature
"""A real SMTP server on a port of its own (aiosmtpd), with TLS, that answers as a test wants."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

OK = "250 OK"


@dataclass
class Mailbox:
    """Takes mail, or answers otherwise; `drop` breaks the line off once a text has come, before the answer."""

    rcpt: str = OK
    data: str = OK
    drop: bool = False
    got: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt == OK:
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if self.data == OK:
            self.got.append(message_from_bytes(envelope.content, policy=policy.default))
            self.encrypted.append(session.ssl is not None)
        if self.drop:
            cast(Any, server).transport.abort()
        return self.data


class _Controller(Controller):
    """On any free port: the library's own would knock at the one that it asked for."""

    def _trigger_server(self) -> None:
        with socket.create_connection(self.address) as knock:
            knock.recv(1024)

    @property
    def address(self) -> tuple[str, int]:
        host, port = cast(Any, self.server).sockets[0].getsockname()
        return host, port


@dataclass(frozen=True)
class Served:
    """Where it listens, and by whom it is vouched for."""

    port: int
    context: ssl.SSLContext


@contextmanager
def smtp_server(mailbox: Mailbox, *, tls: bool = True) -> Iterator[Served]:
    """Serve in a thread until the end."""
    authority = trustme.CA()
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serving)
    authority.configure_trust(trusting)
    more: dict[str, Any] = {"tls_context": serving, "require_starttls": True} if tls else {}
    controller = _Controller(mailbox, hostname="127.0.0.1", port=0, **more)
    controller.start()
    try:
        yield Served(controller.address[1], trusting)
    finally:
        controller.stop(no_assert=True)
