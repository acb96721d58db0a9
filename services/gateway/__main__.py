# SPDX-License-Identifier: Apache-2.0
"""Starts the gateway: `python -m services.gateway`."""

from services.gateway.app import running
from services.gateway.config import Settings
from services.kit.run import run

if __name__ == "__main__":
    run("gateway", Settings, running)
