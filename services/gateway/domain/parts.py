# SPDX-License-Identifier: Apache-2.0
"""What definitions are made of: names, expressions, waits, and a model that refuses what it does not know."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
StepId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,58}$")]
"""Shorter than a name: what undoes the step has an id of its own, `<id>.undo`."""
Reason = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]
Cel = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Basis = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Meaning = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}\.[a-z][a-z0-9_]{0,63}$")]
"""Whose and what, e.g. `applicant.birth_date`, `spouse.name`: the same meaning is the same fact, however it is named."""
Wait = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=30))]
LongWait = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=3660))]
Mapped = dict[Name, Cel]

STEPS_MAX = 100
FIELDS_MAX = 100


class Part(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
