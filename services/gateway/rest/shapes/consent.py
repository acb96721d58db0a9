# SPDX-License-Identifier: Apache-2.0
"""What departments may have of the resident's, and what they would see."""

from typing import Annotated

from pydantic import Field, StringConstraints

from services.gateway.rest.shapes.base import Agency, Asked, Moment, Shape, Words

_CODE = r"^[A-Za-z0-9][A-Za-z0-9_./:-]{0,99}$"
_NAME = r"^[a-z][a-z0-9_]{0,63}$"
_USCC = r"^[0-9A-HJ-NP-RT-UW-Y]{18}$"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


class NewConsent(Asked):
    """A consent that is given to one recipient (PIPL, art. 23: a separate one for each)."""

    grantee: Annotated[
        str,
        StringConstraints(pattern=_USCC),
        Field(description="USCC of the recipient.", examples=["1299010000000102XJ"]),
    ]
    resource: Annotated[
        str,
        StringConstraints(pattern=_CODE, max_length=64),
        Field(description="Code of the resource.", examples=["307002/000001"]),
    ]
    purpose: Annotated[str, StringConstraints(pattern=_CODE), Field(description="What for.", examples=["birth"])]
    fields: Annotated[
        list[Annotated[str, StringConstraints(pattern=_NAME)]],
        Field(min_length=1, max_length=100, description="Names of the fields, each once.", examples=[["address"]]),
    ]
    until: Annotated[
        str,
        StringConstraints(pattern=_DAY),
        Field(description="Last day (China) on which it holds, within five years.", examples=["2027-01-31"]),
    ]


class Confirmation(Asked):
    """The word of the resident."""

    token: Annotated[
        str,
        StringConstraints(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$"),
        Field(description="The token that came with the values."),
    ]


class Resource(Shape):
    """A data resource of a department."""

    code: str = Field(examples=["307002/000001"])
    name: Words


class NamedField(Shape):
    """A field, or a yes/no question, in words."""

    name: str = Field(examples=["address"])
    title: Words


class Consent(Shape):
    """Who may have what, from whom, what for, until when."""

    consent_id: str = Field(description="UUID.")
    grantee: Agency
    provider: Agency
    resource: Resource
    purpose: str = Field(examples=["birth"])
    fields: list[NamedField]
    given: Moment
    expires: Moment
    withdrawn: Moment | None = Field(description="Null where it was not. What was done before stays lawful.")


class Consents(Shape):
    """Some consents, newest first."""

    consents: list[Consent]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")


class PreviewSummary(Shape):
    """A transfer that waits, or has waited, for the resident's word."""

    preview_id: str = Field(description="UUID.")
    agency: Agency
    provider: Agency
    resource: Resource
    purpose: str = Field(examples=["birth"])
    case_id: str
    fields: list[NamedField]
    state: str = Field(description="`pending`, `confirmed`, `declined` or `collected`.", examples=["pending"])
    requested: Moment
    expires: Moment


class Preview(PreviewSummary):
    """The same with what would go."""

    values: dict[str, str | float | bool | None] | None = Field(
        description="Values by the field's name, exactly those that would be sent; null once it is decided."
    )
    token: str = Field(description="Stands for exactly these values, for 30 minutes; empty once it is decided.")


class Previews(Shape):
    """Some previews, newest first."""

    previews: list[PreviewSummary]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")
