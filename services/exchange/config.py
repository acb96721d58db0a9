# SPDX-License-Identifier: Apache-2.0
"""Every knob of the exchange service, read from EXCHANGE_* at start."""

from pathlib import Path

from pydantic import Field

from services.kit.config import Common


class Settings(Common, frozen=True):
    """What can be set; the common knobs are the kit's."""

    http_host: str = Field(
        default="127.0.0.1", description="Address of the X-Road door; loopback unless told otherwise."
    )
    http_port: int = Field(default=0, ge=0, le=65535, description="Port of the X-Road door; 0 takes a free one.")
    public_url: str = Field(
        default="http://127.0.0.1:8080",
        pattern="^https?://[^ ?#]+$",
        description="Base of the public door, by which the catalogue of open data names everything.",
    )
    grants_age_seconds_max: float = Field(
        default=30,
        ge=3,
        le=300,
        description="Longest that changes of grants may go unread; beyond it nothing is answered.",
    )
    grants_cached_max: int = Field(
        default=50_000, ge=1, le=10_000_000, description="Agencies' grants in memory, in pairs of agency and resource."
    )
    answer_days: int = Field(
        default=30, ge=1, le=365, description="Days that the answer of a step is kept for the gateway, sealed."
    )
    request_days: int = Field(
        default=90, ge=1, le=365, description="Days that a question for people, and its answer, is kept."
    )
    change_days: int = Field(
        default=7, ge=1, le=366, description="Days that a change is kept for subscribers who were away."
    )
    preview_days: int = Field(default=30, ge=1, le=365, description="Days that a preview waits for its resident.")
    batch_hours: int = Field(
        default=24, ge=1, le=240, description="Hours that a batch waits for its receiver to go on with it."
    )
    own_queries_per_day: int = Field(
        default=200,
        ge=1,
        le=1_000_000,
        description="Questions a day of one resident about themselves, at each process.",
    )
    provider_in_flight_max: int = Field(
        default=256, ge=1, le=10_000, description="Questions open at one provider at once, per process."
    )
    provider_failures_max: int = Field(
        default=5, ge=1, le=1_000, description="Failures in a row after which a provider is left alone for a while."
    )
    provider_rest_seconds: float = Field(
        default=10, gt=0, le=600, description="How long a failing provider is left alone before one question tries it."
    )
    provider_probe_seconds: float = Field(
        default=30, ge=10, le=3600, description="How often a provider that is in use is looked at."
    )
    cases: Path | None = Field(
        default=None,
        description="Folder of cases that stand for providers, one below it for each resource; in a sandbox.",
    )
    drops: Path | None = Field(
        default=None,
        description="Folder that providers drop files into, one below it for each resource; none if unset.",
    )
    drop_bytes_max: int = Field(
        default=256 * 1024 * 1024, ge=1, le=64 * 1024**3, description="Largest file that a provider may drop."
    )
    kept_answers_bytes_max: int = Field(
        default=32 * 1024 * 1024,
        ge=0,
        le=4 * 1024**3,
        description="Memory for answers that their resource lets be given again, per process.",
    )
    maintenance_notice_hours: float = Field(
        default=24, ge=0, le=720, description="How long before its begin an agency announces maintenance."
    )
    connector_in_flight_max: int = Field(
        default=100, ge=1, le=10_000, description="Questions open on one line of a connector at once."
    )
    reached_at: str = Field(
        default="",
        max_length=250,
        pattern="^[A-Za-z0-9.:-]*$",
        description="Host at which other processes of this service reach this one; where empty, the one it listens on.",
    )
    limits: Path = Field(
        default=Path(__file__).parent / "limits",
        description="Folder of how long the parties have (*.yaml), by jurisdiction.",
    )
    recall_days: int = Field(
        default=1095,
        ge=1,
        le=36_500,
        description="Days before a correction within which receivers of the value are called back.",
    )
