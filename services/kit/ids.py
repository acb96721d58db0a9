# SPDX-License-Identifier: Apache-2.0
"""Identifiers: random ones for things, derived ones for what must come out the same twice."""

import uuid

_NAMESPACE = uuid.UUID("9d2c7f0e-3a54-5a0e-8a53-5b1f6f1b7c11")


def new_id() -> str:
    """Give a random UUID (version 4), lower case with hyphens."""
    return str(uuid.uuid4())


def derived_id(*parts: str) -> str:
    """Give the UUID (version 5) that belongs to these parts: the same parts, the same id.

    Each part is written with its length, so that ("ab", "c") and ("a", "bc") differ.
    """
    return str(uuid.uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))
