# SPDX-License-Identifier: Apache-2.0
"""What a definition is checked against: roles, resources, license types, and what each department holds by meaning."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.gateway.domain.clock_rules import ClockRules
from services.gateway.workflows import clock_rules
from services.kit.errors import StartupError
from services.kit.yaml import YAMLError, load_yaml

IDENTITY = {
    "name": "applicant.name",
    "number": "applicant.citizen_number",
    "birth_date": "applicant.birth_date",
    "phone": "applicant.phone",
    "address": "applicant.address",
}
"""What identity holds of every resident, and what it means."""

Meanings = Mapping[str, Mapping[str, str]]
"""Code of a resource or license type, to name, to meaning; only where it is not `applicant.<name>`."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a license type."""

    kind: str
    """`text`, `date`, `number`, `sex` or `records`."""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """The surroundings of a definition."""

    roles: frozenset[str]
    resources: Mapping[str, Mapping[str, str]]
    """Code to field to kind (`text`, `date`, `number`, `boolean`)."""
    licenses: Mapping[str, Mapping[str, Attribute]]
    """Type code to attribute."""
    meanings: Meanings
    clocks: ClockRules = field(default_factory=clock_rules)
    """What the law gives, by name."""

    def held(self) -> Mapping[str, tuple[str, ...]]:
        """Who holds what: meaning to places, e.g. `resource 307001/000001 spouse_name`."""
        found: dict[str, list[str]] = defaultdict(list)
        for meaning, place in self._holdings():
            found[meaning].append(place)
        return {meaning: tuple(places) for meaning, places in found.items()}

    def _holdings(self) -> Iterator[tuple[str, str]]:
        for name, meaning in IDENTITY.items():
            yield meaning, f"identity {name}"
        for code, fields in self.resources.items():
            for name in fields:
                yield self._meaning(code, name), f"resource {code} {name}"
        for code, attributes in self.licenses.items():
            for name in attributes:
                yield self._meaning(code, name), f"license {code} {name}"

    def _meaning(self, code: str, name: str) -> str:
        """Registers are asked about the applicant and licenses are the applicant's own, unless it is said otherwise."""
        return self.meanings.get(code, {}).get(name, f"applicant.{name}")


def read_license_types(folder: Path) -> dict[str, dict[str, Attribute]]:
    """The types of a folder, as the licenses service reads it. Raises StartupError."""
    found: dict[str, dict[str, Attribute]] = {}
    for path in sorted(folder.glob("*.yaml")):
        raw = read_yaml(path)
        try:
            found[raw["code"]] = {one["name"]: Attribute(one["kind"], one["required"]) for one in raw["attributes"]}
        except (KeyError, TypeError) as error:
            raise StartupError(f"{path} is no license type.") from error
    return found


def read_meanings(path: Path) -> dict[str, dict[str, str]]:
    """What fields and attributes mean, where it is not `applicant.<name>`. Raises StartupError."""
    raw = read_yaml(path)
    if not isinstance(raw, dict) or not all(isinstance(one, dict) for one in raw.values()):
        raise StartupError(f"{path} is no list of meanings (code: {{name: whose.what}}).")
    return {str(code): {str(name): str(meaning) for name, meaning in one.items()} for code, one in raw.items()}


def read_yaml(path: Path) -> Any:
    """Read a file of data. Raises StartupError."""
    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise StartupError(f"{path} can't be read.") from error
