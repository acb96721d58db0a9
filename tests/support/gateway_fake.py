# SPDX-License-Identifier: Apache-2.0
"""A gateway in memory: the use cases' promises without engine, store or peers, for tests of the doorways."""

import asyncio
import dataclasses
import hashlib
import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from services.gateway.service import (
    AccessPage,
    AccessView,
    AgencyView,
    AskerView,
    CaseStatus,
    CaseSummary,
    CaseTrace,
    CaseView,
    ChangeAnswers,
    CorrectionSummary,
    CorrectionView,
    CreateCase,
    DeleteDraft,
    DisputeValue,
    FieldView,
    ForkView,
    GatewayService,
    HeadView,
    JwksView,
    LicenseView,
    MatterView,
    NarrowAccesses,
    PersonaView,
    ProofView,
    SubmitCase,
    Text,
    TimelineEntry,
    TokenView,
    WithheldView,
)
from services.kit.caller import CallerKind, current_caller
from services.kit.errors import Code, NotFound, Refusal, RequestInvalid, VersionConflict, Violation
from services.kit.paging import Page, decode_token, encode_token
from services.kit.telemetry import current_trace_id
from services.kit.tokens import Claims, TokenExpired, TokenInvalid
from tests.support.gateway_consents import ConsentsFake

NOW = datetime(2026, 11, 23, 2, 10, tzinfo=UTC)
HOSPITAL = AgencyView(role="hospital", uscc="1299010000000102XJ", name=Text("安和医院", "Anhe Hospital"))


class CaseNotFound(NotFound):
    """As the real one says it."""


class MatterNotFound(NotFound):
    """As the real one says it."""


class LicenseNotFound(NotFound):
    """As the real one says it."""


class ResourceNotFound(NotFound):
    """As the exchange says it."""


class CorrectionNotFound(NotFound):
    """As the exchange says it."""


class CaseNotDraft(Refusal):
    """As the real one says it."""


class IdempotencyKeyReused(Refusal):
    """As the real one says it."""

    code = Code.ALREADY_EXISTS


class FakeVerifier:
    """Tokens are `<role>:<subject>[:<right>,...[:<agency>]]`; `expired:x` has expired."""

    async def verify(self, token: str) -> Claims:
        role, _, rest = token.partition(":")
        subject, _, rest = rest.partition(":")
        rights, _, agency = rest.partition(":")
        if role == "expired":
            raise TokenExpired("The access token has expired.", remedy="Sign in again.")
        if role not in {"citizen", "clerk", "operator"} or not subject:
            raise TokenInvalid("The access token is not one of ours.")
        return Claims(
            kind=CallerKind(role),
            subject=subject,
            rights=frozenset(filter(None, rights.split(","))),
            agency=agency,
            client_id="test",
            token_id="1",
            expires=int((NOW + timedelta(hours=1)).timestamp()),
        )


class FakeGateway(GatewayService):
    """Keeps cases in a dict; `broken` is raised by every use case where it is set."""

    def __init__(self) -> None:
        self.views: dict[str, CaseView] = {}
        self.owners: dict[str, str] = {}
        self.keys: dict[tuple[str, str], tuple[str, CaseView]] = {}
        self.entries: dict[str, list[TimelineEntry]] = defaultdict(list)
        self.news = asyncio.Condition()
        self.broken: BaseException | None = None
        self.personas_asked = 0
        self.narrowed: list[NarrowAccesses] = []
        self._consents = ConsentsFake()
        self.disputes: dict[tuple[str, str], DisputeValue] = {}

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def list_matters(self) -> tuple[MatterView, ...]:
        self._check()
        return (BIRTH,)

    def matter(self, code: str) -> MatterView:
        self._check()
        if code != BIRTH.code:
            raise MatterNotFound("There is no such matter.", remedy="List them with GET /api/v1/matters.")
        return BIRTH

    async def create_case(self, command: CreateCase) -> CaseView:
        self._check()
        owner = current_caller().id
        self.matter(command.matter)
        body = json.dumps([command.matter, dict(command.answers), command.without], sort_keys=True)
        if known := self.keys.get((owner, command.idempotency_key)):
            if known[0] != body:
                raise IdempotencyKeyReused("This key stands for another request.")
            return known[1]
        if unknown := set(command.answers) - {field.name for field in BIRTH.fields}:
            raise RequestInvalid(
                "No such field.", violations=[Violation(f"answers.{name}", "Unknown.") for name in sorted(unknown)]
            )
        case_id = str(uuid.uuid4())
        view = CaseView(
            id=case_id,
            receipt=f"1199010000000001011X00000000000120261123{len(self.views):06d}",
            matter="birth",
            title=BIRTH.title,
            definition=BIRTH.definition,
            status=CaseStatus.DRAFT,
            reason="",
            message=None,
            version=1,
            created=NOW,
            submitted=None,
            ended=None,
            trace_id="",
            answers=dict(command.answers),
            without=command.without,
            prefilled=(),
            steps=(),
            licenses=(),
        )
        self.views[case_id], self.owners[case_id] = view, owner
        self.keys[owner, command.idempotency_key] = (body, view)
        await self.happened(case_id, "opened")
        return view

    async def change_answers(self, command: ChangeAnswers) -> CaseView:
        before = await self.case(command.case_id)
        if before.status is not CaseStatus.DRAFT:
            raise CaseNotDraft("The case is submitted.")
        if command.version not in {None, before.version}:
            raise VersionConflict("The case has changed.", remedy="Read it again.")
        answers = {**before.answers, **command.answers}
        view = dataclasses.replace(before, answers=answers, version=before.version + 1)
        self.views[view.id] = view
        await self.happened(view.id, "changed")
        return view

    async def delete_case(self, command: DeleteDraft) -> None:
        owner = current_caller().id
        if (owner, command.idempotency_key) in self.keys:
            return
        before = await self.case(command.case_id)
        if before.status is not CaseStatus.DRAFT:
            raise CaseNotDraft("The case is submitted.")
        del self.views[before.id], self.owners[before.id]
        if command.idempotency_key:
            self.keys[owner, command.idempotency_key] = ("", before)

    async def submit_case(self, command: SubmitCase) -> CaseView:
        before = await self.case(command.case_id)
        if known := self.keys.get((command.case_id, command.idempotency_key)):
            return known[1]
        view = dataclasses.replace(
            before, status=CaseStatus.SUBMITTED, submitted=NOW, trace_id=current_trace_id(), version=before.version + 1
        )
        self.views[view.id] = view
        self.keys[view.id, command.idempotency_key] = ("", view)
        await self.happened(view.id, "submitted")
        return view

    async def case(self, case_id: str) -> CaseView:
        self._check()
        if self.owners.get(case_id) != current_caller().id:
            raise CaseNotFound("There is no such case of yours.", remedy="List your cases with GET /api/v1/cases.")
        return self.views[case_id]

    async def cases(self, *, page_size: int = 0, page_token: str = "") -> Page[CaseSummary]:
        self._check()
        start = int(decode_token(page_token).get("start", 0))
        own = [view for view in self.views.values() if self.owners[view.id] == current_caller().id]
        rows = own[start : start + page_size]
        names = [field.name for field in dataclasses.fields(CaseSummary)]
        return Page(
            rows=tuple(CaseSummary(**{name: getattr(row, name) for name in names}) for row in rows),
            next_token=encode_token(start=start + page_size) if len(own) > start + page_size else "",
        )

    async def timeline(self, case_id: str) -> tuple[TimelineEntry, ...]:
        return await self.events_after(case_id, 0)

    async def events_after(self, case_id: str, seq: int) -> tuple[TimelineEntry, ...]:
        await self.case(case_id)
        return tuple(entry for entry in self.entries[case_id] if entry.seq > seq)

    async def wait_for_events(self, case_id: str, seq: int, timeout_seconds: float) -> tuple[TimelineEntry, ...]:
        async with self.news:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self.news.wait_for(lambda: len(self.entries[case_id]) > seq)
            except TimeoutError:
                return ()
        return await self.events_after(case_id, seq)

    async def happened(self, case_id: str, kind: str) -> None:
        """Add an entry to the timeline, and end the case with `ended`."""
        async with self.news:
            seq = len(self.entries[case_id]) + 1
            self.entries[case_id].append(
                TimelineEntry(seq=seq, time=NOW, kind=kind, text=Text("发生了", "It happened"))
            )
            if kind == "ended":
                view = self.views[case_id]
                self.views[case_id] = dataclasses.replace(view, status=CaseStatus.COMPLETED, ended=NOW, version=seq)
            self.news.notify_all()

    async def trace_of(self, receipt_or_case_id: str) -> CaseTrace:
        self._check()
        caller = current_caller()
        own = caller.kind is CallerKind.CITIZEN
        if not own:
            caller.must("gateway.cases")
        for view in self.views.values():
            if own and self.owners[view.id] != caller.id:
                continue
            if receipt_or_case_id in {view.id, view.receipt}:
                return CaseTrace(
                    view.id, view.receipt, "birth", view.status, view.trace_id, view.created, view.submitted
                )
        raise CaseNotFound("There is no such case.")

    async def licenses(self, *, page_size: int = 0, page_token: str = "") -> Page[LicenseView]:  # noqa: ARG002
        self._check()
        decode_token(page_token)
        return Page(rows=(LICENSE,))

    async def license(self, license_id: str) -> LicenseView:
        self._check()
        if license_id != LICENSE.license_id:
            raise LicenseNotFound("There is no such license of yours.")
        return dataclasses.replace(LICENSE, credential="eyJ.eyJ.sig~d1~", attributes={"child_name": "安宁"})

    async def open_correction(self, command: DisputeValue) -> CorrectionView:
        self._check()
        known = self.disputes.setdefault((current_caller().id, command.idempotency_key), command)
        if known != command:
            raise IdempotencyKeyReused("This key stands for another request.")
        if command.resource != CORRECTION.resource:
            raise ResourceNotFound("There is no such resource in the catalogue.")
        return CORRECTION

    async def corrections(self, *, page_size: int = 0, page_token: str = "") -> Page[CorrectionSummary]:  # noqa: ARG002
        self._check()
        decode_token(page_token)
        return Page(rows=(CORRECTION,))

    async def correction(self, correction_id: str) -> CorrectionView:
        self._check()
        if correction_id != CORRECTION.correction_id:
            raise CorrectionNotFound("There is no such correction.")
        return CORRECTION

    async def withdraw_correction(self, correction_id: str, idempotency_key: str) -> CorrectionView:
        assert idempotency_key
        found = await self.correction(correction_id)
        return dataclasses.replace(found, state="withdrawn", due=None, derivation=())

    async def accesses(
        self,
        narrow: NarrowAccesses | None = None,
        *,
        page_size: int = 0,  # noqa: ARG002
        page_token: str = "",  # noqa: ARG002
    ) -> AccessPage:
        self._check()
        self.narrowed.append(narrow or NarrowAccesses())
        return AccessPage(rows=(ACCESS, HIDDEN), next_token="", missing=("exchange",), total=2, hidden=1)

    async def access(self, log: str, index: int) -> AccessView:
        self._check()
        if (log, index) != (ACCESS.log, ACCESS.index):
            raise NotFound("There is no such leaf about the caller.")
        return ACCESS

    async def usages(self, narrow: NarrowAccesses) -> tuple[AccessView, ...]:
        self._check()
        self.narrowed.append(narrow)
        return tuple(dataclasses.replace(ACCESS, index=index) for index in range(5, 0, -1))

    async def accesses_since(self) -> datetime | None:
        self._check()
        return NOW

    async def forks(self) -> tuple[ForkView, ...]:
        self._check()
        return (
            ForkView("ab" * 32, "licenses", "forked", "spiffe://tongban/agency/11990100000001011X", NOW, "e30.e30.s"),
        )

    async def ledger_keys(self) -> Mapping[str, Mapping[str, str]]:
        self._check()
        return {"identity": {"kty": "EC", "crv": "P-256", "kid": "k1"}}

    async def personas(self) -> tuple[PersonaView, ...]:
        self._check()
        self.personas_asked += 1
        return (
            PersonaView("mother-1", "citizen", Text("母亲一", "Mother one"), {"birth": {"child_sex": "female"}}),
            PersonaView("operator-1", "operator", Text("运维一", "Operator one"), {}),
        )

    async def issue_token(self, *, grant_type: str, persona: str) -> TokenView:  # noqa: ARG002
        self._check()
        roles = {"mother-1": "citizen:mother", "operator-1": "operator:op:gateway.cases"}
        if persona not in roles:
            raise NotFound("There is no such persona.")
        return TokenView(access_token=roles[persona], expires_in=600)

    async def jwks(self) -> JwksView:
        self._check()
        return JwksView(issuer="https://tongban.example", jwks_json='{"keys":[]}')


def _field(name: str) -> FieldView:
    return FieldView(name, "text", Text("字段", "Field"), True, True, False, 1, 50, (), None)


BIRTH = MatterView(
    code="birth",
    definition="0" * 64,
    basic_code="000000000000",
    title=Text("新生儿出生", "Birth of a child"),
    summary=Text("一件事", "One thing"),
    lead=HOSPITAL,
    basis="Order 809 art. 19",
    notes=(),
    fields=(_field("child_name"), _field("child_sex")),
    steps=(),
)
LICENSE = LicenseView(
    license_id="0b6b1f2e-1f5e-4f0e-9a55-6f3e1f6a7c11",
    identifier="1.2.156.3005.2.111000000000010033002",
    type_code="111000000000010033002",
    name=Text("出生医学证明", "Birth medical certificate"),
    version=1,
    state="active",
    issuer=HOSPITAL,
    issued=NOW,
    expires=None,
    case_id="",
    own=True,
)
CORRECTION = CorrectionView(
    correction_id="0b6b1f2e-1f5e-4f0e-9a55-6f3e1f6a7c12",
    resource="307002/000001",
    field_name="address",
    provider=HOSPITAL,
    state="open",
    opened=NOW,
    answered=None,
    closed=None,
    extended=False,
    late=False,
    due=NOW + timedelta(days=14),
    provisional=False,
    derivation=(
        Text(
            "自 2026-11-23（当日不计）起，共 10 个工作日。",
            "From 2026-11-23 (that day does not count), 10 working days.",
        ),
    ),
    claimed="2 Autumn Road",
    grounds="We moved.",
    proofs=(ProofView("document", "6b" * 32),),
    rejection="",
    explanation="",
    receivers=0,
    acknowledged=0,
)
_BODY = b'{"operation":"exchange.query"}'
ACCESS = AccessView(
    log="identity",
    index=7,
    time=NOW,
    operation="identity.verify",
    operation_name=Text("身份核验", "Verification of identity"),
    actor="spiffe://tongban/service/gateway",
    caller="service:gateway",
    asked_by=AskerView("service", Text("平台服务", "The platform"), None),
    on_behalf_of=HOSPITAL,
    purpose="birth",
    purpose_name=Text("新生儿出生", "Birth of a child"),
    basis="PIPL art. 13(1)(3)",
    resource="",
    resource_name=None,
    fields=("name",),
    field_names=(Text("姓名", "Name"),),
    case_id="",
    outcome="answered",
    outcome_name=Text("已答复", "Answered"),
    body=_BODY,
    leaf_hash=hashlib.sha256(b"\x00" + _BODY).digest(),
    path=(b"\x01" * 32,),
    head=HeadView(log="identity", tree_size=8, root_hash=b"\x02" * 32, signed=NOW, jws="e30.e30.sig"),
)
HIDDEN = dataclasses.replace(
    ACCESS,
    index=5,
    time=None,
    operation="",
    asked_by=None,
    on_behalf_of=None,
    fields=(),
    field_names=(),
    body=b"",
    withheld=WithheldView("hidden", "0b6b1f2e-1f5e-4f0e-9a55-6f3e1f6a7c13", NOW),
)
