# SPDX-License-Identifier: Apache-2.0
"""Matters: what can be asked for."""

from pydantic import Field

from services.gateway.rest.shapes.base import Agency, Shape, Words
from services.gateway.rest.shapes.material import Material


class Choice(Shape):
    """One value of an enum field."""

    value: str = Field(examples=["female"])
    title: Words


class Prefill(Shape):
    """Where a field is filled from."""

    source: str = Field(description="`identity` or `exchange`.", examples=["exchange"])
    resource: str = Field(description="Code of the resource; empty for identity.", examples=["307001/000001"])
    field: str = Field(description="Name within the source.", examples=["spouse_name"])
    basis: str = Field(description="Legal basis of asking.")


class FormField(Shape):
    """One question of the form."""

    name: str = Field(description="Key within `answers`.", examples=["child_name"])
    type: str = Field(description="`text`, `date`, `enum`, `citizen_number` or `account`.", examples=["text"])
    title: Words
    required: bool
    sensitive: bool = Field(description="True where the stored value is shown masked.")
    read_only: bool = Field(description="True where only the source fills it; an answer to it is refused.")
    length_min: int = Field(description="Least number of characters.")
    length_max: int = Field(description="Greatest number of characters.")
    choices: list[Choice] = Field(description="Values of an enum; empty otherwise.")
    prefill: Prefill | None = Field(description="Where it is filled from; null where the resident answers.")


class Outline(Shape):
    """One step of a matter before anything has happened."""

    id: str = Field(examples=["household_registration"])
    kind: str = Field(
        description="`verify`, `fetch`, `license`, `task`, `decide`, `notify`, `wait`, `pay`, `sub_case` or `sign`.",
        examples=["task"],
    )
    title: Words
    agency: Agency | None = Field(description="Who does it; null where no department stands behind it.")
    optional: bool = Field(description="True where a case may be asked `without` it.")
    needs: list[str] = Field(description="Steps that must be done first.")
    after: list[str] = Field(description="Steps that must have settled first, however they ended.")


class Matter(Shape):
    """One thing that a resident can ask for."""

    code: str = Field(examples=["birth"])
    definition: str = Field(description="Content hash of the definition (hex SHA-256); a case is pinned to it.")
    basic_code: str = Field(description="Basic item code, 12 digits (ZWFW C0109.1-2018).")
    title: Words
    summary: Words
    lead: Agency = Field(description="The leading department.")
    basis: str = Field(description="Legal basis.")
    notes: list[Words] = Field(description="What is not verified, said openly.")
    fields: list[FormField] = Field(description="The one form.")
    steps: list[Outline] = Field(description="What will happen.")
    materials: list[Material] = Field(description="What is to be handed in beside the form.")
    several_drafts: bool = Field(description="Whether a person may have more than one draft of it at a time.")
    precheck: list[FormField] = Field(description="Questions of the eligibility check.")
    eligibility: list[Words] = Field(description="Its conditions; check them at /api/v1/matters/{code}/eligibility.")


class Matters(Shape):
    """All matters, by code."""

    matters: list[Matter]
