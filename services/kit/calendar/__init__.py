# SPDX-License-Identifier: Apache-2.0
"""Calendars, deadlines and their clocks: one engine for every service.

- `published()` reads the working-day calendars (`calendars/*.yaml`): versioned data, one a jurisdiction. A year without
  a notice is provisional, and said to be.
- `Terms` are what a deadline is: limit, warnings, extension, escalations, what is deemed. `read_limits(folder)` reads a
  service's terms by name and jurisdiction; each has its basis and says whether its number is verified.
- `Deadline` is terms and history. It changes by `pause`, `resume`, `reset`, `extend`, `exclude`, `meet`, `withdraw`;
  `reckon(deadline, calendar)` counts it, `derivation(deadline, reckoned)` says so in words.
- `Deadlines` keeps them in a service's store and rings their bells, each once, from however many processes:

      deadlines = Deadlines(store, published())
      deadlines.react("application.decide", service.on_decide_bell)       # app.py; and background=[deadlines.run]
      ...
      due = await deadlines.start(tx, "application.decide", application_id, limits.terms("decide", region), now)
      await deadlines.change(tx, "application.decide", application_id, lambda each: each.extend(now, why))
      await deadlines.meet(tx, "application.decide", application_id, now)
      ...
      async def on_decide_bell(self, tx: ExchangeTx, rung: Rung) -> None: ...  # WARNING, EXPIRY or ESCALATION

A deadline's words are rules' words: never free text about a person.
"""

from services.kit.calendar.days import CHINA, Calendar, Why, dawn, local_date
from services.kit.calendar.deadline import (
    Deadline,
    DeadlineNotPaused,
    DeadlineNotRunning,
    ExtensionNotAllowed,
    State,
)
from services.kit.calendar.deadlines import DeadlineNotFound, Deadlines, Rung
from services.kit.calendar.policy import Limits, read_limits
from services.kit.calendar.published import Calendars, published
from services.kit.calendar.reckoning import Bell, Reckoning, Ringing, reckon
from services.kit.calendar.rows import deadline_table
from services.kit.calendar.spans import Span
from services.kit.calendar.terms import Limit, Terms, Unit, Warn
from services.kit.calendar.words import derivation

__all__ = [
    "CHINA",
    "Bell",
    "Calendar",
    "Calendars",
    "Deadline",
    "DeadlineNotFound",
    "DeadlineNotPaused",
    "DeadlineNotRunning",
    "Deadlines",
    "ExtensionNotAllowed",
    "Limit",
    "Limits",
    "Reckoning",
    "Ringing",
    "Rung",
    "Span",
    "State",
    "Terms",
    "Unit",
    "Warn",
    "Why",
    "dawn",
    "deadline_table",
    "derivation",
    "local_date",
    "published",
    "read_limits",
    "reckon",
]
