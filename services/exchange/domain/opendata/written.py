# SPDX-License-Identifier: Apache-2.0
"""An entry of the opening list as plain values: for its row, and for the process that makes a release of it."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from services.exchange.domain.metadata import Opening, UpdateCycle
from services.exchange.domain.opendata.dataset import (
    About,
    Column,
    Dataset,
    Form,
    License,
    Role,
    Theme,
)
from services.exchange.domain.opendata.source import FileSource, Source, SqlSource
from services.exchange.domain.opendata.steps import Step, StepKind

_WORDS = {"theme": Theme, "cycle": UpdateCycle, "license": License, "opening": Opening, "about": About, "form": Form}


def plain_of(dataset: Dataset) -> dict[str, Any]:
    """Write everything but the source, which may hold a password."""
    written = {each.name: getattr(dataset, each.name) for each in fields(Dataset) if each.name != "source"}
    written["keywords"] = list(dataset.keywords)
    written["columns"] = [
        {
            "name": each.name,
            "label_zh": each.label_zh,
            "label_en": each.label_en,
            "role": each.role.value,
            "steps": [step.plain() for step in each.steps],
        }
        for each in dataset.columns
    ]
    return written | {name: written[name].value for name in _WORDS}


def dataset_of(plain: Mapping[str, Any], source: Source) -> Dataset:
    """Read what `plain_of` wrote."""
    given = dict(plain)
    given |= {name: kind(given[name]) for name, kind in _WORDS.items()}
    given["keywords"] = tuple(given["keywords"])
    given["columns"] = tuple(
        Column(
            name=each["name"],
            label_zh=each["label_zh"],
            label_en=each["label_en"],
            role=Role(each["role"]),
            steps=tuple(Step(**{**step, "kind": StepKind(step["kind"])}) for step in each["steps"]),
        )
        for each in given["columns"]
    )
    return Dataset(**given, source=source)


def plain_source(source: Source) -> dict[str, str]:
    """Write a source, password and all: to be sealed, or sent to the process that reads it."""
    return asdict(source)


def source_of(plain: Mapping[str, str]) -> Source:
    """Read what `plain_source` wrote."""
    return FileSource(**plain) if "file" in plain else SqlSource(**plain)
