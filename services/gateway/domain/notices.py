# SPDX-License-Identifier: Apache-2.0
"""Notices to residents: shown in their account, and sent by the channels that they chose, never twice by the same.

What is sent names the matter and the receipt number and says where to read on, nothing else about anybody:
mail and SMS pass through foreign hands (PIPL, art. 51).
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.gateway.domain.contacts import Channel, Language
from services.kit.errors import NotFound
from services.kit.text import Text

WAITS = tuple(timedelta(seconds=each) for each in (30, 120, 600, 3600, 10800, 43200, 86400))
"""Between attempts; after the last one operators are told."""
LEASE = timedelta(minutes=2)
"""Of one attempt, longer than any attempt lasts."""


class NoticeNotFound(NotFound):
    """The resident has no such notice."""


class PostState(StrEnum):
    """Where the sending of a notice by a channel stands."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    """The channel has taken it over."""
    FAILED = "failed"
    """It was refused for good, or at every attempt."""
    UNSURE = "unsure"
    """The channel may have taken it over: the answer was lost. It is not sent again; the account shows it all the same."""


class Outcome(StrEnum):
    """How an attempt ended."""

    SENT = "sent"
    LATER = "later"
    """It was not taken over, for now."""
    REFUSED = "refused"
    """The address or what was sent will not be taken over."""
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    message_id: str
    """The same for every attempt."""
    address: str = field(repr=False)
    subject: str
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Post:
    """One notice by one channel. The id follows from both, so there is never a second one."""

    post_id: str
    notice_id: str
    subject_id: str
    case_id: str
    channel: Channel
    created: datetime
    due: datetime
    state: PostState = PostState.WAITING
    attempts: int = 0
    problem: str = ""
    """What the last attempt met, one word, e.g. `CONNECTION`, `SMTP_550`, `CONTACT_GONE`."""
    settled: datetime | None = None


def attempted(post: Post, outcome: Outcome, problem: str, now: datetime) -> Post:
    """After an attempt: settled, or due again after a growing wait, until all waits are over."""
    match outcome:
        case Outcome.SENT:
            return replace(post, state=PostState.SENT, problem="", settled=now)
        case Outcome.UNSURE:
            return replace(post, state=PostState.UNSURE, problem=problem, settled=now)
        case Outcome.LATER if post.attempts <= len(WAITS):
            due = now + WAITS[post.attempts - 1]
            return replace(post, state=PostState.WAITING, problem=problem, due=due)
        case _:
            return replace(post, state=PostState.FAILED, problem=problem, settled=now)


def notice_words(channel: Channel, language: Language, title: Text, receipt: str, address: str) -> tuple[str, str]:
    """Subject and body. `address` is where to read on."""
    zh = language is Language.ZH
    if channel is Channel.SMS:
        body = (
            f"【通办】您的“{title.zh}”（办件编号 {receipt}）有新通知，请登录查看：{address}"
            if zh
            else f"[Tongban] There is a new notice on “{title.en}” (receipt {receipt}). Sign in to read it: {address}"
        )
        return "", body
    if zh:
        return (
            f"通办：“{title.zh}”有新通知",
            (
                f"您好：\n\n您的“{title.zh}”（办件编号 {receipt}）有新通知。请登录后查看：\n{address}\n\n"
                "本邮件由系统自动发送，不会向您索要密码、验证码或者付款。如不再需要，请在“联系方式”中取消。\n"
            ),
        )
    return (
        f"Tongban: a new notice on “{title.en}”",
        (
            f"Hello,\n\nthere is a new notice on “{title.en}” (receipt {receipt}). Sign in to read it:\n{address}\n\n"
            "This mail was sent by a machine. It never asks for passwords, codes or payments. You can stop it under “Contacts”.\n"
        ),
    )


def code_words(channel: Channel, language: Language, code: str) -> tuple[str, str]:
    """The same for the code that shows whose an address is."""
    zh = language is Language.ZH
    body = (
        f"【通办】验证码 {code}，10 分钟内有效，用于确认您的联系方式。请勿告诉他人；若非本人操作，请忽略。"
        if zh
        else f"[Tongban] Your code is {code}, for 10 minutes, to confirm your contact. Tell nobody; ignore it if you did not ask."
    )
    if channel is Channel.SMS:
        return "", body
    return ("通办：确认联系方式" if zh else "Tongban: confirm your contact"), f"{body}\n"
