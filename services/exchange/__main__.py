# SPDX-License-Identifier: Apache-2.0
"""Starts the exchange service: `python -m services.exchange`."""

from services.exchange.app import running
from services.exchange.config import Settings
from services.kit.run import run

run("exchange", Settings, running)
