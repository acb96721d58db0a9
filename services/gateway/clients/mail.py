# SPDX-License-Identifier: Apache-2.0
"""Mail by SMTP (RFC 5321), encrypted by STARTTLS (RFC 3207) unless it goes to this machine."""

import asyncio
import smtplib
import ssl
from contextlib import closing
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime

from services.gateway.domain.notices import Message, Outcome
from services.kit.clock import Clock

SOCKET_SECONDS = 8.0
"""For each answer of the server; an attempt has at most ten."""
_TEMPORARY = 400
_PERMANENT = 500
"""RFC 5321, 4.2.1."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over."""

    host: str
    port: int
    sender: str
    """The address in From and in the envelope."""
    user: str = ""
    password: str = field(default="", repr=False)
    starttls: bool = True
    context: ssl.SSLContext | None = None
    """None: the system's roots."""


class MailSender:
    """Hands mail to one server. Once its text is on the way and no answer comes, nobody knows whether it was taken."""

    def __init__(self, server: MailServer, *, clock: Clock) -> None:
        self._server = server
        self._clock = clock

    async def send(self, message: Message) -> tuple[Outcome, str]:
        """Make one attempt in a thread: sockets of `smtplib` block."""
        return await asyncio.to_thread(self._send, self._letter(message), message.address)

    def _letter(self, message: Message) -> bytes:
        letter = EmailMessage()
        letter["From"] = self._server.sender
        letter["To"] = message.address
        letter["Subject"] = message.subject
        letter["Date"] = format_datetime(self._clock())
        letter["Message-ID"] = f"<{message.message_id}@{self._server.sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please.
        letter.set_content(message.body, cte="base64")
        return bytes(letter).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def _send(self, letter: bytes, address: str) -> tuple[Outcome, str]:
        try:
            with closing(smtplib.SMTP(self._server.host, self._server.port, timeout=SOCKET_SECONDS)) as smtp:
                self._greet(smtp)
                return _hand_over(smtp, letter, address)
        except smtplib.SMTPResponseException as said:  # To us, not to the address: somebody will set it right.
            return Outcome.LATER, f"SMTP_{said.smtp_code}"
        except smtplib.SMTPNotSupportedError:
            return Outcome.LATER, "STARTTLS_MISSING"
        except ssl.SSLError:
            return Outcome.LATER, "TLS"
        except (smtplib.SMTPException, OSError):
            return Outcome.LATER, "CONNECTION"

    def _greet(self, smtp: smtplib.SMTP) -> None:
        smtp.ehlo_or_helo_if_needed()
        if self._server.starttls:
            smtp.starttls(context=self._server.context or ssl.create_default_context())
            smtp.ehlo()
        if self._server.user:
            smtp.login(self._server.user, self._server.password)
        code, said = smtp.mail(self._server.sender)
        if code >= _TEMPORARY:
            raise smtplib.SMTPResponseException(code, said)


def _hand_over(smtp: smtplib.SMTP, letter: bytes, address: str) -> tuple[Outcome, str]:
    for code, _ in (smtp.rcpt(address), smtp.docmd("DATA")):
        if code >= _TEMPORARY:
            return _refused(code)
    dotted = b"".join(b"." + line if line.startswith(b".") else line for line in letter.splitlines(keepends=True))
    try:
        smtp.send(dotted + b".\r\n")
        code, _ = smtp.getreply()
    except (smtplib.SMTPException, OSError):
        return Outcome.UNSURE, "ANSWER_LOST"
    return _refused(code) if code >= _TEMPORARY else (Outcome.SENT, "")


def _refused(code: int) -> tuple[Outcome, str]:
    return (Outcome.REFUSED if code >= _PERMANENT else Outcome.LATER), f"SMTP_{code}"
