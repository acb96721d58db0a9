# SPDX-License-Identifier: Apache-2.0
"""From a receipt number to traces."""

from dataclasses import dataclass
from typing import Final

from services.gateway.console.store import TraceStore
from services.gateway.service import CaseTrace, GatewayService
from services.kit.caller import Caller, acting_as

_TEXT_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A case and the traces in which something was done for it; its own trace comes first."""

    case: CaseTrace
    traces: tuple[str, ...]


class Search:
    """Asks the gateway for the case, and the store for its traces."""

    def __init__(self, service: GatewayService, store: TraceStore) -> None:
        self._service = service
        self._store = store

    async def case(self, receipt_or_case_id: str, operator: Caller) -> Found:
        """Find a case for an operator. Raises NotFound, RightMissing."""
        with acting_as(operator):
            case = await self._service.trace_of(receipt_or_case_id.strip()[:_TEXT_MAX])
        traces = await self._store.traces_of_case(case.case_id)
        own = (case.trace_id,) if case.trace_id else ()
        return Found(case=case, traces=own + tuple(trace for trace in traces if trace not in own))
