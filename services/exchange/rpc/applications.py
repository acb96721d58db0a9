# SPDX-License-Identifier: Apache-2.0
"""ApplicationService: translate in, one use case, translate out."""

from typing import Any

from grpc import aio
from tongban.exchange.v1 import applications_pb2 as nouns
from tongban.exchange.v1 import applications_service_pb2 as pb
from tongban.exchange.v1 import applications_service_pb2_grpc

from services.exchange.domain.applications import Application, State
from services.exchange.domain.scope import Scope
from services.exchange.rpc.terms import terms_from, terms_to
from services.exchange.rpc.wire import moment_from
from services.exchange.service.applications import ApplicationService, Apply, Decision, Running
from services.kit.caller import current_caller
from services.kit.errors import Violation

Context = aio.ServicerContext[Any, Any]


class ApplicationRpc(applications_service_pb2_grpc.ApplicationServiceServicer):
    """Applications for grants."""

    def __init__(self, service: ApplicationService) -> None:
        self._service = service

    async def ApplyForGrant(self, request: pb.ApplyForGrantRequest, context: Context) -> pb.ApplyForGrantResponse:
        """Apply."""
        command = Apply(request.request_id, request.resource, request.scene, _scope_from(request.wanted, "wanted"))
        found = await self._service.apply(command, current_caller())
        return pb.ApplyForGrantResponse(application=_to(found))

    async def CompleteApplication(
        self, request: pb.CompleteApplicationRequest, context: Context
    ) -> pb.CompleteApplicationResponse:
        """Hand in again."""
        found = await self._service.complete(
            request.request_id,
            request.application_id,
            scene=request.scene,
            wanted=_scope_from(request.wanted, "wanted"),
            caller=current_caller(),
        )
        return pb.CompleteApplicationResponse(application=_to(found))

    async def HandBackApplication(
        self, request: pb.HandBackApplicationRequest, context: Context
    ) -> pb.HandBackApplicationResponse:
        """Hand back."""
        missing = tuple(Violation(each.part, each.words) for each in request.missing)
        found = await self._service.hand_back(request.request_id, request.application_id, missing, current_caller())
        return pb.HandBackApplicationResponse(application=_to(found))

    async def DecideApplication(
        self, request: pb.DecideApplicationRequest, context: Context
    ) -> pb.DecideApplicationResponse:
        """Decide as the provider."""
        decision = _decision(request)
        found = await self._service.decide(request.request_id, request.application_id, decision, current_caller())
        return pb.DecideApplicationResponse(application=_to(found))

    async def AskForExtension(self, request: pb.AskForExtensionRequest, context: Context) -> pb.AskForExtensionResponse:
        """Ask for more time."""
        found = await self._service.ask_extension(
            request.request_id, request.application_id, request.grounds, current_caller()
        )
        return pb.AskForExtensionResponse(application=_to(found))

    async def DecideExtension(self, request: pb.DecideExtensionRequest, context: Context) -> pb.DecideExtensionResponse:
        """Decide on more time."""
        found = await self._service.decide_extension(
            request.request_id,
            request.application_id,
            approved=request.approved,
            grounds=request.grounds,
            caller=current_caller(),
        )
        return pb.DecideExtensionResponse(application=_to(found))

    async def DisputeApplication(
        self, request: pb.DisputeApplicationRequest, context: Context
    ) -> pb.DisputeApplicationResponse:
        """Contest a refusal."""
        found = await self._service.dispute(
            request.request_id, request.application_id, request.grounds, current_caller()
        )
        return pb.DisputeApplicationResponse(application=_to(found))

    async def EscalateApplication(
        self, request: pb.EscalateApplicationRequest, context: Context
    ) -> pb.EscalateApplicationResponse:
        """End a negotiation."""
        found = await self._service.escalate(
            request.request_id, request.application_id, request.grounds, current_caller()
        )
        return pb.EscalateApplicationResponse(application=_to(found))

    async def ResolveApplication(
        self, request: pb.ResolveApplicationRequest, context: Context
    ) -> pb.ResolveApplicationResponse:
        """Decide as the sharing authority."""
        decision = _decision(request)
        found = await self._service.resolve(request.request_id, request.application_id, decision, current_caller())
        return pb.ResolveApplicationResponse(application=_to(found))

    async def WithdrawApplication(
        self, request: pb.WithdrawApplicationRequest, context: Context
    ) -> pb.WithdrawApplicationResponse:
        """Take back."""
        found = await self._service.withdraw(request.request_id, request.application_id, current_caller())
        return pb.WithdrawApplicationResponse(application=_to(found))

    async def GetApplication(self, request: pb.GetApplicationRequest, context: Context) -> pb.GetApplicationResponse:
        """Read one with its clock."""
        found, running = await self._service.get(request.application_id, current_caller())
        return pb.GetApplicationResponse(application=_to(found), clock=None if running is None else _clock_to(running))

    async def ListApplications(
        self, request: pb.ListApplicationsRequest, context: Context
    ) -> pb.ListApplicationsResponse:
        """List applications, newest first."""
        page = await self._service.list(
            as_provider=request.as_provider,
            state=_state_from(request.state),
            page_size=request.page_size,
            page_token=request.page_token,
            caller=current_caller(),
        )
        return pb.ListApplicationsResponse(
            applications=[_to(each) for each in page.rows], next_page_token=page.next_token
        )

    async def ListLateProviders(
        self, request: pb.ListLateProvidersRequest, context: Context
    ) -> pb.ListLateProvidersResponse:
        """List providers, the latest first."""
        page = await self._service.lateness(
            page_size=request.page_size, page_token=request.page_token, caller=current_caller()
        )
        rows = [
            pb.LateProvider(
                provider=each.provider,
                accepted=each.accepted,
                decided=each.decided,
                late=each.late,
                waiting=each.waiting,
            )
            for each in page.rows
        ]
        return pb.ListLateProvidersResponse(providers=rows, next_page_token=page.next_token)


def _decision(request: pb.DecideApplicationRequest | pb.ResolveApplicationRequest) -> Decision:
    given = _scope_from(request.given, "given") if request.HasField("given") else None
    return Decision(given, request.grounds)


def _scope_from(wire: nouns.GrantScope, path: str) -> Scope:
    ends = moment_from(wire.expire_time, f"{path}.expire_time") if wire.HasField("expire_time") else None
    return Scope(
        basis=wire.basis,
        purposes=tuple(wire.purposes),
        fields=tuple(wire.fields),
        verify_fields=tuple(wire.verify_fields),
        expire_time=ends,
        daily_quota=wire.daily_quota,
        terms=terms_from(wire.terms),
    )


def _scope_to(scope: Scope) -> nouns.GrantScope:
    wire = nouns.GrantScope(
        basis=scope.basis,
        purposes=scope.purposes,
        fields=scope.fields,
        verify_fields=scope.verify_fields,
        daily_quota=scope.daily_quota,
        terms=terms_to(scope.terms),
    )
    if scope.expire_time is not None:
        wire.expire_time.FromDatetime(scope.expire_time)
    return wire


def _to(found: Application) -> nouns.Application:
    wire = nouns.Application(
        application_id=found.application_id,
        resource=found.resource,
        requester=found.requester,
        provider=found.provider,
        scene=found.scene,
        wanted=_scope_to(found.wanted),
        state=nouns.ApplicationState.Value(f"APPLICATION_STATE_{found.state.name}"),
        missing=[nouns.MissingPart(part=each.field, words=each.description) for each in found.missing],
        reason=found.reason,
        given=None if found.given is None else _scope_to(found.given),
        grant_id=found.grant_id,
        narrowed=found.narrowed,
        overdue=found.overdue,
        final=found.final,
    )
    for step in found.history:
        act = nouns.ApplicationAct.Value(f"APPLICATION_ACT_{step.act.name}")
        wire.history.add(act=act, by=step.by, words=step.words).occur_time.FromDatetime(step.at)
    return wire


def _clock_to(running: Running) -> nouns.ApplicationClock:
    wire = nouns.ApplicationClock(
        name=running.name,
        unverified=running.unverified,
        derivation_zh=[each.zh for each in running.derivation],
        derivation_en=[each.en for each in running.derivation],
    )
    if running.due is not None:
        wire.due_time.FromDatetime(running.due)
    return wire


def _state_from(wire: "nouns.ApplicationState.ValueType") -> State | None:
    if not wire:
        return None
    return State[nouns.ApplicationState.Name(wire).removeprefix("APPLICATION_STATE_")]
