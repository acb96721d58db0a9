# SPDX-License-Identifier: Apache-2.0
"""Who used my data, with proofs that a stranger can check."""

from typing import Annotated

from pydantic import Field, PlainSerializer

from services.gateway.rest.shapes.base import Agency, Moment, Shape


def _hex(value: bytes) -> str:
    return value.hex()


Hash = Annotated[bytes, PlainSerializer(_hex, return_type=str)]
"""32 bytes as 64 hexadecimal digits."""


class Head(Shape):
    """A signed tree head."""

    log: str = Field(examples=["exchange"])
    tree_size: int = Field(description="Number of leaves covered.")
    root_hash: Hash = Field(description="Hexadecimal.")
    signed: Moment
    jws: str = Field(description="Compact JWS (ES256) over canonical JSON `{log, root, size, time}`.")


class Proof(Shape):
    """Everything needed to check, offline, that the head covers the leaf (RFC 9162, 2.1.3)."""

    body: str = Field(description="The hashed bytes exactly: canonical JSON, UTF-8. leaf_hash = SHA-256(0x00 || body).")
    leaf_hash: Hash = Field(description="Hexadecimal.")
    path: list[Hash] = Field(description="Inclusion path, leaf side first, hexadecimal.")
    head: Head


class Access(Shape):
    """One use of the caller's personal data; refused ones too."""

    log: str = Field(description="The ledger: `identity`, `licenses` or `exchange`.", examples=["exchange"])
    index: int = Field(description="The leaf's index within the ledger, from 0.")
    time: Moment
    operation: str = Field(description="What was done.", examples=["exchange.query"])
    actor: str = Field(description="SPIFFE id of the machine that asked.")
    caller: str = Field(description="Who asked, `kind:id`.")
    on_behalf_of: Agency | None = Field(description="The department for which it was asked.")
    purpose: str = Field(examples=["birth"])
    basis: str = Field(description="Legal basis.")
    resource: str = Field(description="Code of the resource; empty where none.")
    fields: list[str] = Field(description="Names of the fields that were used.")
    case_id: str
    outcome: str = Field(description="`answered`, or the machine reason of the refusal.", examples=["answered"])
    proof: Proof


class Accesses(Shape):
    """Some accesses, newest first."""

    accesses: list[Access]
    next_page_token: str = Field(description="Give it as `page_token` for the next page; empty on the last.")
    missing: list[str] = Field(description="Ledgers that did not answer: the list is then not complete.")
