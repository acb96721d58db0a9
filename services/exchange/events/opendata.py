# SPDX-License-Identifier: Apache-2.0
"""Facts of open data."""

from tongban.exchange.v1 import opendata_events_pb2 as pb

from services.exchange.domain.opendata.release import ReleasePublished, ReleaseTakenBack
from services.kit.envelope import Outgoing


def encoded(fact: object) -> Outgoing | None:
    """Put a fact into its message; None where it is none of these."""
    match fact:
        case ReleasePublished(dataset, version, resource):
            published = pb.ReleasePublished(dataset=dataset, version=version, resource=resource)
            return Outgoing(published, key=dataset)
        case ReleaseTakenBack(dataset, version, resource):
            taken = pb.ReleaseTakenBack(dataset=dataset, version=version, resource=resource)
            return Outgoing(taken, key=dataset)
    return None
