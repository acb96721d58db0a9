# SPDX-License-Identifier: Apache-2.0
"""Every knob of the gateway, read from `GATEWAY_*` at start."""

from pathlib import Path

from pydantic import Field

from services.kit.config import Common

_HERE = Path(__file__).parent


class Settings(Common, frozen=True):
    """Every knob of the gateway."""

    http_host: str = "127.0.0.1"
    """Address of the public HTTP door."""
    http_port: int = Field(default=8080, ge=0, le=65535)
    """Port of the public HTTP door; 0 for a free one."""
    agencies: Path
    """YAML list of agencies (key, uscc, name_zh, name_en): which department stands in the role that a matter names."""
    matters: Path = _HERE / "matters"
    """Folder of matter definitions (`*.yaml`)."""
    traces: str = ""
    """Path of the console's trace store (SQLite); empty keeps it beside the log of events, in memory."""
    lease_seconds: float = Field(default=30, gt=0, le=3600)
    """How long a department holds a task before it comes again."""
    poll_seconds: float = Field(default=1, gt=0, le=60)
    """Slowest look for due timers, new tasks and news of a case; signals are faster, this covers other processes."""
    streams_max: int = Field(default=500, ge=1, le=10000)
    """Task streams and event streams open at the same time."""
    tries_max: int = Field(default=8, ge=1, le=100)
    """How often a change is tried again where another one of the same case came first."""
