# SPDX-License-Identifier: Apache-2.0
"""Who used my data, with proofs that a stranger can check."""

from typing import Annotated

from pydantic import Field, PlainSerializer

from services.gateway.rest.shapes.base import Agency, Moment, Shape, Words


def _hex(value: bytes) -> str:
    return value.hex()


Hash = Annotated[bytes, PlainSerializer(_hex, return_type=str)]
"""32 bytes as 64 hexadecimal digits."""


class Cosignature(Shape):
    """A witness's word to a head."""

    witness: str = Field(description="SPIFFE id of the agency.")
    jws: str = Field(description="Compact JWS (ES256, `x5c`) over canonical JSON `{log, root, size, time, witness}`.")


class Head(Shape):
    """A signed tree head."""

    log: str = Field(examples=["exchange"])
    tree_size: int = Field(description="Number of leaves covered.")
    root_hash: Hash = Field(description="Hexadecimal.")
    signed: Moment
    jws: str = Field(description="Compact JWS (ES256) over canonical JSON `{log, root, size, time}`.")
    cosignatures: list[Cosignature] = Field(description="What other agencies said to this head; empty for a new one.")


class Proof(Shape):
    """Everything needed to check, offline, that the head covers the leaf (RFC 9162, 2.1.3)."""

    body: str = Field(
        description="The hashed bytes exactly: canonical JSON, UTF-8. leaf_hash = SHA-256(0x00 || body). Empty where withheld."
    )
    leaf_hash: Hash = Field(description="Hexadecimal.")
    path: list[Hash] = Field(description="Inclusion path, leaf side first, hexadecimal.")
    head: Head


class Asker(Shape):
    """Who asked."""

    kind: str = Field(description="`self`, `agency`, `clerk`, `operator`, `service`, `citizen`.", examples=["agency"])
    name: Words
    agency: Agency | None = Field(description="The department, where it was one.")


class Withheld(Shape):
    """Why an entry's content is not shown. It is counted and proven all the same."""

    reason: str = Field(description="`hidden` by a countersigned order, or `archived`.", examples=["hidden"])
    order_id: str = Field(description="The order, where one hides it.")
    ends: Moment | None = Field(description="When it will be shown, where the law allows that to be told.")


class FieldName(Shape):
    """A field that was used."""

    name: str
    title: Words


class Access(Shape):
    """One use of the caller's personal data; refused ones too. Of one that is withheld there is the proof alone."""

    log: str = Field(description="The ledger: `identity`, `licenses`, `exchange` or `gateway`.", examples=["exchange"])
    index: int = Field(description="The leaf's index within the ledger, from 0.")
    time: Moment | None = Field(description="Null where withheld.")
    operation: str = Field(description="What was done.", examples=["exchange.query"])
    operation_name: Words
    actor: str = Field(description="SPIFFE id of the machine that asked.")
    caller: str = Field(description="Who asked, `kind:id`.")
    asked_by: Asker | None = Field(description="Who asked, in words; null where withheld.")
    on_behalf_of: Agency | None = Field(description="The department for which it was asked.")
    purpose: str = Field(examples=["birth"])
    purpose_name: Words
    basis: str = Field(description="Legal basis.")
    resource: str = Field(description="Code of the resource; empty where none.")
    resource_name: Words | None = Field(description="What the resource is called; null where it has no name.")
    fields: list[str] = Field(description="Names of the fields that were used.")
    field_names: list[FieldName] = Field(description="The same, with their titles.")
    case_id: str
    outcome: str = Field(description="`answered`, or the machine reason of the refusal.", examples=["answered"])
    outcome_name: Words
    withheld: Withheld | None = Field(description="Null where everything is shown.")
    proof: Proof


class Accesses(Shape):
    """Some accesses, newest first."""

    accesses: list[Access]
    next_page_token: str = Field(
        description="Give it as `page_token` for the next page; empty on the last. A page of a filtered list may be empty and have a next one."
    )
    missing: list[str] = Field(description="Ledgers that did not answer: list and numbers are then not complete.")
    total: int = Field(description="All entries about the caller, whatever the filter.")
    hidden: int = Field(
        description="How many of them an order hides now; each is in the unfiltered list, with its proof."
    )


class Fork(Shape):
    """What a witness found: a ledger is not what it was."""

    evidence_id: str
    log: str = Field(description="The ledger in question.")
    kind: str = Field(description="`forked`, `cut`, `inconsistent` or `key`.", examples=["forked"])
    witness: str = Field(description="SPIFFE id of the agency.")
    found: Moment
    jws: str = Field(
        description="Compact JWS (ES256, `x5c`) of the witness, with both signed heads and the proof that fails."
    )


class Forks(Shape):
    """What witnesses found, newest first; empty is good."""

    forks: list[Fork]
