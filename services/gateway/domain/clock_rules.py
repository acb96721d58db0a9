# SPDX-License-Identifier: Apache-2.0
"""What clocks are counted by: limits of the law, promises, calendars."""

from dataclasses import dataclass

from services.gateway.domain.clock import Clock
from services.gateway.domain.history import Bound, Dates
from services.gateway.domain.limits import CaseLimit
from services.kit.calendar import Calendars, Deadline, Limit, Limits, Reckoning, Terms, Warn, reckon
from services.kit.text import Text

_SHORT_DAYS = 5


@dataclass(frozen=True, slots=True)
class ClockRules:
    """What clocks are counted by here: limits of the law by name, calendars, and whose they are."""

    limits: Limits
    calendars: Calendars
    region: str

    def terms(self, limit: CaseLimit) -> dict[str, Terms]:
        """What a limit of a definition comes to here, by `Bound`. Raises KeyError for terms that no file has."""
        law = self._law(limit)
        made = {} if law is None else {Bound.STATUTORY.value: law}
        if limit.promise is not None:
            made[Bound.PROMISE.value] = Terms(
                limit=Limit(amount=limit.promise, unit=limit.unit if law is None else law.limit.unit),
                jurisdiction=self.region,
                warn=_warnings(limit.promise),
                extension=law.extension if law else None,
                extensions_max=law.extensions_max if law else 0,
            )
        return made

    def reckoned(self, clock: Clock) -> dict[Bound, Reckoning]:
        """Count both limits."""
        return {bound: self.reckon(each) for bound, each in clock.deadlines.items()}

    def reckon(self, deadline: Deadline) -> Reckoning:
        """Count one."""
        return reckon(deadline, self.calendars.of(deadline.terms.jurisdiction))

    def dates(self, clock: Clock) -> Dates:
        """The last days as they are counted now."""
        made = self.reckoned(clock)
        calendar = self.calendars.of(clock.binding.terms.jurisdiction)
        return Dates(
            {bound.value: each.due_date.isoformat() if each.due_date else "" for bound, each in made.items()},
            calendar.name,
            calendar.version,
            provisional=any(each.provisional for each in made.values()),
        )

    def _law(self, limit: CaseLimit) -> Terms | None:
        if limit.terms is not None:
            return self.limits.terms(limit.terms, self.region)
        if limit.statutory is None:
            return None
        assert limit.basis is not None, "the definition was checked"
        return Terms(
            limit=Limit(amount=limit.statutory, unit=limit.unit),
            jurisdiction=self.region,
            basis=Text(limit.basis, limit.basis),
            verified=limit.verified,
            warn=_warnings(limit.statutory),
            escalate=(Limit(amount=1), Limit(amount=5)),
        )


def _warnings(amount: int) -> tuple[Warn, ...]:
    return (Warn(left=1 if amount <= _SHORT_DAYS else 3),) if amount > 1 else ()
