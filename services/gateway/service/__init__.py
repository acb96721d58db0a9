# SPDX-License-Identifier: Apache-2.0
"""The gateway's use cases.

`GatewayService` serves residents' doorways (REST, portal, console), `StepDesk` the owners of steps, `TaskDesk` the
departments; all move cases through one `Engine`.
"""

from services.gateway.domain.case import CaseStatus
from services.gateway.domain.expected_end import ExpectedEnd, PathStep
from services.gateway.domain.history import PrefillState
from services.gateway.service.clocks import ClockView, CountedView, DaysView
from services.gateway.service.commands import (
    ChangeAnswers,
    CreateCase,
    DecidePreview,
    DeleteDraft,
    GiveConsent,
    SubmitCase,
    WithdrawConsent,
)
from services.gateway.service.corrections import CorrectionSummary, CorrectionView, DisputeValue, ProofView
from services.gateway.service.resident import GatewayService
from services.gateway.service.views import (
    AccessPage,
    AccessView,
    AgencyView,
    AskerView,
    CaseSummary,
    CaseTrace,
    CaseView,
    ChoiceView,
    ConsentView,
    CosignatureView,
    FieldView,
    ForkView,
    HeadView,
    IssuedLicense,
    JwksView,
    LicenseView,
    MatterView,
    NamedField,
    NarrowAccesses,
    PersonaView,
    PrefilledField,
    PrefillView,
    PreviewView,
    ResourceView,
    StepOutline,
    StepView,
    TimelineEntry,
    TokenView,
    WithheldView,
)
from services.kit.text import Text

__all__ = [
    "AccessPage",
    "AccessView",
    "AgencyView",
    "AskerView",
    "CaseStatus",
    "CaseSummary",
    "CaseTrace",
    "CaseView",
    "ChangeAnswers",
    "ChoiceView",
    "ClockView",
    "ConsentView",
    "CorrectionSummary",
    "CorrectionView",
    "CosignatureView",
    "CountedView",
    "CreateCase",
    "DaysView",
    "DecidePreview",
    "DeleteDraft",
    "DisputeValue",
    "ExpectedEnd",
    "FieldView",
    "ForkView",
    "GatewayService",
    "GiveConsent",
    "HeadView",
    "IssuedLicense",
    "JwksView",
    "LicenseView",
    "MatterView",
    "NamedField",
    "NarrowAccesses",
    "PathStep",
    "PersonaView",
    "PrefillState",
    "PrefillView",
    "PrefilledField",
    "PreviewView",
    "ProofView",
    "ResourceView",
    "StepOutline",
    "StepView",
    "SubmitCase",
    "Text",
    "TimelineEntry",
    "TokenView",
    "WithdrawConsent",
    "WithheldView",
]
