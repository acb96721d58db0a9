# SPDX-License-Identifier: Apache-2.0
"""Disputed values: claims and their answers, the recall of what was given out, and what queriers are told meanwhile."""

from services.exchange.service.corrections.claims import ClaimService, OpenCorrection, Reply
from services.exchange.service.corrections.disputes import Disputes
from services.exchange.service.corrections.recalls import RecallService

__all__ = ["ClaimService", "Disputes", "OpenCorrection", "RecallService", "Reply"]
