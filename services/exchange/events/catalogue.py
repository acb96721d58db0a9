# SPDX-License-Identifier: Apache-2.0
"""Facts of the catalogue: ids, states and days only."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from tongban.exchange.v1 import (
    catalogue_events_pb2,
    changes_events_pb2,
    changes_pb2,
    demands_events_pb2,
    demands_pb2,
)

from services.exchange.domain.change import HoldersNotified, ResourceChangeMoved
from services.exchange.domain.demand import DemandClockRang, DemandMoved, DemandState
from services.exchange.domain.metadata import QualityRecorded
from services.kit.envelope import Outgoing


def encoded(fact: object) -> Outgoing | None:
    """Put a fact of the catalogue into its message; None for others'."""
    match fact:
        case QualityRecorded(resource, measure_date):
            recorded = catalogue_events_pb2.QualityRecorded(resource=resource, measure_date=measure_date.isoformat())
            return Outgoing(recorded, key=resource)
        case ResourceChangeMoved(change_id, resource, state, effect_time):
            moved = changes_events_pb2.ResourceChangeMoved(
                change_id=change_id,
                resource=resource,
                state=changes_pb2.ChangeState.Value(f"CHANGE_STATE_{state.name}"),
                effect_time=None if effect_time is None else _moment(effect_time),
            )
            return Outgoing(moved, key=resource)
        case HoldersNotified(change_id, resource, effect_time, agencies):
            told = changes_events_pb2.HoldersNotified(
                change_id=change_id, resource=resource, effect_time=_moment(effect_time), agencies=agencies
            )
            return Outgoing(told, key=resource)
        case DemandMoved(demand_id, requester, demand_state, provider, resource):
            demand = demands_events_pb2.DemandMoved(
                demand_id=demand_id,
                requester=requester,
                state=_demand_state(demand_state),
                provider=provider,
                resource=resource,
            )
            return Outgoing(demand, key=demand_id)
        case DemandClockRang(demand_id, demand_state, bell):
            rang = demands_events_pb2.DemandClockRang(
                demand_id=demand_id,
                state=_demand_state(demand_state),
                bell=demands_pb2.DemandBell.Value(f"DEMAND_BELL_{bell.name}"),
            )
            return Outgoing(rang, key=demand_id)
    return None


def _demand_state(state: DemandState) -> "demands_pb2.DemandState.ValueType":
    return demands_pb2.DemandState.Value(f"DEMAND_STATE_{state.name}")


def _moment(moment: datetime) -> Timestamp:
    wire = Timestamp()
    wire.FromDatetime(moment)
    return wire
