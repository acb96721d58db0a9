# SPDX-License-Identifier: Apache-2.0
"""Notices, how they were sent, and where residents want to be told."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.gateway.rest.shapes.base import Asked, Moment, Shape, Words

ChannelName = Literal["mail", "sms"]
LanguageName = Literal["zh", "en"]


class Sent(Shape):
    """How a notice goes by one channel."""

    channel: str = Field(description="`mail` or `sms`.")
    state: str = Field(
        description="`waiting`, `sending`, `sent`, `failed`, or `unsure`: the answer was lost, and nothing is sent twice."
    )
    attempts: int
    settled: Moment | None


class Notice(Shape):
    """One notice."""

    notice_id: str = Field(description="UUID.")
    case_id: str
    receipt: str = Field(description="Receipt number of the case.")
    matter: Words
    text: Words
    created: Moment
    read: Moment | None = Field(description="When it was marked as read.")
    posts: list[Sent] = Field(description="By which channels it is sent, beside being shown here.")


class Notices(Shape):
    """A page of notices."""

    notices: list[Notice]
    unread: int = Field(description="How many are unread, on all pages.")
    next_page_token: str = Field(description="Empty on the last page.")


class ReadUntil(Asked):
    """Up to when everything counts as read."""

    until: Annotated[
        str,
        StringConstraints(max_length=40),
        Field(description="RFC 3339, e.g. `created` of the newest one shown.", examples=["2026-11-23T02:10:00.000Z"]),
    ]


class Marked(Shape):
    """What was marked."""

    marked: int = Field(description="How many were unread before.")


class Post(Sent):
    """The same for operators."""

    post_id: str = Field(description="UUID; the first part of a mail's Message-ID.")
    notice_id: str
    case_id: str
    problem: str = Field(description="What the last attempt met, e.g. `SMTP_550`, `CONNECTION`, `CONTACT_GONE`.")
    created: Moment
    due: Moment = Field(description="When the next attempt is made, while it is waiting.")


class Posts(Shape):
    """A page of them."""

    posts: list[Post]
    next_page_token: str = Field(description="Empty on the last page.")


class NewContact(Asked):
    """Where a resident wants to be told."""

    address: str = Field(
        min_length=3, max_length=254, description="A mail address, or a mobile number of 11 digits (mainland China)."
    )
    language: LanguageName = Field(default="zh", description="In what language.")


class Code(Asked):
    """What was sent there."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$"), Field(examples=["271828"])]


class Contact(Shape):
    """Where a resident is told."""

    channel: str
    address: str = Field(alias="masked", serialization_alias="address", description="Masked.", examples=["138****8000"])
    language: str
    verified: Moment | None = Field(description="Since when it counts; nothing is sent there before.")
    code_until: Moment | None = Field(description="Until when the code that was sent last counts.")


class Contacts(Shape):
    """All of a resident's."""

    contacts: list[Contact]
    offered: list[str] = Field(description="By which channels the platform sends.")
