# SPDX-License-Identifier: Apache-2.0
"""Where a resident wants to be told: an address counts once its holder has shown a code that was sent there."""

import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.kit.errors import NotFound, Refusal, RequestInvalid, TooManyRequests, Violation

CODE_LIFE = timedelta(minutes=10)
CODE_TRIES = 5
CODES_PER_DAY = 10
"""To one address, and for one resident, on a day in China: nobody's phone is flooded by way of the platform."""
_MAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63})+"
)
"""As HTML's `input type=email` has it; other addresses of RFC 5321 nobody types into a form."""
_PHONE = re.compile(r"1[3-9][0-9]{9}")
"""A mobile number of the mainland (11 digits)."""


class ContactNotFound(NotFound):
    """The resident has no such contact."""


class ChannelNotOffered(Refusal):
    """The platform sends nothing by this channel."""


class CodeWrong(Refusal):
    """The code is another one, too old, used up by wrong tries, or none was sent."""


class TooManyCodes(TooManyRequests):
    """As many codes as may be were sent today, to this address or for this resident."""


class Channel(StrEnum):
    """By what a notice is sent, beside being shown in the account."""

    MAIL = "mail"
    SMS = "sms"


class Language(StrEnum):
    """In what language it is sent."""

    ZH = "zh"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Contact:
    """One resident's address of one channel."""

    subject_id: str
    channel: Channel
    address: str = field(repr=False)
    language: Language
    request: str = field(default="", repr=False)
    """The request whose code was sent."""
    verified: datetime | None = None
    """Nothing but its code is sent before."""
    code: str = field(default="", repr=False)
    """Keyed digest of the code that was sent; empty where none counts."""
    code_until: datetime | None = None
    code_tries: int = 0

    @property
    def masked(self) -> str:
        """Enough to know one's own by."""
        if self.channel is Channel.SMS:
            return f"{self.address[:3]}****{self.address[-4:]}"
        name, _, host = self.address.partition("@")
        return f"{name[:1]}***@{host}"


def check_address(channel: Channel, address: str) -> None:
    """Raises RequestInvalid where no such address can be; what was given is not repeated."""
    fits = (_PHONE if channel is Channel.SMS else _MAIL).fullmatch(address)
    if not fits:
        wanted = "A mobile number of 11 digits." if channel is Channel.SMS else "A mail address."
        raise RequestInvalid("The request breaks the contract.", violations=[Violation("address", wanted)])


def with_code(contact: Contact, code_digest: str, now: datetime) -> Contact:
    """A code is on its way; older ones don't count any more."""
    return replace(contact, code=code_digest, code_until=now + CODE_LIFE, code_tries=0)


def tried(contact: Contact, code_digest: str, now: datetime) -> Contact:
    """After a try: verified, or one try less."""
    if contact.code_until is None or now >= contact.code_until or contact.code_tries >= CODE_TRIES:
        return replace(contact, code="", code_until=None)
    if contact.code and hmac.compare_digest(contact.code, code_digest):
        return replace(contact, verified=now, code="", code_until=None, code_tries=0)
    return replace(contact, code_tries=contact.code_tries + 1)
