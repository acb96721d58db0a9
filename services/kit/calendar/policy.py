# SPDX-License-Identifier: Apache-2.0
"""Policy is configuration: which terms a named deadline has, where; read from files, nearest jurisdiction first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.kit.calendar.published import Jurisdiction
from services.kit.calendar.terms import Terms
from services.kit.errors import StartupError
from services.kit.yaml import YAMLError, load_yaml

Name = Annotated[str, Field(pattern="^[a-z][a-z_.]{0,39}$")]


class _Policy(BaseModel):
    """One file. A limit's terms say their `basis` and whether the number is `verified`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=10)]
    jurisdictions: Annotated[list[Jurisdiction], Field(min_length=1)]
    limits: dict[Name, Terms]


class Limits:
    """The terms of each named deadline, by jurisdiction: what a nearer file leaves out, the next one says."""

    def __init__(self, by_prefix: Mapping[str, Mapping[str, Terms]]) -> None:
        self._by_prefix = dict(sorted(by_prefix.items(), key=lambda each: -len(each[0])))

    def terms(self, name: str, jurisdiction: str) -> Terms:
        """Give the terms of a named deadline somewhere. Raises KeyError where no file has them: a mistake of the code."""
        for prefix, limits in self._by_prefix.items():
            if jurisdiction.startswith(prefix) and (found := limits.get(name)) is not None:
                return found.model_copy(update={"jurisdiction": jurisdiction})
        raise KeyError(f"No policy has a limit {name}.")

    def unverified(self) -> tuple[str, ...]:
        """Name the limits whose numbers nobody has compared with the text of their rule, for the start's log."""
        return tuple(
            sorted({name for limits in self._by_prefix.values() for name, each in limits.items() if not each.verified})
        )


def read_limits(folder: Path) -> Limits:
    """Read the policies of a folder (`*.yaml`). Raises StartupError, which names the file."""
    by_prefix: dict[str, Mapping[str, Terms]] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            content: Any = load_yaml(path.read_text(encoding="utf-8"))
            policy = _Policy.model_validate(content)
        except (ValidationError, YAMLError) as error:
            raise StartupError(f"The limits {path.name} can't be used: {error}") from error
        for prefix in policy.jurisdictions:
            if prefix in by_prefix:
                raise StartupError(f"Two files set limits for the jurisdiction {prefix!r}.")
            by_prefix[prefix] = policy.limits
    return Limits(by_prefix)
