# SPDX-License-Identifier: Apache-2.0
"""The door for X-Road neighbors: `door.py` takes a request in, `errors.py` says no, the others answer."""

from services.exchange.rest.xroad.door import XroadDoor

__all__ = ["XroadDoor"]
