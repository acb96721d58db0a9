# SPDX-License-Identifier: Apache-2.0
"""Limits as files: the nearest jurisdiction counts, and a number that nobody verified says so."""

from pathlib import Path

import pytest

from services.exchange.service.corrections.ports import ACKNOWLEDGE, ANSWER
from services.kit.calendar import Limit, Unit, read_limits
from services.kit.errors import StartupError

EXCHANGE = Path(__file__).resolve().parents[3] / "services" / "exchange" / "limits"
COUNTRY = """
source: The text of a law, which is long enough.
jurisdictions: [""]
limits:
  answer: {limit: {amount: 10}, verified: false}
  share: {limit: {amount: 20}}
"""
NEAR = """
source: The rule of a province, which is long enough.
jurisdictions: ["44"]
limits:
  answer: {limit: {amount: 5, unit: natural_days, rolls: true}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cn.yaml").write_text(COUNTRY, encoding="utf-8")
    (tmp_path / "gd.yaml").write_text(NEAR, encoding="utf-8")
    return tmp_path


def test_the_nearest_jurisdiction_counts_and_what_it_leaves_out_the_next_one_says(folder: Path) -> None:
    limits = read_limits(folder)
    assert limits.terms("answer", "990100").limit == Limit(amount=10)
    near = limits.terms("answer", "440100")
    assert near.limit == Limit(amount=5, unit=Unit.NATURAL_DAYS, rolls=True)
    assert near.jurisdiction == "440100"
    assert limits.terms("share", "440100").limit.amount == 20
    assert limits.unverified() == ("answer",)


def test_a_limit_that_no_file_has_is_a_mistake_of_the_code(folder: Path) -> None:
    with pytest.raises(KeyError):
        read_limits(folder).terms("nothing", "990100")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("amount: 10", "amount: many"),
        ("source: The text", "sauce: The text"),
        ("answer:", "Answer!:"),
        ('jurisdictions: [""]', 'jurisdictions: ["44"]'),
    ],
)
def test_a_file_with_a_mistake_stops_the_start(folder: Path, old: str, new: str) -> None:
    (folder / "cn.yaml").write_text(COUNTRY.replace(old, new), encoding="utf-8")
    with pytest.raises(StartupError):
        read_limits(folder)


def test_the_exchanges_limits_say_which_numbers_nobody_compared_with_the_law() -> None:
    limits = read_limits(EXCHANGE)
    assert limits.terms(ANSWER, "990100").limit == Limit(amount=10)
    assert limits.terms(ACKNOWLEDGE, "990100").verified
    assert {"application.conditional", ANSWER} <= set(limits.unverified())
    conditional = limits.terms("application.conditional", "990100")
    assert (conditional.limit.amount, conditional.extensions_max) == (10, 1)
    assert conditional.extension == Limit(amount=10)
