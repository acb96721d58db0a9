# SPDX-License-Identifier: Apache-2.0
"""The opening list: what is opened, from which resource, by which rules. Opening is a decision of its own, apart from sharing.

Law: opening catalogue, prompt and accurate publication (Data Security Law, art. 41 and 42); anonymised is no longer personal
information (PIPL, art. 4 and 73(4)).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.exchange.domain.metadata import Opening, UpdateCycle
from services.exchange.domain.opendata.source import Source, faults_of_source
from services.exchange.domain.opendata.steps import Step, StepKind, fault_of
from services.exchange.domain.resource import Resource, Sensitivity
from services.kit.errors import RequestInvalid, Violation

K_MIN, K_MAX = 5, 1000
"""Fewest people who share every published record; 5 is what this platform never goes below."""
L_MIN, L_MAX = 2, 100
COLUMNS_MAX, STEPS_MAX, SUPPRESS_PERCENT_MAX, LABEL_MAX = 50, 8, 20, 100
COUNT = "count"
PERSON = "subject_key"
"""Column of a source about persons that says whose a record is, as a register answers it; counted, never published."""
_DATASET = re.compile(r"[a-z][a-z0-9-]{1,62}[a-z0-9]")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class About(StrEnum):
    """Whom or what the records are about."""

    PERSONS = "persons"
    ORGANIZATIONS = "organizations"
    THINGS = "things"


class Form(StrEnum):
    """What is published: records one by one, or how many there are of each kind."""

    RECORDS = "records"
    COUNTS = "counts"


class Role(StrEnum):
    """What a column is to somebody who looks for a person.

    DIMENSION: may be known from elsewhere, e.g. sex, year of birth, district (a quasi-identifier). SENSITIVE: what must
    not be learned about one person; kept as it is, with l-diversity. MEASURE: a number that counts sum up.
    """

    DIMENSION = "dimension"
    SENSITIVE = "sensitive"
    MEASURE = "measure"


class License(StrEnum):
    """Under which terms anybody may use a release."""

    CC_BY_4 = "cc_by_4"
    CC0 = "cc0"


class Theme(StrEnum):
    """Subject, as open-data portals sort (the data-theme list of the EU Publications Office)."""

    AGRI = "agri"
    ECON = "econ"
    EDUC = "educ"
    ENER = "ener"
    ENVI = "envi"
    GOVE = "gove"
    HEAL = "heal"
    JUST = "just"
    REGI = "regi"
    SOCI = "soci"
    TECH = "tech"
    TRAN = "tran"


@dataclass(frozen=True, slots=True)
class Column:
    """One published column; whatever is not listed is dropped. `steps` from fine to coarse, the first one that is safe is used."""

    name: str
    label_zh: str
    label_en: str
    role: Role
    steps: tuple[Step, ...] = (Step(StepKind.KEEP),)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One entry of the opening list. `source` may hold a password and is told to nobody."""

    dataset: str
    resource: str
    title_zh: str
    title_en: str
    description_zh: str
    description_en: str
    keywords: tuple[str, ...]
    theme: Theme
    cycle: UpdateCycle
    license: License
    opening: Opening
    opening_reason: str
    basis: str
    about: About
    form: Form
    columns: tuple[Column, ...]
    k: int
    diversity: int
    suppress_percent_max: int
    source: Source = field(repr=False)
    revision: int = 0

    def of_role(self, role: Role) -> tuple[Column, ...]:
        """Give the columns of one role."""
        return tuple(each for each in self.columns if each.role is role)

    @property
    def open(self) -> bool:
        """Whether it may be published at all."""
        return self.opening is not Opening.CLOSED


def check_dataset(dataset: Dataset, resource: Resource) -> None:
    """Refuse an entry that is incomplete, or whose rules could let a person through; every fault is named at once."""
    faults = [*_faults(dataset), *_column_faults(dataset, resource), *faults_of_source(dataset.source)]
    if dataset.open and (resource.retired or resource.metadata.opening is Opening.CLOSED):
        faults.append(Violation("dataset.opening", "The catalogue closes the resource; see its opening attribute."))
    if faults:
        raise RequestInvalid("The data set can't be opened as given.", violations=faults)


def _faults(dataset: Dataset) -> list[Violation]:
    persons = dataset.about is About.PERSONS
    sensitive = bool(dataset.of_role(Role.SENSITIVE))
    texts = (dataset.title_zh, dataset.title_en, dataset.description_zh, dataset.description_en)
    checks: Mapping[str, tuple[bool, str]] = {
        "dataset": (bool(_DATASET.fullmatch(dataset.dataset)), "3 to 64 small letters, digits and hyphens."),
        "title": (all(1 <= len(each.strip()) <= 2000 for each in texts), "Title and description, Chinese and English."),  # noqa: PLR2004 - a bound
        "keywords": (
            len(dataset.keywords) <= 20 and all(1 <= len(each) <= 50 for each in dataset.keywords),  # noqa: PLR2004 - bounds
            "At most 20, of 1 to 50 characters.",
        ),
        "opening_reason": (
            len(dataset.opening_reason) <= 500  # noqa: PLR2004 - a bound
            and (dataset.opening is Opening.UNCONDITIONAL or bool(dataset.opening_reason.strip())),
            "What is not opened unconditionally states its condition or reason.",
        ),
        "basis": (1 <= len(dataset.basis.strip()) <= 200, "The legal basis, 1 to 200 characters."),  # noqa: PLR2004 - a bound
        "columns": (1 <= len(dataset.columns) <= COLUMNS_MAX, f"1 to {COLUMNS_MAX}."),
        "k": (
            (K_MIN if persons else 1) <= dataset.k <= K_MAX,
            f"{K_MIN} to {K_MAX} where the records are about persons, else 1 at least.",
        ),
        "diversity": (
            (L_MIN if persons and sensitive else 1) <= dataset.diversity <= L_MAX,
            f"{L_MIN} to {L_MAX} where a sensitive column is kept, else 1 at least.",
        ),
        "suppress_percent_max": (
            0 <= dataset.suppress_percent_max <= SUPPRESS_PERCENT_MAX,
            f"0 to {SUPPRESS_PERCENT_MAX}.",
        ),
    }
    return [Violation(f"dataset.{name}", words) for name, (holds, words) in checks.items() if not holds]


def _column_faults(dataset: Dataset, resource: Resource) -> list[Violation]:
    known = {each.name: each.sensitivity for each in resource.fields}
    faults: list[Violation] = []
    names = [each.name for each in dataset.columns]
    for index, each in enumerate(dataset.columns[:COLUMNS_MAX]):
        words = _column_fault(each, dataset, known)
        if not words and names.count(each.name) > 1:
            words = "Each column once."
        if words:
            faults.append(Violation(f"dataset.columns[{index}]", words))
    return faults


def _column_fault(column: Column, dataset: Dataset, known: Mapping[str, Sensitivity]) -> str:
    sensitivity = known.get(column.name)
    keeps = any(step.kind is StepKind.KEEP for step in column.steps)
    rules = {
        "A field of the resource, by its name.": sensitivity is not None and bool(_NAME.fullmatch(column.name)),
        f"Not {COUNT}: counts have that name.": column.name != COUNT,
        f"Both labels, at most {LABEL_MAX} characters.": all(
            1 <= len(each) <= LABEL_MAX for each in (column.label_zh, column.label_en)
        ),
        f"1 to {STEPS_MAX} steps.": 1 <= len(column.steps) <= STEPS_MAX,
        fault_of(column.steps): not fault_of(column.steps),
        "A sensitive column or a measure is kept as it is, or left out.": column.role is Role.DIMENSION
        or column.steps == (Step(StepKind.KEEP),),
        "Sensitive columns are those of persons.": column.role is not Role.SENSITIVE or dataset.about is About.PERSONS,
        "Measures are summed up in counts, and tell nothing about a person.": column.role is not Role.MEASURE
        or (dataset.form is Form.COUNTS and sensitivity is Sensitivity.GENERAL),
        "A field about a person is made coarser, or is a sensitive column.": not keeps
        or sensitivity is Sensitivity.GENERAL
        or column.role is Role.SENSITIVE,
        "Only fields that tell nothing about a person.": dataset.about is About.PERSONS
        or sensitivity is Sensitivity.GENERAL,
    }
    return next((words for words, holds in rules.items() if not holds), "")
