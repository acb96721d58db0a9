# SPDX-License-Identifier: Apache-2.0
"""Hearing facts: at least once, with one guard, parked per key where they can't be handled."""

from services.kit.consumer.consumer import Consumer
from services.kit.consumer.delivery import Routes
from services.kit.consumer.listener import Listener

__all__ = ["Consumer", "Listener", "Routes"]
