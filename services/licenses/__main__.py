# SPDX-License-Identifier: Apache-2.0
"""Starts the licenses service: `python -m services.licenses`."""

from services.kit.run import run
from services.licenses.app import running
from services.licenses.config import Settings

if __name__ == "__main__":
    run("licenses", Settings, running)
