# SPDX-License-Identifier: Apache-2.0
"""ClockService: what officers read and do; rights and field rules stand in the contract."""

from datetime import date, datetime
from typing import Any

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from tongban.gateway.v1 import clocks_pb2, clocks_service_pb2_grpc
from tongban.gateway.v1 import clocks_service_pb2 as pb

from services.gateway.domain.expected_end import ExpectedEnd
from services.gateway.domain.refusals import DaysInvalid
from services.gateway.service.clock_desk import CaseClocks, ClockDesk, OnClock
from services.gateway.service.clocks import ClockView, CountedView, DaysView
from services.kit.text import Text

Context = grpc.aio.ServicerContext[Any, Any]
Reasoned = pb.PauseClockRequest | pb.ResetClockRequest | pb.ExtendClockRequest | pb.ExcludeDaysRequest


class ClockRpc(clocks_service_pb2_grpc.ClockServiceServicer):
    """One use case each."""

    def __init__(self, clocks: ClockDesk) -> None:
        self._clocks = clocks

    async def GetCaseClocks(self, request: pb.GetCaseClocksRequest, context: Context) -> pb.GetCaseClocksResponse:
        """Every clock of a case."""
        return pb.GetCaseClocksResponse(clocks=_to_wire(await self._clocks.clocks(request.case_id)))

    async def PauseClock(self, request: pb.PauseClockRequest, context: Context) -> pb.PauseClockResponse:
        """Stop."""
        return pb.PauseClockResponse(clocks=_to_wire(await self._clocks.pause(_command(request))))

    async def ResumeClock(self, request: pb.ResumeClockRequest, context: Context) -> pb.ResumeClockResponse:
        """Run on."""
        command = OnClock(request.request_id, request.case_id, request.clock, Text("恢复计时", "It runs on"))
        return pb.ResumeClockResponse(clocks=_to_wire(await self._clocks.resume(command)))

    async def ResetClock(self, request: pb.ResetClockRequest, context: Context) -> pb.ResetClockResponse:
        """Run anew."""
        return pb.ResetClockResponse(clocks=_to_wire(await self._clocks.reset(_command(request))))

    async def ExtendClock(self, request: pb.ExtendClockRequest, context: Context) -> pb.ExtendClockResponse:
        """More time."""
        made = await self._clocks.extend(_command(request), days=request.days, approved_by=request.approved_by)
        return pb.ExtendClockResponse(clocks=_to_wire(made))

    async def ExcludeDays(self, request: pb.ExcludeDaysRequest, context: Context) -> pb.ExcludeDaysResponse:
        """Days that don't count."""
        first, last = _day(request.first_date), _day(request.last_date)
        return pb.ExcludeDaysResponse(
            clocks=_to_wire(await self._clocks.exclude(_command(request), first=first, last=last))
        )


def _command(request: Reasoned) -> OnClock:
    because = Text(request.because_zh, request.because_en)
    return OnClock(request.request_id, request.case_id, request.clock, because)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise DaysInvalid("There is no such day.") from error


def _to_wire(made: CaseClocks) -> clocks_pb2.CaseClocks:
    return clocks_pb2.CaseClocks(
        case_id=made.case_id,
        clocks=[_clock(each) for each in made.clocks],
        expected_end=_end(made.expected_end) if made.expected_end is not None else None,
    )


def _clock(view: ClockView) -> clocks_pb2.CaseClock:
    return clocks_pb2.CaseClock(
        clock=view.clock,
        step_id=view.step_id,
        title=_words(view.title),
        open=view.open,
        paused=view.paused,
        late=view.late,
        since_time=_stamp(view.since),
        limits=[_limit(each) for each in view.limits],
    )


def _limit(view: CountedView) -> clocks_pb2.CountedLimit:
    return clocks_pb2.CountedLimit(
        bound=view.bound,
        state=view.state,
        amount=view.amount,
        unit=view.unit,
        due_time=_stamp(view.due) if view.due is not None else None,
        due_date=view.due_date.isoformat() if view.due_date is not None else "",
        late=view.late,
        basis=_words(view.basis),
        verified=view.verified,
        extensions=view.extensions,
        provisional=view.provisional,
        calendar=view.calendar,
        calendar_version=view.calendar_version,
        days=[_days(each) for each in view.days],
        derivation=[clocks_pb2.Words(zh=line.zh, en=line.en) for line in view.derivation],
    )


def _days(view: DaysView) -> clocks_pb2.CountedDays:
    return clocks_pb2.CountedDays(
        first_date=view.first.isoformat(),
        last_date=view.last.isoformat(),
        reason=view.why,
        occasion=_words(view.occasion),
        counts=view.counts,
        number_first=view.number_first,
        number_last=view.number_last,
        provisional=view.provisional,
    )


def _end(end: ExpectedEnd) -> clocks_pb2.CaseEnd:
    return clocks_pb2.CaseEnd(
        date=end.day.isoformat() if end.day is not None else "",
        provisional=end.provisional,
        path=[each.step_id for each in end.path],
        derivation=[clocks_pb2.Words(zh=line.zh, en=line.en) for line in end.derivation],
    )


def _words(text: Text | None) -> clocks_pb2.Words | None:
    return clocks_pb2.Words(zh=text.zh, en=text.en) if text is not None else None


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
