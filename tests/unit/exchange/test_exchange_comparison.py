# SPDX-License-Identifier: Apache-2.0
"""Yes or no per field."""

import pytest

from services.exchange.domain.answer import Scalar
from services.exchange.domain.comparison import compare


@pytest.mark.parametrize(
    ("given", "found", "matches"),
    [
        ("Li Wei", "Li Wei", True),
        ("  li   WEI ", "Li Wei", True),
        ("Ｌｉ Ｗｅｉ", "Li Wei", True),
        ("李伟", "李伟", True),
        ("李伟", "李玮", False),
        ("Li We", "Li Wei", False),
        ("Li Weii", "Li Wei", False),
        ("3", 3.0, True),
        ("3", 3, True),
        ("3.5", 3.5, True),
        ("true", True, True),
        ("1", True, False),
        ("", "", False),
        ("", None, False),
        ("none", None, False),
        (" ", "", False),
    ],
)
def test_values_match_by_their_normal_form(given: str, found: Scalar, matches: bool) -> None:
    assert compare({"field": given}, {"field": found}) == {"field": matches}


def test_a_field_that_the_record_lacks_does_not_match() -> None:
    assert compare({"a": "x", "b": "y"}, {"a": "x"}) == {"a": True, "b": False}
