# SPDX-License-Identifier: Apache-2.0
"""The service of one resource: what its addresses ask, put to the same use cases as over gRPC."""

import re
from dataclasses import dataclass
from typing import Any

from services.exchange.domain.inquiry import Query, Subject, SubjectKind, Verification
from services.exchange.domain.refusals import NoGrant
from services.exchange.domain.resource import Resource
from services.exchange.domain.xroad import Message, XroadMessageInvalid, XroadServiceUnknown
from services.exchange.rest.xroad.bodies import QueryBody, VerifyBody, of_answer, of_comparison, read_body, read_fields
from services.exchange.service.queries import QueryService
from services.exchange.service.rulebook import Rulebook
from services.kit.caller import Caller
from services.kit.errors import NotFound, Refusal, RequestInvalid, Violation

ENDPOINTS = (("POST", "/query"), ("POST", "/verify"), ("GET", "/subjects/*"), ("GET", "/organizations/*"))
"""What every service takes. Numbers of persons never stand in an address: addresses are written down on the way."""

_RECORD = re.compile(r"/(subjects|organizations)/([A-Za-z0-9-]{1,40})")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class ResourceCalls:
    """Answers calls of resources."""

    queries: QueryService
    rulebook: Rulebook

    async def resource(self, message: Message) -> Resource | None:
        """Give the resource that is called, None where there is none."""
        return await self.rulebook.resource(message.service.resource)

    async def answer(
        self, message: Message, known: Resource | None, query: str, body: bytes, caller: Caller
    ) -> dict[str, Any]:
        """Answer one call of the resource that is `known` by its code, under its grant, with its leaf."""
        if known is not None and known.provider != message.service.member:
            raise _unknown(caller)
        if not message.purpose:
            raise XroadMessageInvalid(
                "A use of data states its purpose.",
                violations=[Violation("X-Road-Issue", "<purpose code>, or <purpose code>;<case number>.")],
            )
        if message.represented not in {"", caller.agency}:
            raise RequestInvalid(
                "An agency asks for itself.",
                violations=[Violation("X-Road-Represented-Party", "The member of X-Road-Client, or left out.")],
            )
        try:
            return await self._asked(message, query, body, caller)
        except Refusal as refusal:
            if refusal.reason == "NO_GRANT" and known is None:
                raise _unknown(caller) from None
            raise

    async def _asked(self, message: Message, query: str, body: bytes, caller: Caller) -> dict[str, Any]:
        if (message.method, message.path) == ("POST", "/verify"):
            asked = read_body(VerifyBody, body)
            verification = Verification(
                resource=message.service.resource,
                subject=asked.subject.subject(),
                values=dict(asked.values),
                purpose=message.purpose,
                case_id=message.case_id,
            )
            return of_comparison(await self.queries.verify(verification, caller))
        subject, fields = _question(message, query, body)
        question = Query(
            resource=message.service.resource,
            subject=subject,
            fields=fields,
            purpose=message.purpose,
            case_id=message.case_id,
        )
        return of_answer(await self.queries.query(question, caller))


def _question(message: Message, query: str, body: bytes) -> tuple[Subject, tuple[str, ...]]:
    if (message.method, message.path) == ("POST", "/query"):
        asked = read_body(QueryBody, body)
        return asked.subject.subject(), asked.fields
    place = _RECORD.fullmatch(message.path)
    if message.method != "GET" or place is None:
        raise NotFound("The service takes " + ", ".join(f"{verb} {path}" for verb, path in ENDPOINTS) + ".")
    kind, key = place.groups()
    if kind == "organizations":
        return Subject(SubjectKind.USCC, key), read_fields(query)
    if not _UUID.fullmatch(key):
        raise NotFound("A person is named by subject id here; ask by number with POST /query.")
    return Subject(SubjectKind.SUBJECT_ID, key), read_fields(query)


def _unknown(caller: Caller) -> Refusal:
    """Say that there is no such service to those who may read the catalogue; others can't probe codes."""
    if caller.may("exchange.read"):
        return XroadServiceUnknown("The member has no such service.")
    return NoGrant("The agency has no grant on this resource.", remedy="Apply to the provider for a grant.")
