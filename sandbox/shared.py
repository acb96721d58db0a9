# SPDX-License-Identifier: Apache-2.0
"""What the offices' files share: resources of the catalogue over their registers, and who may ask for which matters."""

from collections.abc import Iterable
from pathlib import Path

from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import metadata_pb2 as metadata

from sandbox.agencies import Agency
from sandbox.catalogue import BASIS, conditional, granted
from sandbox.office import Office, Shared

_SENSITIVITY = {
    "general": nouns.SENSITIVITY_GENERAL,
    "personal": nouns.SENSITIVITY_PERSONAL,
    "sensitive": nouns.SENSITIVITY_SENSITIVE,
}
_TYPES = {"date": metadata.DATA_TYPE_DATE, "number": metadata.DATA_TYPE_INTEGER}
"""All else is text."""


def resources(agencies: dict[str, Agency], offices: Iterable[Office], *, folder: Path) -> list[nouns.Resource]:
    """Every shared table, read as SQL from the register of its department in `folder`."""
    return [
        conditional(
            code,
            (shared.title.zh, shared.title.en),
            agencies[office.key],
            nouns.ADAPTER_KIND_SQL,
            {"url": f"sqlite:///{folder / office.key}.sqlite", "statement": statement(shared)},
            fields=[
                (
                    one.name,
                    one.title.zh,
                    one.title.en,
                    _SENSITIVITY[one.sensitivity],
                    _TYPES.get(one.type, metadata.DATA_TYPE_TEXT),
                    one.length,
                )
                for one in shared.fields
            ],
            about=(shared.abstract.zh, shared.abstract.en, metadata.UPDATE_CYCLE_REAL_TIME, shared.basis),
        )
        for office in offices
        for code, shared in office.file.shares.items()
    ]


def held(offices: Iterable[Office]) -> dict[str, dict[str, str]]:
    """Code to field to kind of value, as `catalogue.held` tells it."""
    return {
        code: {one.name: one.type for one in shared.fields}
        for office in offices
        for code, shared in office.file.shares.items()
    }


def meanings(offices: Iterable[Office]) -> dict[str, dict[str, str]]:
    """What fields mean, where it is not `applicant.<name>`; see meanings.yaml."""
    return {
        code: {one.name: one.means for one in shared.fields if one.means}
        for office in offices
        for code, shared in office.file.shares.items()
    }


def grants(agencies: dict[str, Agency], offices: Iterable[Office]) -> list[nouns.Grant]:
    """One grant for each resource and agency, with every matter that it asks for."""
    return [
        granted(code, agencies[grantee], purposes, [one.name for one in shared.fields], basis=BASIS)
        for office in offices
        for code, shared in office.file.shares.items()
        for grantee, purposes in shared.grants.items()
    ]


def statement(shared: Shared) -> str:
    """The one statement that the broker runs."""
    columns = ", ".join(one.name for one in shared.fields)
    return f"SELECT {shared.by} AS subject_key, {columns} FROM {shared.table} WHERE {shared.by} = :subject_key"  # noqa: S608 - names of the file's pattern
