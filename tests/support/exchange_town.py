# SPDX-License-Identifier: Apache-2.0
"""A provider, a sharing authority and their changes of the catalogue, around a real store; time moves as a test says."""

from dataclasses import replace
from typing import Any

from services.exchange.config import Settings
from services.exchange.domain.change import Change, NoticeState
from services.exchange.domain.metadata import DataType, Metadata, Opening, ResourceFormat, SharingMethod, UpdateCycle
from services.exchange.domain.resource import Resource
from services.exchange.service.catalogue import CatalogueService
from services.exchange.service.changes import ChangeService, ProposeChange, ReviewChange
from services.exchange.service.grants import GrantService
from services.exchange.service.rulebook import Rulebook
from services.exchange.store import ExchangeStore
from services.kit.calendar import Deadlines, published, read_limits
from services.kit.caller import Caller, CallerKind
from services.kit.ids import new_id
from tests.support.exchange_world import HOSPITAL_CALLER, NOW, POLICE, household

AUTHORITY = "11990100000001038L"
POLICE_CALLER = Caller(CallerKind.AGENCY, POLICE, frozenset({"exchange.catalogue", "exchange.read"}), agency=POLICE)
REVIEWER = Caller(CallerKind.AGENCY, AUTHORITY, frozenset({"exchange.review", "exchange.read"}), agency=AUTHORITY)
METADATA = Metadata(
    provider_name="市公安局",
    abstract_zh="常住人口登记",
    format=ResourceFormat.DATABASE,
    sharing_methods=(SharingMethod.INTERFACE,),
    opening=Opening.CLOSED,
    update_cycle=UpdateCycle.REAL_TIME,
)


def entry(**changes: Any) -> Resource:
    """The household register with all its core metadata."""
    resource = household(metadata=METADATA, **changes)
    return replace(resource, fields=tuple(replace(each, data_type=DataType.TEXT) for each in resource.fields))


def without(*names: str) -> Resource:
    """The same without some fields."""
    return replace(entry(), fields=tuple(each for each in entry().fields if each.name not in names))


class Town:
    """The use cases of changes around one store; time moves as a test says."""

    def __init__(self, store: ExchangeStore) -> None:
        self.now = NOW
        store.clock = lambda: self.now
        self.store = store
        self.deadlines = Deadlines(store, published())
        limits = read_limits(Settings.model_fields["limits"].default)
        self.rulebook = Rulebook(
            store,
            clock=lambda: self.now,
            monotonic=lambda: 0.0,
            age_seconds_max=30,
            pairs_max=100,
            is_working_day=lambda _: True,
        )
        self.changes = ChangeService(
            store, self.rulebook, self.deadlines, limits, clock=lambda: self.now, region="990100"
        )
        self.catalogue = CatalogueService(store, self.rulebook, clock=lambda: self.now, region="990100")
        self.grants = GrantService(store, self.rulebook, clock=lambda: self.now)

    async def propose(self, resource: Resource, caller: Caller = POLICE_CALLER, request_id: str = "") -> Change:
        return await self.changes.propose(ProposeChange(request_id or new_id(), resource, "Because."), caller)

    async def review(self, change: Change, caller: Caller = REVIEWER, **said: Any) -> Change:
        command = {"publish": True, "note": "", "notice_days": 0, "urgent_basis": "", **said}
        return await self.changes.review(ReviewChange(new_id(), change.change_id, **command), caller)

    async def inbox(
        self, caller: Caller = HOSPITAL_CALLER, *, open_only: bool = False
    ) -> list[tuple[str, tuple[str, ...], NoticeState]]:
        page = await self.changes.inbox(open_only=open_only, page_size=0, page_token="", caller=caller)
        return [(each.change_id, each.fields, each.state) for each in page.rows]
