# SPDX-License-Identifier: Apache-2.0
"""How cases, matters and their histories are shown to their applicant."""

from services.gateway.domain.case import CaseState, StepState
from services.gateway.domain.definition import FormField, LicenseStep, Matter, OwnedStep, Step
from services.gateway.domain.expected_end import expected_end
from services.gateway.domain.form import masked
from services.gateway.domain.history import (
    AnswersChanged,
    CaseAccepted,
    CaseEnded,
    CaseGivenUp,
    CaseOpened,
    CaseOutcome,
    CaseSubmitted,
    ClockEvent,
    CorrectionMade,
    CorrectionRequested,
    DefinitionMoved,
    Event,
    ExpertAnswered,
    ExpertAsked,
    ExtensionDecided,
    ExtensionRequested,
    MaterialAdded,
    MaterialRemoved,
    Outcome,
    OutputConfirmed,
    OutputProposed,
    Prefilled,
    PrefillRepeated,
    RetryPlanned,
    SignalReceived,
    StepAnswered,
    StepFailed,
    StepHandedOver,
    StepParked,
    StepResumed,
    StepSkipped,
    StepStarted,
    SubCaseOpened,
    ValueCorrected,
    step_of,
)
from services.gateway.domain.plan import Plan
from services.gateway.domain.redress import Remedy, remedies
from services.gateway.domain.values import CHINA
from services.gateway.domain.wording import clock_kind, clock_title, clock_words
from services.gateway.service.clocks import clock_views
from services.gateway.service.engine import trace_id_of
from services.gateway.service.materials import materials_asked, materials_of
from services.gateway.service.ports import CaseFile, CaseRow
from services.gateway.service.views import (
    AgencyView,
    CaseSummary,
    CaseTrace,
    CaseView,
    ChoiceView,
    FieldView,
    IssuedLicense,
    MatterView,
    PrefilledField,
    PrefillView,
    StepOutline,
    StepView,
    TimelineEntry,
    ToCorrect,
)
from services.gateway.workflows import Agency, Workflows
from services.kit.text import Text


def agency_view(agency: Agency) -> AgencyView:
    """A department."""
    return AgencyView(agency.role, agency.uscc, agency.name)


def matter_view(plan: Plan, workflows: Workflows) -> MatterView:
    """A matter with its form and steps."""
    matter = plan.matter
    return MatterView(
        code=matter.code,
        definition=plan.digest,
        basic_code=matter.basic_code,
        title=matter.title,
        summary=matter.summary,
        lead=agency_view(workflows.agency(matter.lead)),
        basis=matter.basis,
        notes=matter.notes,
        fields=tuple(_field_view(one) for one in matter.form),
        steps=tuple(
            StepOutline(
                step.id, step.kind.value, step.title, _owner(step, workflows), step.optional, step.needs, step.after
            )
            for step in matter.steps
        ),
        several_drafts=matter.several_drafts,
        precheck=tuple(_field_view(one) for one in matter.precheck),
        eligibility=tuple(rule.title for rule in matter.eligibility),
        materials=materials_asked(plan),
    )


def case_view(file: CaseFile, plan: Plan, workflows: Workflows) -> CaseView:
    """A case as its applicant sees it."""
    state = file.state
    assert state.created is not None
    parked = state.parked_step
    return CaseView(
        id=file.case_id,
        receipt=state.receipt,
        matter=state.matter,
        title=plan.matter.title,
        definition=state.definition,
        status=state.status,
        reason=state.step(parked).reason if parked else state.reason,
        message=state.message,
        version=state.version,
        created=state.created,
        submitted=state.submitted,
        ended=state.ended,
        trace_id=trace_id_of(file.traceparent),
        answers=dict(state.answers),
        without=state.without,
        prefilled=tuple(
            _prefilled_view(one, state.prefilled[one.name]) for one in plan.matter.form if one.name in state.prefilled
        ),
        steps=tuple(_step_view(step, state, workflows) for step in plan.matter.steps),
        licenses=licenses_of(plan.matter, state),
        to_correct=_to_correct(plan.matter, state),
        redress=_redress(plan.matter, state),
        clocks=clock_views(workflows.clocks, plan.matter, state),
        expected_end=expected_end(workflows.clocks, plan, state),
        materials=materials_of(plan, state),
    )


def _to_correct(matter: Matter, state: CaseState) -> tuple[ToCorrect, ...]:
    asked = state.dealings.asked
    return tuple(
        ToCorrect(step_id, item.name, item.words, asked[step_id][-1] + matter.correction_limit)
        for step_id, items in state.open_corrections.items()
        for item in items
    )


def _redress(matter: Matter, state: CaseState) -> tuple[Remedy, ...]:
    if state.outcome is not CaseOutcome.REFUSED or state.ended is None:
        return ()
    return remedies(matter.redress, state.ended.astimezone(CHINA).date())


def case_summary(row: CaseRow, title: Text) -> CaseSummary:
    """One row of a list."""
    return CaseSummary(
        row.case_id, row.receipt, row.matter, title, row.status, row.version, row.created, row.submitted, row.ended
    )


def case_trace(row: CaseRow) -> CaseTrace:
    """From a receipt to a trace."""
    return CaseTrace(
        row.case_id, row.receipt, row.matter, row.status, trace_id_of(row.traceparent), row.created, row.submitted
    )


def licenses_of(matter: Matter, state: CaseState) -> tuple[IssuedLicense, ...]:
    """Licenses that the case has led to so far."""
    return tuple(
        IssuedLicense(
            step_id=step.id,
            type_code=step.license_type,
            license_id=str(record.output.get("license_id", "")),
            identifier=str(record.output.get("identifier", "")),
            version=int(str(record.output.get("version") or 1)),
        )
        for step in matter.steps
        if isinstance(step, LicenseStep) and not step.ends and (record := state.step(step.id)).state is StepState.DONE
    )


def timeline_entry(seq: int, event: Event, plan: Plan, workflows: Workflows) -> TimelineEntry:
    """One thing that happened, in words."""
    compiled = plan.compiled(step_of(event))
    step = compiled.step if compiled else None
    if isinstance(event, CaseAccepted | ClockEvent):
        words = clock_words(event, clock_title(plan.matter, event))
        owner = _owner(step, workflows) if step else None
        return TimelineEntry(seq, event.at, clock_kind(event), words, step_of(event), owner)
    kind, zh, en = _words(event)
    title = step.title if step else None
    if title and compiled and compiled.undoes:
        title = Text(f"撤销“{title.zh}”", f"Undoing of “{title.en}”")
    return TimelineEntry(
        seq=seq,
        time=event.at,
        kind=kind,
        text=Text(f"{title.zh}：{zh}", f"{title.en}: {en}") if title else Text(zh, en),
        step_id=step_of(event),
        agency=_owner(step, workflows) if step else None,
        attempt=getattr(event, "attempt", 0),
        reason=getattr(event, "reason", ""),
        message=getattr(event, "message", None),
    )


def _words(event: Event) -> tuple[str, str, str]:  # noqa: C901, PLR0911, PLR0912 - one arm for each kind of event
    match event:
        case CaseOpened():
            return "opened", "已创建草稿", "A draft was opened"
        case AnswersChanged():
            return "changed", "已修改填报内容", "Answers were changed"
        case PrefillRepeated():
            return "prefilled", "已重新共享数据", "Sources were asked again"
        case CaseSubmitted():
            return "submitted", "已提交申请", "The case was submitted"
        case StepStarted():
            return "step_started", "开始办理", "under way"
        case StepAnswered(outcome=Outcome.DONE):
            return "step_done", "已办结", "done"
        case StepAnswered(outcome=Outcome.REFUSED):
            return "step_refused", "不予通过", "refused"
        case StepAnswered():
            return "step_unavailable", "暂时无法办理", "not possible at the moment"
        case RetryPlanned():
            return "retry_planned", "稍后重试", "to be tried again"
        case StepSkipped():
            return "step_skipped", "无需办理", "not needed"
        case StepFailed():
            return "step_failed", "未能办理", "could not be done"
        case StepParked():
            return "parked", "已转人工处理", "handed to an operator"
        case StepResumed():
            return "resumed", "继续办理", "taken up again"
        case StepHandedOver():
            return "handed_over", "已转其他部门办理", "handed over to another department"
        case OutputProposed():
            return "output_proposed", "已人工办理，待复核", "done by hand, to be confirmed"
        case OutputConfirmed():
            return "output_confirmed", "人工办理结果已复核", "what was done by hand is confirmed"
        case SubCaseOpened():
            return "sub_case_opened", "已发起子办件", "a case of its own was opened"
        case SignalReceived():
            return "signal_received", "已收到部门通知", "A department gave notice"
        case CaseGivenUp():
            return "given_up", "办件终止，正在撤销已办事项", "The case ends; what was done is being undone"
        case DefinitionMoved():
            return (
                "definition_moved",
                "办件已改按新版办事流程办理",
                "The case goes on under a newer version of its matter",
            )
        case CorrectionMade():
            return "correction_made", "已补正", "What was asked for was corrected"
        case CorrectionRequested():
            return "correction_requested", "请您补正材料", "corrections are asked of you"
        case ExtensionRequested():
            return "extension_requested", "申请延长办理期限", "more time was asked for"
        case ExtensionDecided(granted=True):
            return "extension_granted", "已批准延长办理期限", "more time was granted"
        case ExtensionDecided():
            return "extension_refused", "未批准延长办理期限", "no more time was granted"
        case ExpertAsked(basis=""):
            return "expert_asked", "已征求专家意见", "an expert was asked"
        case ExpertAsked():
            zh, en = (
                "已送专家评审，评审时间不计入办理期限",
                "an expert was asked; the time of the review does not count",
            )
            return "expert_asked", zh, en
        case ExpertAnswered():
            return "expert_answered", "专家已出具意见", "the expert has answered"
        case MaterialAdded():
            return "material_added", "已提交材料", "A material was handed in"
        case MaterialRemoved():
            return "material_removed", "已撤回材料", "A material was taken back"
        case ValueCorrected():
            return "value_corrected", "办件使用过的一项数据已被更正", "A value that was used has been corrected"
        case CaseEnded(outcome=CaseOutcome.COMPLETED):
            return "ended", "全部办结", "Everything is done"
        case CaseEnded(outcome=CaseOutcome.WITHDRAWN):
            return "ended", "申请已撤回", "The case was withdrawn"
        case CaseEnded(outcome=CaseOutcome.TERMINATED):
            return "ended", "办件已终止", "The case was terminated"
        case CaseEnded():
            return "ended", "申请未获通过", "The case was refused"
        case _:
            raise TypeError(f"{type(event).__name__} has words of its own.")


def _owner(step: Step, workflows: Workflows) -> AgencyView | None:
    return agency_view(workflows.agency(step.agency)) if isinstance(step, OwnedStep) else None


def _field_view(field: FormField) -> FieldView:
    prefill = field.prefill
    return FieldView(
        name=field.name,
        type=field.type.value,
        title=field.title,
        required=field.required,
        sensitive=field.sensitive,
        read_only=field.read_only,
        length_min=field.length.min,
        length_max=field.length.max,
        choices=tuple(ChoiceView(choice.value, choice.title) for choice in field.choices),
        prefill=None
        if prefill is None
        else PrefillView(prefill.source, getattr(prefill, "resource", ""), prefill.field, prefill.basis),
    )


def _prefilled_view(field: FormField, filled: Prefilled) -> PrefilledField:
    value = masked(filled.value) if field.sensitive else filled.value
    return PrefilledField(
        name=field.name,
        value=value,
        source=filled.source,
        provider=filled.provider,
        basis=filled.basis,
        state=filled.state,
        reason=filled.reason,
        disputed=filled.disputed,
    )


def _step_view(step: Step, state: CaseState, workflows: Workflows) -> StepView:
    record = state.step(step.id)
    shown = StepState.CANCELED if state.ended and record.state is StepState.WAITING else record.state
    return StepView(
        id=step.id,
        kind=step.kind.value,
        title=step.title,
        agency=_owner(step, workflows),
        optional=step.optional,
        state=shown.value,
        started=record.started,
        ended=record.ended,
        attempts=record.attempt,
        reason=record.reason,
        message=record.message,
    )
