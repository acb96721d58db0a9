# SPDX-License-Identifier: Apache-2.0
"""Cases, tasks and timers in SQL: the history is the truth, everything beside it is there to be found by."""

from services.gateway.store.sql import SqlGatewayStore

__all__ = ["SqlGatewayStore"]
