# SPDX-License-Identifier: Apache-2.0
"""What a service of a resource takes and gives: the same questions as over gRPC, as JSON."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.exchange.domain.inquiry import Subject, SubjectKind
from services.exchange.service.queries import Answered, Verified
from services.kit.errors import RequestInvalid, Violation
from services.kit.http.violations import violations_of
from services.kit.ledger.access import Receipt, rfc3339

FIELDS_MAX, VALUES_MAX = 100, 20

_FieldName = Annotated[str, Field(min_length=1, max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SubjectBody(_Body):
    """About whom: exactly one of the three."""

    subject_id: UUID | None = None
    number: Annotated[str, Field(min_length=15, max_length=18)] | None = None
    uscc: Annotated[str, Field(min_length=18, max_length=18)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.subject_id, self.number, self.uscc)) != 1:
            raise ValueError("exactly one of subject_id, number and uscc")
        return self

    def subject(self) -> Subject:
        """In the exchange's words."""
        if self.subject_id is not None:
            return Subject(SubjectKind.SUBJECT_ID, str(self.subject_id))
        if self.number is not None:
            return Subject(SubjectKind.NUMBER, self.number)
        return Subject(SubjectKind.USCC, self.uscc or "")


class QueryBody(_Body):
    """Ask for fields; none named: all that are granted."""

    subject: SubjectBody
    fields: Annotated[tuple[_FieldName, ...], Field(max_length=FIELDS_MAX)] = ()


class VerifyBody(_Body):
    """Compare values."""

    subject: SubjectBody
    values: Annotated[dict[_FieldName, str], Field(min_length=1, max_length=VALUES_MAX)]


BodyT = TypeVar("BodyT", bound=_Body)


def read_body(kind: type[BodyT], content: bytes) -> BodyT:
    """Read a JSON body. Raises RequestInvalid, which names fields and rules and never a value."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        found = violations_of(error.errors(include_url=False, include_input=False, include_context=False))
        raise RequestInvalid("The body breaks the contract of the service.", violations=found) from None


def read_fields(query: str) -> tuple[str, ...]:
    """Read `fields=a,b` of an address; any other parameter is refused, and one that comes twice (PR-REST 4.2)."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=1)
    except ValueError:
        pairs = [("", "")]
    if any(name != "fields" for name, _ in pairs):
        raise RequestInvalid("The address can't be read.", violations=[Violation("(query)", "Takes only: fields.")])
    names = [name.strip() for _, value in pairs for name in value.split(",") if name.strip()]
    if len(names) > FIELDS_MAX:
        raise RequestInvalid("Too many fields.", violations=[Violation("fields", f"At most {FIELDS_MAX}.")])
    return tuple(names)


def of_answer(answer: Answered) -> dict[str, Any]:
    """Write the granted fields."""
    return {
        "values": answer.values,
        "grant_id": answer.grant_id,
        "provider": answer.provider,
        "answer_time": rfc3339(answer.answer_time),
        "disputed": answer.disputed,
        "receipt": _receipt(answer.receipt),
    }


def of_comparison(answer: Verified) -> dict[str, Any]:
    """Write yes or no per field."""
    return {
        "matched": answer.matched,
        "fields": answer.fields,
        "disputed": answer.disputed,
        "grant_id": answer.grant_id,
        "receipt": _receipt(answer.receipt),
    }


def _receipt(receipt: Receipt) -> Mapping[str, Any]:
    return {
        "log": receipt.log,
        "index": receipt.index,
        "leaf_hash": receipt.leaf_hash.hex(),
        "blinding": receipt.blinding.hex(),
    }
