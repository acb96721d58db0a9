# SPDX-License-Identifier: Apache-2.0
"""Definitions and their surroundings from disk, for `tongban matter`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from sandbox import catalogue, shared
from sandbox.agencies import PATH as CITY_AGENCIES
from sandbox.office import offices
from services.cli.options import Options
from services.gateway.definitions.bpmn_in import from_bpmn
from services.gateway.definitions.bpmn_out import to_bpmn
from services.gateway.definitions.bundle import Bundle, bundle
from services.gateway.definitions.known import Known, read_license_types, read_meanings, read_yaml
from services.gateway.definitions.lint import lint
from services.gateway.definitions.script import Script, read_script
from services.gateway.definitions.simulate import simulate, unknown_names
from services.gateway.domain.definition import Matter
from services.gateway.domain.plan import compile_plan
from services.gateway.domain.problems import DefinitionInvalid, Problem
from services.gateway.workflows import clock_rules, read_agencies, read_matter
from services.kit.errors import StartupError
from services.kit.text import Text

SERVICES = Path(__file__).resolve().parents[1]
SHIPPED = SERVICES / "gateway" / "matters"
LICENSE_TYPES = SERVICES / "licenses" / "types"


def shipped() -> tuple[Path, ...]:
    """Every definition that ships."""
    return tuple(sorted(SHIPPED.glob("*.yaml")))


def read(path: Path) -> Matter:
    """One definition. Raises StartupError, DefinitionInvalid."""
    return read_matter(path.stem, text_of(path))


def problems_of(path: Path, around: Known) -> tuple[Problem, ...]:
    """Everything wrong with a file, its shape included."""
    try:
        return lint(read(path), around)
    except DefinitionInvalid as invalid:
        return invalid.problems


def known() -> Known:
    """What definitions are checked against: the synthetic city, and the license types that ship."""
    city = offices().values()
    return Known(
        roles=frozenset(agencies()),
        resources={**catalogue.held(), **shared.held(city)},
        licenses=read_license_types(LICENSE_TYPES),
        meanings={**read_meanings(catalogue.MEANINGS), **shared.meanings(city)},
    )


def agencies() -> Mapping[str, Text]:
    """Names by role."""
    path = Options.read().agencies or CITY_AGENCIES
    return {role: agency.name for role, agency in read_agencies(text_of(path), str(path)).items()}


def write(text: str, out: Path | None) -> None:
    """To a file or to standard output."""
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartupError(f"{out} can't be written.") from error
    print(out)


def text_of(path: Path) -> str:
    """A text from outside. Raises StartupError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"{path} can't be read.") from error


def simulated(path: Path, script: Path | None, failures: Sequence[str]) -> Iterator[str]:
    """The timeline of a run. Raises StartupError."""
    plan = compile_plan(read(path))
    chosen = script or path.parent / "simulations" / path.name
    said = read_script(text_of(chosen)) if script or chosen.exists() else Script()
    said = said.failing(failures)
    if unknown := ", ".join(unknown_names(plan, said)):
        raise StartupError(f"The matter does not have what the script names: {unknown}.")
    return simulate(plan, known(), said).lines()


def converted(path: Path) -> str:
    """A definition as BPMN, or BPMN as a definition. Raises StartupError."""
    if path.suffix == ".bpmn":
        return as_yaml(from_bpmn(text_of(path)))
    return to_bpmn(read(path), agencies())


def as_yaml(matter: Matter) -> str:
    """A definition as its file would have it."""
    values = matter.model_dump(mode="json", exclude_defaults=True)
    head = "# SPDX-License-Identifier: Apache-2.0\n# yaml-language-server: $schema=schema.json\n"
    return head + yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=160)


def bundled(head: Path, items: Sequence[Path]) -> Bundle:
    """Matters joined. Raises StartupError."""
    values = read_yaml(head)
    if not isinstance(values, dict):
        raise StartupError(f"{head} is no matter without form and steps.")
    return bundle(values, [read(path) for path in items], clock_rules())


def told(made: Bundle) -> Iterator[str]:
    """What was won by joining."""
    yield f"{made.asked} questions instead of {made.asked_apart}."
    for one in made.dropped:
        yield f"{one.item}.{one.field} is not asked: {one.given_by} gives it."
    yield f"{made.path.days} working days at most, by {', '.join(made.path.ids) or 'no promise'}."
