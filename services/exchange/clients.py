# SPDX-License-Identifier: Apache-2.0
"""Identity and the gateway, in the exchange's words."""

from collections.abc import Sequence

from google.protobuf.struct_pb2 import Struct
from tongban.gateway.v1.gateway_pb2 import STEP_KIND_FETCH, StepInput
from tongban.gateway.v1.gateway_service_pb2 import GetStepInputRequest
from tongban.gateway.v1.gateway_service_pb2_grpc import StepServiceStub
from tongban.identity.v1 import identity_pb2
from tongban.identity.v1.identity_service_pb2 import ListAgenciesRequest, ResolvePersonRequest, VerifyPersonRequest
from tongban.identity.v1.identity_service_pb2_grpc import AgencyServiceStub, IdentityServiceStub

from services.exchange.domain.inquiry import Query, Subject, SubjectKind
from services.kit.errors import RemoteRefusal, RequestInvalid, Unavailable, Violation
from services.kit.rpc.peer import Peer

# Why the exchange looks up whose number it was given: to account for the use (PIPL, art. 51) and to show it to them.
_ACCOUNTING = "PIPL art. 51"
_PERMIT_REGIONS = ("810000", "820000", "830000")
_OLD_CARD = 15
_SYNTHETIC = "99"
_STEP_NOT_OPEN = "STEP_NOT_OPEN"
_AGENCY_PAGE, _AGENCY_PAGES_MAX = 200, 50


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
