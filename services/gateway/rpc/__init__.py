# SPDX-License-Identifier: Apache-2.0
"""The gRPC doorway: one file for each area."""

from services.gateway.rpc.clocks import ClockRpc
from services.gateway.rpc.engine import OperatorRpc, SignalRpc
from services.gateway.rpc.gateway import StepRpc, TaskRpc, from_struct, to_struct
from services.gateway.rpc.matters import MatterRpc

__all__ = ["ClockRpc", "MatterRpc", "OperatorRpc", "SignalRpc", "StepRpc", "TaskRpc", "from_struct", "to_struct"]
