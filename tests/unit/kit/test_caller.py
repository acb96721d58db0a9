# SPDX-License-Identifier: Apache-2.0
import pytest

from services.kit.caller import EVERY_RIGHT, Caller, CallerKind, acting_as, current_caller
from services.kit.errors import RightMissing, Unauthenticated

RIGHT = "licenses.issue"


@pytest.mark.parametrize("kind", [CallerKind.AGENCY, CallerKind.CLERK, CallerKind.OPERATOR])
def test_who_holds_the_right_may_and_who_does_not_may_not(kind: CallerKind) -> None:
    Caller(kind, "x", frozenset({RIGHT})).must(RIGHT)
    with pytest.raises(RightMissing) as caught:
        Caller(kind, "x", frozenset({"licenses.suspend"})).must(RIGHT)
    assert caught.value.metadata == {"right": RIGHT}


def test_a_service_passes_since_the_contract_names_it() -> None:
    Caller(CallerKind.SERVICE, "gateway").must(RIGHT)


def test_a_citizen_passes_only_where_no_right_is_asked_for() -> None:
    citizen = Caller(CallerKind.CITIZEN, "s", frozenset({RIGHT}))
    citizen.must("")
    with pytest.raises(RightMissing):
        citizen.must(RIGHT)


def test_every_right_counts_for_operators_alone() -> None:
    Caller(CallerKind.OPERATOR, "x", frozenset({EVERY_RIGHT})).must(RIGHT)
    for kind in (CallerKind.AGENCY, CallerKind.CLERK):
        with pytest.raises(RightMissing):
            Caller(kind, "x", frozenset({EVERY_RIGHT})).must(RIGHT)


def test_nobody_is_the_caller_until_somebody_is_established() -> None:
    with pytest.raises(Unauthenticated):
        current_caller()
    outer, inner = Caller(CallerKind.CITIZEN, "a"), Caller(CallerKind.SERVICE, "gateway")
    with acting_as(outer):
        with acting_as(inner):
            assert current_caller() is inner
        assert current_caller() is outer
    with pytest.raises(Unauthenticated):
        current_caller()


def test_a_caller_shows_its_label_and_never_its_token() -> None:
    caller = Caller(CallerKind.AGENCY, "11990100000001011X", token="secret-token")
    assert caller.label == "agency:11990100000001011X"
    assert "secret-token" not in repr(caller)
