# SPDX-License-Identifier: Apache-2.0
import pytest

from services.kit.errors import TooManyRequests
from services.kit.rpc.gate import Gate

ONE = [b"spiffe://tongban/agency/11990100000001011X"]
OTHER = [b"spiffe://tongban/agency/12990100000001038J"]
GATEWAY = [b"spiffe://tongban/service/gateway"]


def test_one_caller_holds_its_share_and_leaves_the_rest_to_others() -> None:
    gate = Gate(5, 2)
    held = [gate.enter(ONE) for _ in range(2)]
    with pytest.raises(TooManyRequests, match="this caller") as refusal:
        gate.enter(ONE)
    assert refusal.value.retry_after_seconds == 1
    assert gate.inside == 2
    gate.enter(OTHER)
    gate.leave(held[0])
    gate.enter(ONE)
    with pytest.raises(TooManyRequests):
        gate.enter(ONE)


def test_our_services_act_for_everybody_and_are_held_by_the_whole_gate_alone() -> None:
    gate = Gate(3, 1)
    for _ in range(3):
        gate.enter(GATEWAY)
    with pytest.raises(TooManyRequests, match="Too many calls at once"):
        gate.enter(GATEWAY)
    with pytest.raises(TooManyRequests):
        gate.enter(OTHER)


@pytest.mark.parametrize("names", [[], [*ONE, *OTHER]])
def test_who_has_not_one_name_is_counted_for_nobody(names: list[bytes]) -> None:
    gate = Gate(2, 1)
    for _ in range(2):
        assert gate.enter(names) == b""
    with pytest.raises(TooManyRequests):
        gate.enter(names)


def test_callers_who_have_left_are_not_remembered() -> None:
    gate = Gate(10, 1)
    for number in range(100):
        gate.leave(gate.enter([f"spiffe://tongban/agency/{number:018d}".encode()]))
    assert gate.inside == 0
    assert not gate._held
