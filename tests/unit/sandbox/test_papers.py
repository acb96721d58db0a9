# SPDX-License-Identifier: Apache-2.0
"""Licenses that departments had issued before: of known types, with what these ask for, to people of the cast."""

import pytest

from sandbox.cast import cast
from sandbox.office import Paper, offices
from services.identity.domain.credit_code import credit_code
from services.licenses.config import Settings
from services.licenses.store.types import read_catalogue

PAPERS = [paper for office in offices().values() for paper in office.issued]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.serial)
def test_a_paper_fits_its_type_and_belongs_to_somebody(paper: Paper) -> None:
    catalogue = read_catalogue(Settings.model_fields["types"].default)
    assert catalogue.type_of(paper.type).check(paper.attributes) == paper.attributes
    assert paper.holder in {person.number for person in cast().people.values()}


def test_no_serial_is_given_twice() -> None:
    assert len({paper.serial for paper in PAPERS}) == len(PAPERS)


def test_the_firms_of_the_cast_have_codes_that_the_platform_takes() -> None:
    for row in offices()["market_regulation"].file.tables["firms"].rows:
        assert credit_code(str(row["uscc"])) == row["uscc"]
