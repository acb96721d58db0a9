# SPDX-License-Identifier: Apache-2.0
"""Starts the identity service: `python -m services.identity`, settings from IDENTITY_*."""

from services.identity.app import running
from services.identity.config import Settings
from services.kit.run import run

if __name__ == "__main__":
    run("identity", Settings, running)
