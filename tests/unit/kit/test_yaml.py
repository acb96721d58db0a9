# SPDX-License-Identifier: Apache-2.0
"""YAML as people write it."""

from pathlib import Path

import pytest

from services.kit.yaml import YAMLError, load_yaml
from tests.support.system import ROOT


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3\n", "x: {a: 1, a: 1}", "- {1: a, 1: b}", "x: !!python/name:os.system", "a: [", "\x00"]
)
def test_what_says_two_things_or_is_none_is_an_error(text: str) -> None:
    with pytest.raises(YAMLError):
        load_yaml(text)


def test_a_merge_is_overridden() -> None:
    assert load_yaml("base: &b {a: 1}\nmine: {<<: *b, a: 2}\n") == {
        "base": {"a": 1},
        "mine": {"a": 2},
    }


FILES = [path for room in ("services", "sandbox", "deploy") for path in sorted((ROOT / room).rglob("*.yaml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_ours_says_a_thing_twice(path: Path) -> None:
    assert load_yaml(path.read_text(encoding="utf-8")) is not None
