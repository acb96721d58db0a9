# SPDX-License-Identifier: Apache-2.0
"""Facts of file drops: counts and digests."""

from tongban.exchange.v1 import drops_events_pb2 as pb

from services.exchange.domain.drops import FileDropLoaded
from services.kit.envelope import Outgoing


def encoded(fact: object) -> Outgoing | None:
    """Put a fact of this area into its message; None for one of another."""
    if not isinstance(fact, FileDropLoaded):
        return None
    drop = fact.drop
    message = pb.FileDropLoaded(
        drop_id=drop.drop_id,
        resource=drop.resource,
        version=drop.version,
        digest=drop.digest,
        rows=drop.rows,
        rejected=drop.rejected,
        refusal=drop.refusal,
    )
    return Outgoing(message, key=drop.resource)
