# SPDX-License-Identifier: Apache-2.0
"""The gRPC doorway: one file for each area."""

from services.gateway.rpc.clocks import ClockRpc
from services.gateway.rpc.engine import OperatorRpc, SignalRpc
from services.gateway.rpc.gateway import StepRpc, TaskRpc, from_struct, to_struct

__all__ = ["ClockRpc", "OperatorRpc", "SignalRpc", "StepRpc", "TaskRpc", "from_struct", "to_struct"]
