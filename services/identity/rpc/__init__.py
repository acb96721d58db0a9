# SPDX-License-Identifier: Apache-2.0
"""The gRPC doorway of identity: translate in, one use case, translate out."""

from services.identity.rpc.agency import AgencyRpc
from services.identity.rpc.identity import IdentityRpc
from services.identity.rpc.token import TokenRpc

__all__ = ["AgencyRpc", "IdentityRpc", "TokenRpc"]
