# SPDX-License-Identifier: Apache-2.0
"""The gRPC doorway: one file for each area."""

from services.gateway.rpc.gateway import StepRpc, TaskRpc, from_struct, to_struct

__all__ = ["StepRpc", "TaskRpc", "from_struct", "to_struct"]
