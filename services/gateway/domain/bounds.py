# SPDX-License-Identifier: Apache-2.0
"""How much one resident may have and do: whoever submits in a loop fills inboxes and uses up what an agency may ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.gateway.domain.refusals import TooManyCases, TooManyDrafts, TooManyMaterials, TooManySubmissions
from services.gateway.domain.values import china_dawn

_AN_HOUR = timedelta(hours=1)
_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a resident has under way in one matter, and has submitted today in all."""

    open_cases: int
    """Submitted and not ended."""
    submissions: int

    def and_one_more(self) -> "Standing":
        """As it would be with another submission."""
        return Standing(self.open_cases + 1, self.submissions + 1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most of each, for one resident."""

    drafts: int
    draft_days: int
    """After so many days an untouched draft goes (PIPL, art. 19)."""
    open_cases: int
    """Of one matter."""
    submissions_per_day: int
    """Of all matters; the day is China's."""
    draft_bytes: int = 200_000_000
    """Of files in all drafts."""

    def must_hold_bytes(self, held: int) -> None:
        """Raises TooManyMaterials where the files in one's drafts have more bytes than they may."""
        if held > self.draft_bytes:
            raise TooManyMaterials(
                f"The files in a resident's drafts have {self.draft_bytes} bytes at most.",
                remedy="Submit or delete a draft, or take files back.",
            )

    @property
    def draft_life(self) -> timedelta:
        """The same as a time."""
        return timedelta(days=self.draft_days)

    def must_hold_drafts(self, drafts: int) -> None:
        """Raises TooManyDrafts where these are more than one may have."""
        if drafts > self.drafts:
            raise TooManyDrafts(
                f"A resident may have {self.drafts} drafts at a time.",
                remedy=f"Submit or delete a draft; one that nobody touches is deleted after {self.draft_days} days.",
                retry_after_seconds=_A_DAY.total_seconds(),
            )

    def must_hold(self, standing: Standing, now: datetime) -> None:
        """Raises TooManySubmissions or TooManyCases where this is more than one may have; the longer wait is told."""
        if standing.submissions > self.submissions_per_day:
            raise TooManySubmissions(
                f"A resident may submit {self.submissions_per_day} cases a day.",
                remedy="Submit it tomorrow; the draft is kept.",
                retry_after_seconds=(china_dawn(now) + _A_DAY - now).total_seconds(),
            )
        if standing.open_cases > self.open_cases:
            raise TooManyCases(
                f"A resident may have {self.open_cases} cases of one matter under way at a time.",
                remedy="Submit it when one of them has ended; the draft is kept.",
                retry_after_seconds=_AN_HOUR.total_seconds(),
            )
