# SPDX-License-Identifier: Apache-2.0
"""YAML as people write it by hand: plain data, and a key that stands twice is an error (YAML 1.2, 3.2.1.1)."""

from typing import Any

import yaml
from yaml import YAMLError
from yaml.constructor import ConstructorError

__all__ = ["YAMLError", "load_yaml"]


class _OnceOnly(yaml.CSafeLoader):
    """The library takes the last of two equal keys without a word, and so loses what somebody wrote."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Read one document. Raises YAMLError, mostly with the place as its `problem_mark`."""
    return yaml.load(text, _OnceOnly)  # noqa: S506 - a safe loader
