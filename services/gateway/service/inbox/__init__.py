# SPDX-License-Identifier: Apache-2.0
"""The inbox behind the workbench: departments without a system do their tasks by clerks."""

from typing import cast

from services.gateway.service.engine import Engine
from services.gateway.service.inbox.acting import Act
from services.gateway.service.inbox.dealing import InboxDealing
from services.gateway.service.inbox.finding import CaseFilter, CaseFinding, FindingStore, FoundCase
from services.gateway.service.inbox.office import Office, clerk
from services.gateway.service.inbox.people import InboxPeople
from services.gateway.service.inbox.ports import InboxStore, LogEntry, LogKind, TaskFilter, Whose
from services.gateway.service.inbox.reading import InboxReading
from services.gateway.service.inbox.verdict import Verdict
from services.gateway.service.inbox.views import (
    AbsenceView,
    BulkOutcome,
    CaseFact,
    ClerkView,
    PreviewOfAnswer,
    QueueView,
    TaskDetail,
    TaskSummary,
    WantedOutput,
)

__all__ = [
    "AbsenceView",
    "Act",
    "BulkOutcome",
    "CaseFact",
    "CaseFilter",
    "ClerkView",
    "FoundCase",
    "Inbox",
    "LogEntry",
    "LogKind",
    "PreviewOfAnswer",
    "QueueView",
    "TaskDetail",
    "TaskFilter",
    "TaskSummary",
    "Verdict",
    "WantedOutput",
    "Whose",
    "clerk",
]


class Inbox:
    """What clerks' doorways may ask, by what it is about."""

    def __init__(self, engine: Engine, store: InboxStore) -> None:
        office = Office(engine, store)
        self.reading = InboxReading(office)
        self.acting = InboxDealing(office)
        self.people = InboxPeople(office)
        self.finding = CaseFinding(office, cast(FindingStore, store))
