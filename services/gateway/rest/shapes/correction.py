# SPDX-License-Identifier: Apache-2.0
"""Values that the calling resident disputes."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.gateway.rest.shapes.base import Agency, Asked, Moment, Shape, Words

_NO_CONTROLS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"


class Proof(Asked):
    """One proof, by reference: an own license, or a document that can be shown."""

    kind: Annotated[Literal["license", "document"], Field(examples=["document"])]
    reference: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9./_-]{8,100}$"),
        Field(
            description="Identifier or id of the license; SHA-256 or SM3 digest of the document, 64 hexadecimal digits.",
            examples=["6b" * 32],
        ),
    ]


class NewCorrection(Asked):
    """A value that is said to be wrong. Resource and field stand in the caller's accesses."""

    resource: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:-]{0,63}$"),
        Field(description="Code of the resource.", examples=["307002/000001"]),
    ]
    field: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"),
        Field(description="Name of the field.", examples=["address"]),
    ]
    claimed: Annotated[
        str,
        StringConstraints(max_length=500, pattern=_NO_CONTROLS),
        Field(description="What is right; empty where only the mistake is known."),
    ] = ""
    grounds: Annotated[
        str,
        StringConstraints(min_length=1, max_length=1000, pattern=_NO_CONTROLS),
        Field(description="Why.", examples=["我们已于三月搬家，户口已迁出。"]),
    ]
    proofs: Annotated[list[Proof], Field(min_length=1, max_length=10)]


class CorrectionSummary(Shape):
    """A disputed value without what is said about it."""

    correction_id: str = Field(description="UUID.")
    resource: str = Field(examples=["307002/000001"])
    field: str = Field(validation_alias="field_name", examples=["address"])
    provider: Agency
    state: str = Field(description="`open`, `confirmed`, `rejected`, `withdrawn` or `closed`.", examples=["open"])
    opened: Moment
    answered: Moment | None
    closed: Moment | None = Field(description="When every department that had the value has acknowledged.")
    extended: bool = Field(description="True once the provider has taken more time.")
    late: bool = Field(description="True once the provider's time has run out before it answered.")
    due: Moment | None = Field(description="The first moment that is too late for the provider's answer.")


class ProofShown(Shape):
    """One proof as it was given."""

    kind: str
    reference: str


class Correction(CorrectionSummary):
    """One disputed value with everything in it."""

    provisional: bool = Field(description="True where the due date rests on a year without announced holidays.")
    derivation: list[Words] = Field(description="How the due date was counted, line by line.")
    claimed: str
    grounds: str
    proofs: list[ProofShown]
    rejection: str = Field(description="Machine reason of a rejection; empty otherwise.", examples=["VALUE_CORRECT"])
    explanation: str = Field(description="The provider's own words.")
    receivers: int = Field(description="How many departments had received the value, and were told.")
    acknowledged: int = Field(description="How many of them have acknowledged.")


class Corrections(Shape):
    """Some corrections, newest first."""

    corrections: list[CorrectionSummary]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")
