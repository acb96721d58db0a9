# SPDX-License-Identifier: Apache-2.0
"""A version of a matter on its way to being offered: one operator proposes it, another one confirms."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from services.gateway.domain.refusals import FourEyes


@dataclass(frozen=True, slots=True)
class Activation:
    """One version."""

    digest: str
    matter: str
    body: str = field(repr=False)
    """The canonical definition."""
    why: str
    proposed_by: str
    proposed: datetime
    confirmed_by: str = ""
    confirmed: datetime | None = None


@dataclass(frozen=True, slots=True)
class MatterActivatedFact:
    """New cases follow this version."""

    matter: str
    definition: str


def confirm(activation: Activation, by: str, now: datetime) -> Activation:
    """Confirm it; again changes nothing. Raises FourEyes for whoever proposed it."""
    if activation.proposed_by == by:
        raise FourEyes("Another operator must confirm it.")
    return activation if activation.confirmed else replace(activation, confirmed_by=by, confirmed=now)
