# SPDX-License-Identifier: Apache-2.0
"""Every knob of the gateway, read from `GATEWAY_*` at start."""

from pathlib import Path

from pydantic import Field

from services.kit.config import Common


class Settings(Common, frozen=True):
    """Every knob of the gateway."""

    http_host: str = Field(default="127.0.0.1", description="Address of the HTTP door; loopback unless told otherwise.")
    http_port: int = Field(default=8080, ge=0, le=65535, description="Port of the HTTP door; 0 takes a free one.")
    agencies: Path = Field(description="YAML list of agencies (key, uscc, name_zh, name_en): who stands in which role.")
    matters: Path = Field(default=Path(__file__).parent / "matters", description="Folder of matters (*.yaml).")
    limits: Path = Field(
        default=Path(__file__).parent / "limits", description="Folder of the limits that the law sets (*.yaml)."
    )
    traces: str = Field(default="", description="SQLite file of the console's traces; empty keeps them in memory.")
    traces_token: str = Field(
        default="",
        max_length=200,
        repr=False,
        description="Bearer token that every sender of traces must show; without one no traces are taken.",
    )
    requests_per_second: float = Field(
        default=100, gt=0, le=100_000, description="Requests that one caller may make, filled up all the time."
    )
    requests_burst: int = Field(
        default=300, ge=1, le=1_000_000, description="Requests that one caller may make at once after a rest."
    )
    requests_in_flight_max: int = Field(
        default=512, ge=1, le=100_000, description="Requests worked on at once; more are refused for a moment."
    )
    sign_ins_per_minute: int = Field(
        default=20, ge=1, le=10_000, description="Failed attempts to sign in at the console from one address."
    )
    streams_max: int = Field(default=500, ge=1, le=100_000, description="Event streams of cases open at once.")
    webhook_hosts: tuple[str, ...] = Field(
        default=(), max_length=1000, description="JSON list of hosts (or host:port) that webhooks may go to; none else."
    )
    public_url: str = Field(
        default="http://127.0.0.1:8080",
        max_length=200,
        pattern=r"^https?://[\x21-\x7e]+[^/]$",
        description="Where residents read on; stands in mail and SMS.",
    )
    mail_host: str = Field(
        default="", max_length=253, description="SMTP server; empty: no mail, or in a sandbox to its outbox."
    )
    mail_port: int = Field(default=587, ge=1, le=65535, description="Port of the SMTP server.")
    mail_from: str = Field(
        default="tongban@localhost",
        max_length=254,
        pattern=r"^[\x21-\x7e]+@[\x21-\x7e]+$",
        description="Sender of mail.",
    )
    mail_user: str = Field(default="", max_length=254, description="Account at the SMTP server; empty: none is needed.")
    mail_password: str = Field(default="", max_length=500, repr=False, description="Its password.")
    mail_starttls: bool = Field(
        default=True, description="Mail goes only over TLS; false only for a server on this machine."
    )
    scanner: str = Field(
        default="",
        max_length=300,
        pattern=r"^(|/[\x21-\x7e]+|[\x21-\x7e]+:[0-9]{1,5})$",
        description="ClamAV daemon: host:port or path of its socket; empty: no uploads, or in a sandbox a test string alone.",
    )
    draft_bytes_max: int = Field(
        default=200_000_000, ge=1_000_000, description="Bytes of files in all drafts of one resident."
    )
    lease_seconds: float = Field(default=30, gt=0, le=3600, description="How long a department holds a task.")
    poll_seconds: float = Field(
        default=1, gt=0, le=60, description="Slowest look for due timers, tasks and news of other processes."
    )
    tries_max: int = Field(
        default=8, ge=1, le=100, description="Tries to change a case where somebody else comes first."
    )
    drafts_max: int = Field(default=20, ge=1, le=10_000, description="Drafts that one resident may have at a time.")
    open_cases_max: int = Field(
        default=5, ge=1, le=10_000, description="Cases of one matter that one resident may have under way at a time."
    )
    submissions_per_day: int = Field(
        default=20, ge=1, le=100_000, description="Cases that one resident may submit on one day, of all matters."
    )
    draft_days: int = Field(default=30, ge=1, le=3650, description="Days after which an untouched draft is deleted.")
    key_days: int = Field(default=30, ge=1, le=3650, description="How long idempotency keys are remembered.")
