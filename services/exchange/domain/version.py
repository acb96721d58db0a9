# SPDX-License-Identifier: Apache-2.0
"""Versions of a resource side by side, and what differs between two."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from services.exchange.domain.resource import Resource


class By(NamedTuple):
    """Who changed a resource, as `agency:<USCC>` or `operator:<name>`, and by which change, empty where directly."""

    label: str
    change_id: str = ""


NOBODY = By("")
"""For what was there before changes were attributed."""


@dataclass(frozen=True, slots=True)
class Version:
    """A resource as it was from a moment on. Adapter settings are not kept with earlier versions."""

    resource: Resource
    change_time: datetime
    by: By


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two versions differ: `fields.address.label_zh`, `metadata.update_cycle`. None: not there.

    A place is never empty: what is not stated is not there.
    """

    path: str
    before: str | None
    after: str | None


def differences(before: Resource | None, after: Resource | None) -> tuple[Difference, ...]:
    """Tell what differs between two versions, by path; how a resource is reached and its revision don't count."""
    old, new = places(before), places(after)
    return tuple(
        Difference(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def places(resource: Resource | None) -> dict[str, str]:
    """Give everything that the catalogue says of a resource as text by path."""
    if resource is None:
        return {}
    said = {
        name: getattr(resource, name)
        for name in ("code", "name_zh", "name_en", "provider", "sharing_class", "sharing_reason", "region", "retired")
    }
    fields = {each.name: asdict(each) for each in resource.fields}
    order = [each.name for each in resource.fields]
    return dict(_flat({**said, "fields": fields, "field_order": order, "metadata": asdict(resource.metadata)}))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _flat(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        if value:
            yield path, ", ".join(map(str, value))
    elif value:
        yield path, str(value)
