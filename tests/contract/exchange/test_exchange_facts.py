# SPDX-License-Identifier: Apache-2.0
"""Facts as they were recorded are still read; what we write today is what was recorded."""

from datetime import timedelta

import pytest
from google.protobuf.message import Message
from tongban.events.v1 import steps_pb2
from tongban.exchange.v1 import corrections_events_pb2 as corrections
from tongban.exchange.v1 import drops_events_pb2 as drops_pb
from tongban.exchange.v1 import exchange_events_pb2 as pb
from tongban.exchange.v1 import providers_events_pb2 as providers_pb

from services.exchange.domain.corrections import (
    CaseUsedCorrectedValue,
    CorrectionChanged,
    CorrectionClockRang,
    CorrectionState,
    Duty,
    RecallIssued,
)
from services.exchange.domain.drops import Drop, DropState, FileDropLoaded
from services.exchange.domain.grant import GrantChanged
from services.exchange.domain.inquiry import StepAnswered, StepOutcome
from services.exchange.domain.providers import Maintenance, MaintenanceAnnounced, ProviderTermsChanged
from services.exchange.domain.resource import ResourceChanged
from services.exchange.events import encode
from tests.support.exchange_world import NOW

MAINTENANCE = Maintenance(
    maintenance_id="m-1",
    provider="11990100000001046G",
    resource="307002/000001",
    begin_time=NOW,
    end_time=NOW + timedelta(hours=2),
    grounds="Moving house.",
    cancelled=True,
)
DROP = Drop("d-1", "307002/000001", 2, DropState.CURRENT, "ab" * 32, NOW, rows=9, rejected=1)
RECORDED: list[tuple[object, type[Message], str, str]] = [
    (ResourceChanged("307002/000001"), pb.ResourceChanged, "307002/000001", "0a0d3330373030322f303030303031"),
    (
        GrantChanged("g-1", "307002/000001", "1299010000000102XJ", revoked=True),
        pb.GrantChanged,
        "g-1",
        "0a03672d31120d3330373030322f3030303030311a1231323939303130303030303030313032584a2001",
    ),
    (
        ProviderTermsChanged("11990100000001046G", "307002/000001"),
        providers_pb.ProviderTermsChanged,
        "11990100000001046G",
        "0a12313139393031303030303030303130343647120d3330373030322f303030303031",
    ),
    (
        MaintenanceAnnounced(MAINTENANCE),
        providers_pb.MaintenanceAnnounced,
        "11990100000001046G",
        "0a036d2d3112123131393930313030303030303031303436471a0d3330373030322f303030303031220608909880d8062a0608b0d080d8063001",
    ),
    (
        FileDropLoaded(DROP),
        drops_pb.FileDropLoaded,
        "307002/000001",
        "0a03642d31120d3330373030322f303030303031180222406162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616228093001",
    ),
    (
        StepAnswered("c-1", "fetch", 2, StepOutcome.DONE, output={"found": "true"}, answer_id="a-1"),
        steps_pb2.StepAnswered,
        "c-1",
        "0a03632d311205666574636818022001320d0a05666f756e641204747275653a03612d31",
    ),
    (
        StepAnswered("c-1", "fetch", 1, StepOutcome.UNAVAILABLE, reason="PROVIDER_UNAVAILABLE"),
        steps_pb2.StepAnswered,
        "c-1",
        "0a03632d3112056665746368180120032a1450524f56494445525f554e415641494c41424c45",
    ),
    (
        CorrectionChanged("k-1", "307002/000001", "address", "11990100000001046G", CorrectionState.CONFIRMED),
        corrections.CorrectionChanged,
        "k-1",
        "0a036b2d31120d3330373030322f3030303030311a076164647265737322123131393930313030303030303031303436472802",
    ),
    (
        RecallIssued("k-1", "1299010000000102XJ", "307002/000001", "address"),
        corrections.RecallIssued,
        "k-1",
        "0a036b2d31121231323939303130303030303030313032584a1a0d3330373030322f303030303031220761646472657373",
    ),
    (
        CaseUsedCorrectedValue("c-1", "k-1", "307002/000001", "address"),
        corrections.CaseUsedCorrectedValue,
        "c-1",
        "0a03632d3112036b2d311a0d3330373030322f303030303031220761646472657373",
    ),
    (
        CorrectionClockRang("k-1", "1299010000000102XJ", Duty.ACKNOWLEDGE, "escalation", 2),
        corrections.CorrectionClockRang,
        "k-1",
        "0a036b2d31121231323939303130303030303030313032584a180220032802",
    ),
]


@pytest.mark.parametrize(("fact", "message", "key", "recorded"), RECORDED)
def test_a_fact_is_written_as_it_was_recorded(fact: object, message: type[Message], key: str, recorded: str) -> None:
    outgoing = encode(fact)
    assert outgoing.key == key
    assert outgoing.message == message.FromString(bytes.fromhex(recorded))


def test_what_is_no_fact_can_not_be_told() -> None:
    with pytest.raises(TypeError):
        encode("a rumor")
