# SPDX-License-Identifier: Apache-2.0
"""Providers as the broker meets them: asked within bounds, watched, and published."""

from services.exchange.service.providers.asking import Limits, Providers
from services.exchange.service.providers.terms import Terms

__all__ = ["Limits", "Providers", "Terms"]
