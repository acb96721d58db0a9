# SPDX-License-Identifier: Apache-2.0
"""The REST door does what its OpenAPI document says, for requests that a machine makes up."""

from collections.abc import Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from services.gateway.rest.app import build_app
from services.gateway.rest.limits import Limits
from services.kit.telemetry import Telemetry
from tests.support.gateway_desks import nothing_counted, refusing
from tests.support.gateway_door import empty_inbox, small_life
from tests.support.gateway_fake import NOW, FakeGateway, FakeVerifier
from tests.support.gateway_opendata import FakeOpenData
from tests.support.gateway_voices import no_voices

EVENTS = "/api/v1/cases/{case_id}/events"
"""A stream has no end to wait for; tests/unit/gateway/test_rest_events.py has it."""


@schemathesis.serializer("application/pdf")
def as_it_is(_context: Any, value: Any) -> bytes:
    """A file goes over as its bytes."""
    content = getattr(value, "data", value)
    return content if isinstance(content, bytes) else str(content).encode()


async def ready() -> Mapping[str, str]:
    return {}


app = build_app(
    FakeGateway(),
    FakeVerifier(),
    open_data=FakeOpenData(),
    inbox=empty_inbox(),
    life=small_life(),
    webhooks=refusing(),
    statistics=nothing_counted(),
    voices=no_voices(),
    telemetry=Telemetry("gateway"),
    ready=ready,
    limits=Limits(per_second=1e6, burst=1_000_000),
    sandbox=True,
    clock=lambda: NOW,
)
schema = schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path=EVENTS)


@schema.parametrize()
@settings(max_examples=5, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_its_contract(case: "schemathesis.Case[Any]") -> None:
    """A made-up page token or answer may fit the form and still be refused: that is not a breach."""
    case.call_and_validate(
        headers={"Authorization": "Bearer citizen:mother"}, excluded_checks=[positive_data_acceptance]
    )
