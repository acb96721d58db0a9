# SPDX-License-Identifier: Apache-2.0
"""Asking as fast as a grant allows: its rate makes a stream slower, it doesn't end it."""

import asyncio
from typing import Any

from services.exchange.domain.answer import Scalar
from services.exchange.domain.inquiry import Subject
from services.exchange.domain.permit import Permit
from services.exchange.domain.refusals import RateExceeded
from services.exchange.service.broker import Broker

RATE_SECONDS = 0.1


async def ask_paced(broker: Broker, permit: Permit, subject: Subject, **question: Any) -> dict[str, Scalar] | None:
    """Ask the broker, waiting wherever the grant's calls a second are used up. Raises what the broker raises."""
    while True:
        try:
            return await broker.ask(permit, subject, **question)
        except RateExceeded as refusal:
            await asyncio.sleep(refusal.retry_after_seconds or RATE_SECONDS)
