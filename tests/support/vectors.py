# SPDX-License-Identifier: Apache-2.0
"""Shapes and specifications of others, read in place: the folder is named by TONGBAN_VECTORS, and skipped aloud without it."""

import os
from pathlib import Path

import pytest


def vectors(name: str) -> Path:
    """Give a folder of foreign vectors; where the folder of all of them is told, a missing one is a failure."""
    told = os.environ.get("TONGBAN_VECTORS", "")
    if not told:
        pytest.skip("TONGBAN_VECTORS names no folder of foreign vectors")
    folder = Path(told) / name
    if not folder.is_dir():
        pytest.fail(f"TONGBAN_VECTORS has no {name}")
    return folder
