# SPDX-License-Identifier: Apache-2.0
"""Identity and the gateway, in the exchange's words."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from google.protobuf.struct_pb2 import Struct
from tongban.exchange.v1 import lines_service_pb2 as lines_pb
from tongban.exchange.v1.lines_service_pb2 import AskLineRequest
from tongban.exchange.v1.lines_service_pb2_grpc import LineServiceStub
from tongban.gateway.v1.gateway_pb2 import STEP_KIND_FETCH, StepInput
from tongban.gateway.v1.gateway_service_pb2 import GetStepInputRequest
from tongban.gateway.v1.gateway_service_pb2_grpc import StepServiceStub
from tongban.identity.v1 import identity_pb2
from tongban.identity.v1.identity_service_pb2 import ListAgenciesRequest, ResolvePersonRequest, VerifyPersonRequest
from tongban.identity.v1.identity_service_pb2_grpc import AgencyServiceStub, IdentityServiceStub

from services.exchange.domain.inquiry import Inquiry, Query, Subject, SubjectKind
from services.exchange.domain.refusals import ProviderUnavailable
from services.exchange.service.connectors import Outcome, WorkAnswer
from services.kit.certificates import Identity
from services.kit.errors import RemoteFailure, RemoteRefusal, RequestInvalid, Unavailable, Violation
from services.kit.rpc.peer import Peer
from services.kit.telemetry import Telemetry

# Why the exchange looks up whose number it was given: to account for the use (PIPL, art. 51) and to show it to them.
_ACCOUNTING = "PIPL art. 51"
_PERMIT_REGIONS = ("810000", "820000", "830000")
_OLD_CARD = 15
_SYNTHETIC = "99"
_STEP_NOT_OPEN = "STEP_NOT_OPEN"
_AGENCY_PAGE, _AGENCY_PAGES_MAX = 200, 50
_WAYS_MAX = 64
_LINE_OUTCOMES: Mapping[int, Outcome] = {
    lines_pb.LineOutcome.Value(f"LINE_OUTCOME_{each.name}"): each for each in Outcome
}


class PersonsClient:
    """Finds persons at identity."""

    def __init__(self, identity: Peer) -> None:
        self._peer = identity
        self._stub = identity.stub(IdentityServiceStub)

    async def by_subject_id(self, subject_id: str, *, purpose: str, basis: str, on_behalf_of: str, case_id: str) -> str:
        """Give the person's number; identity writes a leaf for it."""
        request = ResolvePersonRequest(
            subject_id=subject_id,
            purpose=purpose,
            basis=basis,
            on_behalf_of=on_behalf_of,
            case_id=case_id,
            fields=["number"],
        )
        response = await self._peer.call(self._stub.ResolvePerson, request)
        return response.person.number

    async def by_number(self, number: str, *, purpose: str, case_id: str) -> str:
        """Give the subject id of a number, empty where nobody has it."""
        request = VerifyPersonRequest(
            number=number, number_kind=_kind_of(number), purpose=purpose, basis=_ACCOUNTING, case_id=case_id
        )
        response = await self._peer.call(self._stub.VerifyPerson, request)
        if response.result == identity_pb2.MATCH_RESULT_SOURCE_UNAVAILABLE:
            raise Unavailable("Identity could not look up the number.")
        return response.subject_id


class MembersClient:
    """Lists agencies at identity."""

    def __init__(self, identity: Peer) -> None:
        self._peer = identity
        self._stub = identity.stub(AgencyServiceStub)

    async def agencies(self) -> Sequence[tuple[str, str]]:
        """Give USCC and name of the active agencies, by USCC; at most 10,000."""
        found: list[tuple[str, str]] = []
        token = ""
        for _ in range(_AGENCY_PAGES_MAX):
            page = await self._peer.call(
                self._stub.ListAgencies, ListAgenciesRequest(page_size=_AGENCY_PAGE, page_token=token)
            )
            found += [(each.uscc, each.name_zh) for each in page.agencies if each.active]
            token = page.next_page_token
            if not token:
                break
        return found


class StepsClient:
    """Reads the inputs of steps at the gateway."""

    def __init__(self, gateway: Peer) -> None:
        self._peer = gateway
        self._stub = gateway.stub(StepServiceStub)

    async def question(self, case_id: str, step_id: str, attempt: int) -> Query | None:
        """Give the input of a FETCH step as a query on behalf of its agency; None once it is no longer open."""
        request = GetStepInputRequest(case_id=case_id, step_id=step_id, attempt=attempt)
        try:
            response = await self._peer.call(self._stub.GetStepInput, request)
        except RemoteRefusal as refusal:
            if refusal.reason == _STEP_NOT_OPEN:
                return None
            raise
        return _query(response.input)


def _query(step: StepInput) -> Query:
    if step.kind != STEP_KIND_FETCH or not step.agency:
        raise RequestInvalid("The step is no question of an agency to a department.")
    subjects = [(kind, text) for kind in SubjectKind if (text := _text(step.input, kind.value))]
    if len(subjects) != 1:
        raise RequestInvalid(
            "The step does not say whom it is about.",
            violations=[Violation("input", "Exactly one of subject_id, number and uscc.")],
        )
    return Query(
        resource=_text(step.input, "resource"),
        subject=Subject(*subjects[0]),
        fields=tuple(name.strip() for name in _text(step.input, "fields").split(",") if name.strip()),
        purpose=step.purpose,
        case_id=step.case_id,
        on_behalf_of=step.agency,
    )


def _text(given: Struct, name: str) -> str:
    """Read one text of a step's input, empty where there is none."""
    value = given.fields.get(name)
    if value is None or value.HasField("null_value"):
        return ""
    if not value.HasField("string_value"):
        raise RequestInvalid("The step's input can't be read.", violations=[Violation(f"input.{name}", "A text.")])
    return value.string_value


def _kind_of(number: str) -> "identity_pb2.NumberKind.ValueType":
    """Tell the kind of a number by its form; synthetic citizen numbers begin with 99, as no real number does."""
    if number.startswith(_PERMIT_REGIONS):
        return identity_pb2.NUMBER_KIND_RESIDENCE_PERMIT
    if len(number) == _OLD_CARD or (number.startswith("9") and not number.startswith(_SYNTHETIC)):
        return identity_pb2.NUMBER_KIND_PERMANENT_RESIDENT
    return identity_pb2.NUMBER_KIND_CITIZEN


class ProcessesClient:
    """The other processes of this service, each at its own address; ways are opened as they are needed."""

    def __init__(self, identity: Identity, telemetry: Telemetry) -> None:
        self._identity = identity
        self._telemetry = telemetry
        self._ways: OrderedDict[str, tuple[Peer, LineServiceStub, AsyncExitStack]] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    async def ask(self, address: str, provider: str, inquiry: Inquiry) -> WorkAnswer:
        """Ask over a line of the process at the address. Raises ProviderUnavailable where it is gone, also meanwhile."""
        request = AskLineRequest(
            provider=provider,
            resource=inquiry.resource,
            subject_key=inquiry.subject_key,
            fields=inquiry.fields,
            timeout_ms=max(1, int(inquiry.timeout_seconds * 1000)),
        )
        peer, stub = await self._way(address)
        try:
            response = await peer.call(stub.AskLine, request, timeout_seconds=inquiry.timeout_seconds)
        except (Unavailable, RemoteFailure):
            raise ProviderUnavailable("The process with the provider's line is gone.", retry_after_seconds=1) from None
        return WorkAnswer(_LINE_OUTCOMES.get(response.outcome, Outcome.FAILED), dict(response.values.items()))

    async def close(self) -> None:
        """Close every way."""
        while self._ways:
            await self._ways.popitem()[1][2].aclose()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _way(self, address: str) -> tuple[Peer, LineServiceStub]:
        way = self._ways.get(address)
        if way is None:
            stack = AsyncExitStack()
            opening = Peer.open(address, self._identity, self._telemetry, server_name="exchange")
            peer = await stack.enter_async_context(opening)
            way = self._ways.setdefault(address, (peer, peer.stub(LineServiceStub), stack))
            if len(self._ways) > _WAYS_MAX:
                closing = asyncio.create_task(self._ways.popitem(last=False)[1][2].aclose())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
        self._ways.move_to_end(address)
        return way[:2]
