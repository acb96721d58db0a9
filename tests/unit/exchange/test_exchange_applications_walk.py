# SPDX-License-Identifier: Apache-2.0
"""A random walk over applications: whatever is tried, in whatever order, by whomever."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.exchange.domain import applications as domain
from services.exchange.domain.applications import Act, Application, Extension, State
from services.exchange.domain.resource import Resource, SharingClass
from services.exchange.domain.scope import Scope, is_within
from services.exchange.domain.terms import Method, Terms
from services.exchange.service.applications import CLOCKS
from services.kit.errors import Refusal, Violation
from tests.support.exchange_applying import a_scope
from tests.support.exchange_terms import IS_DAUGHTER, IS_SON
from tests.support.exchange_world import HEALTH, HOSPITAL, NOW, POLICE, household

ENDED = {State.GRANTED, State.WITHDRAWN, State.LAPSED}
MISSING = (Violation("wanted.basis", "The article."),)

names = st.lists(st.sampled_from(["household_number", "address", "head_name"]), unique=True, max_size=3).map(tuple)
scopes = st.builds(
    Scope,
    basis=st.sampled_from(["", "PIPL art. 13(1)(3)"]),
    purposes=st.sampled_from([("birth",), ("birth", "school"), ()]),
    fields=names,
    verify_fields=names,
    expire_time=st.sampled_from([None, NOW - timedelta(days=1), NOW + timedelta(days=9), NOW + timedelta(days=365)]),
    daily_quota=st.sampled_from([0, 10, 100]),
    terms=st.builds(
        Terms,
        methods=st.sampled_from([(), (Method.VERIFY,), (Method.VERIFY, Method.QUERY)]),
        questions=st.sampled_from([(), (IS_DAUGHTER,), (IS_SON,)]),
        rate_per_second=st.sampled_from([0, 5]),
    ),
) | st.just(a_scope())
whoever = st.sampled_from([HOSPITAL, POLICE, HEALTH])

Move = Callable[[Application, Resource, datetime], Application]


@st.composite
def moves(draw: st.DrawFn) -> Move:
    by, scope, grounds = draw(whoever), draw(scopes), draw(st.sampled_from(["", "Because."]))
    known: list[Move] = [
        lambda each, resource, now: domain.complete(each, grounds, scope, resource, now=now),
        lambda each, _, now: domain.hand_back(each, MISSING, by=by, now=now),
        lambda each, _, now: domain.ask_extension(each, grounds, by=by, now=now),
        lambda each, _, now: domain.decide_extension(each, approved=bool(grounds), grounds=grounds, by=by, now=now),
        lambda each, resource, now: domain.give(each, scope, resource, grounds=grounds, by=by, now=now),
        lambda each, resource, now: domain.give(each, each.wanted, resource, grounds=grounds, by=by, now=now),
        lambda each, _, now: domain.refuse(each, grounds, by=by, now=now),
        lambda each, _, now: domain.dispute(each, grounds, now=now),
        lambda each, _, now: domain.escalate(each, by=by, now=now),
        lambda each, resource, now: domain.resolve_with_grant(
            each, each.wanted, resource, grounds=grounds, by=by, now=now
        ),
        lambda each, _, now: domain.resolve_with_refusal(each, grounds, by=by, now=now),
        lambda each, _, now: domain.withdraw(each, now=now),
        lambda each, _, now: domain.ran_out(each, now=now),
    ]
    return draw(st.sampled_from(known))


def a_draft(scene: str, wanted: Scope) -> Application:
    return Application("a", household().code, HOSPITAL, POLICE, scene, wanted, State.HANDED_BACK, ())


def check(each: Application, resource: Resource) -> None:
    """Invariants at every moment."""
    acts = [step.act for step in each.history]
    assert acts.count(Act.HANDED_BACK) <= 1
    assert acts.count(Act.EXTENDED) <= 1
    assert (each.state in ENDED or each.final) or each.state in CLOCKS, "Nothing waits without a clock."
    assert each.state is not State.HANDED_BACK or each.missing
    if each.state is State.GRANTED:
        assert each.given is not None
        assert each.given == each.wanted or is_within(each.given, each.wanted, resource.field_names)
        assert each.given.expire_time is not None
        assert resource.sharing_class is not SharingClass.REFUSED
        assert each.grant_id
    else:
        assert each.grant_id == ""
    if each.state is State.REFUSED:
        assert each.reason
        assert each.decide_time is not None
    if resource.sharing_class is SharingClass.UNCONDITIONAL:
        assert each.state in {State.HANDED_BACK, State.GRANTED, State.LAPSED, State.WITHDRAWN} or (
            Act.REFUSED in acts
        ), "Nobody decides on what is shared without conditions."
    if each.extension is Extension.GIVEN:
        assert Act.EXTENSION_ASKED in acts


@settings(max_examples=400)
@given(
    kind=st.sampled_from(list(SharingClass)),
    scene=st.sampled_from(["", "Birth, step 2"]),
    wanted=scopes,
    walk=st.lists(moves(), max_size=12),
)
def test_whatever_comes_an_application_waits_with_a_clock_or_has_ended(
    kind: SharingClass, scene: str, wanted: Scope, walk: list[Move]
) -> None:
    resource, now = household(sharing_class=kind), NOW
    each = domain.apply(a_draft(scene, wanted), resource, now=now)
    check(each, resource)
    for move in walk:
        now += timedelta(hours=1)
        try:
            after = move(each, resource, now)
        except Refusal:
            continue
        assert each.state not in ENDED
        assert after.history[: len(each.history)] == each.history
        assert len(each.history) < len(after.history) <= len(each.history) + 2
        each = after
        check(each, resource)


@settings(max_examples=300)
@given(wanted=scopes, given_scope=scopes)
def test_what_is_within_gives_no_field_purpose_method_or_day_more(wanted: Scope, given_scope: Scope) -> None:
    known = household().field_names
    if not is_within(given_scope, wanted, known):
        return
    assert set(given_scope.fields) <= set(wanted.fields)
    assert set(given_scope.verify_fields) <= {*wanted.fields, *wanted.verify_fields}
    assert set(given_scope.purposes) <= set(wanted.purposes)
    assert set(given_scope.terms.methods) <= set(wanted.terms.methods)
    assert given_scope.expire_time is not None
    assert wanted.expire_time is not None
    assert given_scope.expire_time <= wanted.expire_time
    assert set(given_scope.terms.questions) <= set(wanted.terms.questions)  # their fields are not otherwise wanted


def test_less_may_take_another_form() -> None:
    wanted, known = a_scope(fields=("address", "relation")), household().field_names
    question = replace(wanted.terms, questions=(IS_DAUGHTER, IS_SON))
    assert is_within(replace(wanted, fields=(), verify_fields=("address",)), wanted, known)
    assert is_within(replace(wanted, fields=("address",), terms=question), wanted, known)
    assert not is_within(replace(wanted, terms=question), replace(wanted, fields=("address",)), known)
