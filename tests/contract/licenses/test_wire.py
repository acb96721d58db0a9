# SPDX-License-Identifier: Apache-2.0
"""Yesterday's bytes still decode; what we write today is what we wrote yesterday."""

import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from tongban.events.v1.steps_pb2 import StepAnswered as StepAnsweredWire
from tongban.licenses.v1 import licenses_events_pb2

from services.licenses.domain.identifier import LicenseIdentifier
from services.licenses.domain.license import (
    License,
    LicenseIssued,
    LicenseRestored,
    LicenseRevoked,
    LicenseState,
    LicenseSuperseded,
    LicenseSuspended,
)
from services.licenses.domain.step import Step, StepAnswered, StepOutcome
from services.licenses.events import to_wire
from services.licenses.rpc import from_struct, to_struct
from tests.support.licenses_paper import BIRTH, HOSPITAL, NOW

LICENSE = License(
    license_id="5e9d4c1a-0000-4000-8000-000000000002",
    identifier=LicenseIdentifier(BIRTH, HOSPITAL, "Z1", 2),
    holder_id="0d1c2b3a-0000-4000-8000-000000000001",
    state=LicenseState.ACTIVE,
    issue_time=NOW,
    case_id="990100/x/1",
)
STEP = Step("990100/x/1", "birth_certificate_license", 2)
DONE = StepAnswered(STEP, StepOutcome.DONE, output={"license_id": "l", "identifier": "i", "version": "1"})
REFUSED = StepAnswered(STEP, StepOutcome.REFUSED, reason="SIGNER_MISSING")

# Recorded on 2026-11-23. A change here is a change for everybody who keeps our events.
RECORDED: dict[str, tuple[object, type[Message], str, str]] = {
    "issued": (
        LicenseIssued(LICENSE),
        licenses_events_pb2.LicenseIssued,
        LICENSE.license_id,
        (
            "0a2435653964346331612d303030302d343030302d383030302d3030303030303030303030321240312e322e3135362e333030352e322e31"
            "31313030303030303030303031303033333030322e31323939303130303030303030313032584a2e5a312e3030322e451a15313131303030"
            "30303030303030313030333330303220022a2430643163326233612d303030302d343030302d383030302d30303030303030303030303132"
            "0a3939303130302f782f31"
        ),
    ),
    "suspended": (LicenseSuspended("l-1"), licenses_events_pb2.LicenseSuspended, "l-1", "0a036c2d31"),
    "restored": (LicenseRestored("l-1"), licenses_events_pb2.LicenseRestored, "l-1", "0a036c2d31"),
    "revoked": (LicenseRevoked("l-1"), licenses_events_pb2.LicenseRevoked, "l-1", "0a036c2d31"),
    "superseded": (
        LicenseSuperseded("l-1", "l-2"),
        licenses_events_pb2.LicenseSuperseded,
        "l-1",
        "0a036c2d3112036c2d32",
    ),
    "done": (
        DONE,
        StepAnsweredWire,
        STEP.case_id,
        (
            "0a0a3939303130302f782f31121962697274685f63657274696669636174655f6c6963656e736518022001320f0a0a6964656e7469666965"
            "72120169320f0a0a6c6963656e73655f696412016c320c0a0776657273696f6e120131"
        ),
    ),
    "refused": (
        REFUSED,
        StepAnsweredWire,
        STEP.case_id,
        (
            "0a0a3939303130302f782f31121962697274685f63657274696669636174655f6c6963656e7365180220022a0e5349474e45525f4d495353"
            "494e47"
        ),
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_facts_are_written_and_read_as_they_were(name: str) -> None:
    fact, kind, key, recorded = RECORDED[name]
    outgoing = to_wire(fact)
    assert outgoing.key == key
    assert outgoing.message.SerializeToString(deterministic=True).hex() == recorded
    assert kind.FromString(bytes.fromhex(recorded)) == outgoing.message


def test_facts_of_a_case_are_correlated_with_it() -> None:
    assert to_wire(LicenseIssued(LICENSE)).correlation == LICENSE.case_id
    assert to_wire(DONE).correlation == STEP.case_id


def test_what_is_no_fact_is_not_told() -> None:
    with pytest.raises(TypeError):
        to_wire(LICENSE)


def test_whole_numbers_survive_json_and_null_is_not_given() -> None:
    struct = Struct()
    struct.update({"grams": 3250, "ratio": 0.5, "none": None, "doses": [{"n": "1"}], "open": True})
    attributes = from_struct(struct)
    assert attributes == {"grams": 3250, "ratio": 0.5, "doses": [{"n": "1"}], "open": True}
    assert isinstance(attributes["grams"], int)
    assert from_struct(to_struct(attributes)) == attributes
