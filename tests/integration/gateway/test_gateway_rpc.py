# SPDX-License-Identifier: Apache-2.0
"""The gRPC door of the gateway with real certificates: who may ask what, and what departments get."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tongban.gateway.v1 import clocks_service_pb2 as clocks_pb
from tongban.gateway.v1 import gateway_pb2
from tongban.gateway.v1 import gateway_service_pb2 as pb
from tongban.gateway.v1.clocks_service_pb2_grpc import ClockServiceStub, add_ClockServiceServicer_to_server
from tongban.gateway.v1.engine_service_pb2 import ListParkedCasesRequest, ResumeStepRequest, SignalCaseRequest
from tongban.gateway.v1.engine_service_pb2_grpc import (
    OperatorServiceStub,
    SignalServiceStub,
    add_OperatorServiceServicer_to_server,
    add_SignalServiceServicer_to_server,
)
from tongban.gateway.v1.gateway_service_pb2_grpc import (
    StepServiceStub,
    TaskServiceStub,
    add_StepServiceServicer_to_server,
    add_TaskServiceServicer_to_server,
)

from services.gateway.domain.history import Outcome
from services.gateway.rpc import ClockRpc, OperatorRpc, SignalRpc, StepRpc, TaskRpc, to_struct
from services.gateway.service import CaseStatus, CaseView, CreateCase, SubmitCase
from services.gateway.service.clock_desk import ClockDesk
from services.gateway.service.steps import ToldAnswer
from services.kit.caller import acting_as
from services.kit.certificates import CertificateAuthority, Identity
from services.kit.config import Common
from services.kit.errors import Code, RemoteRefusal, RequestInvalid, Unavailable
from services.kit.ids import new_id
from services.kit.rights import RightsSource, Standing
from services.kit.rpc.admission import Doorkeeper
from services.kit.rpc.peer import Peer
from services.kit.rpc.server import Server
from services.kit.tokens import KeySet, TokenVerifier
from tests.support.gateway_matters import HEALTH, HOSPITAL, MOTHER, POLICE, field, plan_of, step, workflows_of
from tests.support.gateway_memory import MemoryGatewayStore
from tests.support.gateway_world import RESIDENT, MovingClock, World
from tests.support.mesh import free_port

PLAN = plan_of(
    step("who", "verify", input={"subject_id": "applicant.id", "name": "answers.name"}),
    step("work", needs=["who"], input={"name": "answers.name"}, output={"number": "serial", "kg": "number?"}),
    form=(field("name"),),
    limits={"decision": {"terms": "decision", "promise": 5}},
)


@dataclass
class Door:
    """The server, its use cases, and ways to it."""

    world: World
    port: int
    authority: CertificateAuthority
    pki: Path
    stack: AsyncExitStack

    async def peer(self, spiffe_id: str) -> Peer:
        self.authority.ensure(spiffe_id)
        identity = Identity.open(self.pki, spiffe_id)
        opened = Peer.open(f"127.0.0.1:{self.port}", identity, self.world.telemetry, server_name="gateway")
        return await self.stack.enter_async_context(opened)


RIGHTS = {HOSPITAL: "gateway.tasks", HEALTH: "gateway.clocks"}


async def standing(uscc: str) -> Standing:
    return Standing(active=True, rights=frozenset({RIGHTS[uscc]} if uscc in RIGHTS else ()))


async def no_keys() -> KeySet:
    raise Unavailable("There are no keys here.")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    pki = tmp_path / "pki"
    authority = CertificateAuthority.open(pki)
    authority.ensure("spiffe://tongban/service/gateway")
    identity = Identity.open(pki, "spiffe://tongban/service/gateway")
    world = World(MemoryGatewayStore(), workflows_of(PLAN), MovingClock())
    settings = Common(
        database=f"sqlite:///{tmp_path}/x.sqlite",
        events=f"sqlite:///{tmp_path}/e.sqlite",
        pki=pki,
        keys=tmp_path,
        grpc_port=free_port(),
    )
    server = Server(
        "gateway", settings, identity, world.telemetry, Doorkeeper(TokenVerifier(no_keys), RightsSource(standing))
    )
    server.add(
        [
            (add_StepServiceServicer_to_server, StepRpc(world.steps)),
            (add_TaskServiceServicer_to_server, TaskRpc(world.tasks, world.dealings)),
            (add_OperatorServiceServicer_to_server, OperatorRpc(world.operators)),
            (add_SignalServiceServicer_to_server, SignalRpc(world.outside)),
            (add_ClockServiceServicer_to_server, ClockRpc(ClockDesk(world.engine))),
        ]
    )
    await server.start()
    async with AsyncExitStack() as stack:
        yield Door(world, server.port, authority, pki, stack)
    await server.drain(0.5)


@pytest.fixture
async def case(door: Door) -> CaseView:
    with acting_as(RESIDENT):
        draft = await door.world.service.create_case(CreateCase("sample", {"name": "小明"}))
        return await door.world.service.submit_case(SubmitCase(draft.id))


async def verified(door: Door, case: CaseView) -> None:
    told = ToldAnswer("identity", case.id, "who", 1, Outcome.DONE, output={"result": "match"})
    await door.world.steps.answered(told, delivery_id="d")


async def test_only_the_owner_of_a_step_reads_its_input(door: Door, case: CaseView) -> None:
    identity = await door.peer("spiffe://tongban/service/identity")
    asked = pb.GetStepInputRequest(case_id=case.id, step_id="who", attempt=1)
    given = (await identity.call(identity.stub(StepServiceStub).GetStepInput, asked)).input
    assert dict(given.input) == {"subject_id": MOTHER, "name": "小明"}
    assert (given.kind, given.agency, given.purpose) == (gateway_pb2.STEP_KIND_VERIFY, HOSPITAL, "sample")
    for spiffe_id, reason in (
        ("spiffe://tongban/service/licenses", "STEP_NOT_YOURS"),
        (f"spiffe://tongban/agency/{HOSPITAL}", "CALLER_NOT_ALLOWED"),
        ("spiffe://tongban/operator/op", "CALLER_NOT_ALLOWED"),
    ):
        peer = await door.peer(spiffe_id)
        with pytest.raises(RemoteRefusal) as caught:
            await peer.call(peer.stub(StepServiceStub).GetStepInput, asked)
        assert (caught.value.code, caught.value.reason) == (Code.PERMISSION_DENIED, reason)
    with pytest.raises(RemoteRefusal) as late:
        await identity.call(
            identity.stub(StepServiceStub).GetStepInput,
            pb.GetStepInputRequest(case_id=case.id, step_id="who", attempt=2),
        )
    assert (late.value.code, late.value.reason) == (Code.FAILED_PRECONDITION, "STEP_NOT_OPEN")


async def test_a_department_takes_its_task_when_it_comes_and_completes_it(door: Door, case: CaseView) -> None:
    clinic = await door.peer(f"spiffe://tongban/agency/{HOSPITAL}")
    stub = clinic.stub(TaskServiceStub)
    got: asyncio.Queue[gateway_pb2.Task] = asyncio.Queue()

    async def take() -> None:
        async for response in clinic.stream(stub.TakeTasks, pb.TakeTasksRequest()):
            await got.put(response.task)

    taking = asyncio.create_task(take())
    await verified(door, case)
    async with asyncio.timeout(10):
        task = await got.get()
    assert (task.operation, task.matter, dict(task.input)) == ("work", "sample", {"name": "小明"})
    renewed = await clinic.call(
        stub.RenewLease, pb.RenewLeaseRequest(task_id=task.task_id, lease_token=task.lease_token)
    )
    assert renewed.lease_expire_time.seconds == task.lease_expire_time.seconds

    def answer(request_id: str, **output: object) -> pb.CompleteTaskRequest:
        return pb.CompleteTaskRequest(
            request_id=request_id, task_id=task.task_id, lease_token=task.lease_token, output=to_struct(output)
        )

    with pytest.raises(RemoteRefusal) as caught:
        await clinic.call(stub.CompleteTask, answer(new_id(), kg="heavy"))
    assert (caught.value.code, caught.value.reason) == (Code.INVALID_ARGUMENT, "TASK_OUTPUT_INVALID")
    assert [one.field for one in caught.value.violations] == ["output.number", "output.kg"]
    request_id = new_id()
    await clinic.call(stub.CompleteTask, answer(request_id, number="Z1", kg=3500))
    await clinic.call(stub.CompleteTask, answer(request_id, number="Z1", kg=3500))
    with pytest.raises(RemoteRefusal) as again:
        await clinic.call(stub.CompleteTask, answer(new_id(), number="Z1"))
    assert again.value.reason == "TASK_NOT_OPEN"
    with acting_as(RESIDENT):
        assert (await door.world.service.case(case.id)).status is CaseStatus.COMPLETED
    taking.cancel()


async def test_a_department_refuses_in_words_that_the_resident_reads(door: Door, case: CaseView) -> None:
    await verified(door, case)
    clinic = await door.peer(f"spiffe://tongban/agency/{HOSPITAL}")
    stub = clinic.stub(TaskServiceStub)
    async for response in clinic.stream(stub.TakeTasks, pb.TakeTasksRequest(operations=["work"])):
        refusal = pb.RefuseTaskRequest(
            request_id=new_id(),
            task_id=response.task.task_id,
            lease_token=response.task.lease_token,
            reason="NOT_ELIGIBLE",
            message_zh="不符合条件",
            message_en="Not eligible",
        )
        await clinic.call(stub.RefuseTask, refusal)
        break
    with acting_as(RESIDENT):
        after = await door.world.service.case(case.id)
    assert (after.status, after.reason) == (CaseStatus.REFUSED, "NOT_ELIGIBLE")
    assert after.message is not None
    assert after.message.en == "Not eligible"


async def test_departments_without_the_right_and_services_take_nothing(door: Door) -> None:
    for spiffe_id, reason in (
        (f"spiffe://tongban/agency/{POLICE}", "RIGHT_MISSING"),
        ("spiffe://tongban/service/licenses", "CALLER_NOT_ALLOWED"),
    ):
        peer = await door.peer(spiffe_id)
        with pytest.raises(RemoteRefusal) as caught:
            await anext(peer.stream(peer.stub(TaskServiceStub).TakeTasks, pb.TakeTasksRequest(), timeout_seconds=5))
        assert caught.value.reason == reason


async def test_a_malformed_request_is_refused_before_it_is_looked_at(door: Door) -> None:
    clinic = await door.peer(f"spiffe://tongban/agency/{HOSPITAL}")
    bad = pb.CompleteTaskRequest(request_id="x", task_id="y", lease_token="")
    with pytest.raises(RemoteRefusal) as caught:
        await clinic.call(clinic.stub(TaskServiceStub).CompleteTask, bad)
    assert caught.value.reason == RequestInvalid.reason
    assert {one.field for one in caught.value.violations} == {"request_id", "task_id", "lease_token"}


async def test_the_leading_body_reads_how_a_date_was_counted_and_stops_the_clock_with_a_reason(
    door: Door, case: CaseView
) -> None:
    lead = await door.peer(f"spiffe://tongban/agency/{HEALTH}")
    stub = lead.stub(ClockServiceStub)
    given = (await lead.call(stub.GetCaseClocks, clocks_pb.GetCaseClocksRequest(case_id=case.id))).clocks
    (decision,) = given.clocks
    promise = next(each for each in decision.limits if each.bound == "promise")
    assert (decision.clock, decision.open, promise.due_date, promise.amount) == ("decision", True, "2026-11-30", 5)
    assert sum(days.number_last - days.number_first + 1 for days in promise.days if days.counts) == 5
    assert promise.derivation[-1].zh.startswith("于 2026-11-30 24:00 届满")
    why = {"because_zh": "等待外部鉴定", "because_en": "An outside test is awaited"}
    stop = clocks_pb.PauseClockRequest(request_id=new_id(), case_id=case.id, clock="decision", **why)
    for _ in range(2):
        paused = (await lead.call(stub.PauseClock, stop)).clocks.clocks[0]
        assert (paused.paused, [each.due_date for each in paused.limits]) == (True, ["", ""])
    with pytest.raises(RemoteRefusal) as extended:
        await lead.call(
            stub.ExtendClock,
            clocks_pb.ExtendClockRequest(
                request_id=new_id(), case_id=case.id, clock="decision", days=5, approved_by="head", **why
            ),
        )
    assert (extended.value.code, extended.value.reason) == (Code.FAILED_PRECONDITION, "DEADLINE_NOT_RUNNING")
    again = clocks_pb.ResumeClockRequest(request_id=new_id(), case_id=case.id, clock="decision")
    assert not (await lead.call(stub.ResumeClock, again)).clocks.clocks[0].paused
    more = clocks_pb.ExtendClockRequest(
        request_id=new_id(), case_id=case.id, clock="decision", days=5, approved_by="head", **why
    )
    longer = (await lead.call(stub.ExtendClock, more)).clocks.clocks[0]
    assert [(each.bound, each.amount) for each in longer.limits] == [("statutory", 25), ("promise", 10)]
    days = clocks_pb.ExcludeDaysRequest(
        request_id=new_id(), case_id=case.id, clock="decision", first_date="2026-11-24", last_date="2026-11-24", **why
    )
    left_out = (await lead.call(stub.ExcludeDays, days)).clocks.clocks[0]
    assert {each.reason for limit in left_out.limits for each in limit.days} >= {"excluded", "weekend", "working"}
    anew = clocks_pb.ResetClockRequest(request_id=new_id(), case_id=case.id, clock="decision", **why)
    assert [each.amount for each in (await lead.call(stub.ResetClock, anew)).clocks.clocks[0].limits] == [20, 5]


async def test_clocks_are_for_those_who_handle_the_case(door: Door, case: CaseView) -> None:
    for spiffe_id, reason in (
        (f"spiffe://tongban/agency/{POLICE}", "RIGHT_MISSING"),
        (f"spiffe://tongban/agency/{HOSPITAL}", "RIGHT_MISSING"),
        ("spiffe://tongban/service/licenses", "CALLER_NOT_ALLOWED"),
    ):
        peer = await door.peer(spiffe_id)
        with pytest.raises(RemoteRefusal) as caught:
            await peer.call(peer.stub(ClockServiceStub).GetCaseClocks, clocks_pb.GetCaseClocksRequest(case_id=case.id))
        assert caught.value.reason == reason


async def test_operators_find_what_is_parked_and_let_it_go_on(door: Door, case: CaseView) -> None:
    told = ToldAnswer("identity", case.id, "who", 1, Outcome.UNAVAILABLE, "SOURCE_DOWN")
    await door.world.steps.answered(told, delivery_id="down")
    operator = await door.peer("spiffe://tongban/operator/platform")
    stub = operator.stub(OperatorServiceStub)
    (parked,) = (await operator.call(stub.ListParkedCases, ListParkedCasesRequest())).cases
    assert (parked.case_id, parked.status) == (case.id, "parked")
    assert [(one.step_id, one.reason) for one in parked.parked] == [("who", "SOURCE_DOWN")]
    asked = ResumeStepRequest(request_id=new_id(), case_id=case.id, step_id="who", why="It is back.")
    after = (await operator.call(stub.ResumeStep, asked)).case
    assert (after.status, list(after.parked)) == ("submitted", [])
    hospital = await door.peer(f"spiffe://tongban/agency/{HOSPITAL}")
    with pytest.raises(RemoteRefusal) as refused:
        await hospital.call(hospital.stub(OperatorServiceStub).ResumeStep, asked)
    assert refused.value.code is Code.PERMISSION_DENIED


async def test_a_signal_needs_the_right_to_give_it(door: Door, case: CaseView) -> None:
    hospital = await door.peer(f"spiffe://tongban/agency/{HOSPITAL}")
    asked = SignalCaseRequest(request_id=new_id(), case_id=case.id, signal="inspected")
    with pytest.raises(RemoteRefusal) as refused:
        await hospital.call(hospital.stub(SignalServiceStub).SignalCase, asked)
    assert refused.value.reason == "RIGHT_MISSING"
