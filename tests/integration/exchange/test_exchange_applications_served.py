# SPDX-License-Identifier: Apache-2.0
"""Applications as they are served: from an incomplete application to the first answer, on both profiles."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tongban.exchange.v1 import applications_events_pb2 as facts
from tongban.exchange.v1 import applications_pb2 as nouns
from tongban.exchange.v1 import applications_service_pb2 as pb
from tongban.exchange.v1 import exchange_service_pb2 as exchange
from tongban.exchange.v1 import grants_pb2
from tongban.exchange.v1 import grants_service_pb2 as grants

from services.kit.errors import Refusal
from services.kit.ids import new_id
from tests.support.eventually import eventually
from tests.support.exchange_city import HOUSEHOLD, NUMBER, OPERATOR, POLICE, City, city, query
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

ENDS = datetime.now(UTC) + timedelta(days=30)
APPLICANT = ("exchange.query", "exchange.read", "exchange.apply")
DECIDER = ("exchange.provide", "exchange.read", "exchange.decide")


@pytest.fixture
async def town(profile: Profile) -> AsyncIterator[City]:
    async with city(profile) as town:
        town.identity.rights = {HOSPITAL: (True, APPLICANT), POLICE: (True, DECIDER)}
        await town.call(OPERATOR, "PutResource", exchange.PutResourceRequest(resource=town.household()))
        yield town


def scope(**changes: Any) -> nouns.GrantScope:
    """What the hospital wants."""
    lives_there = grants_pb2.Condition(
        expression="record.address.contains('Spring')", label_zh="住在春巷", label_en="Lives in Spring Lane"
    )
    wanted: dict[str, Any] = {
        "basis": "PIPL art. 13(1)(3)",
        "purposes": ["birth"],
        "fields": ["address", "head_name"],
        "terms": grants_pb2.GrantTerms(
            methods=[grants_pb2.METHOD_VERIFY, grants_pb2.METHOD_QUERY],
            questions=[grants_pb2.Question(name="lives_there", condition=lives_there)],
        ),
        **changes,
    }
    wire = nouns.GrantScope(**wanted)
    wire.expire_time.FromDatetime(ENDS)
    return wire


async def refused(town: City, who: str, method: str, request: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        await town.call(who, method, request)
    return refusal.value.reason


async def test_an_application_becomes_a_narrower_grant_that_executes(town: City) -> None:
    applied = await town.call(
        HOSPITAL,
        "ApplyForGrant",
        pb.ApplyForGrantRequest(request_id=new_id(), resource=HOUSEHOLD, wanted=scope(basis="")),
    )
    application_id = applied.application.application_id
    assert applied.application.state == nouns.APPLICATION_STATE_HANDED_BACK
    assert {each.part for each in applied.application.missing} == {"wanted.basis", "scene"}
    complete = pb.CompleteApplicationRequest(
        request_id=new_id(), application_id=application_id, scene="Registering a birth", wanted=scope()
    )
    completed = await town.call(HOSPITAL, "CompleteApplication", complete)
    assert completed.application.state == nouns.APPLICATION_STATE_DECIDING
    read = await town.call(POLICE, "GetApplication", pb.GetApplicationRequest(application_id=application_id))
    assert (read.clock.name, read.clock.unverified) == ("application.conditional", True)
    assert len(read.clock.derivation_zh) == len(read.clock.derivation_en) > 1
    assert await refused(town, HOSPITAL, "Query", query()) == "NO_GRANT"
    less = scope(fields=[], verify_fields=["head_name"])
    decide = pb.DecideApplicationRequest(
        request_id=new_id(), application_id=application_id, given=less, grounds="A question is enough."
    )
    assert await refused(town, HOSPITAL, "DecideApplication", decide) == "RIGHT_MISSING"
    decided = (await town.call(POLICE, "DecideApplication", decide)).application
    assert (decided.state, decided.narrowed) == (nouns.APPLICATION_STATE_GRANTED, True)
    assert (await town.call(POLICE, "DecideApplication", decide)).application == decided

    assert await refused(town, HOSPITAL, "Query", query()) == "FIELD_NOT_GRANTED"
    ask = grants.AskRequest(
        resource=HOUSEHOLD, subject=exchange.Subject(number=NUMBER), questions=["lives_there"], purpose="birth"
    )
    asked = await town.call(HOSPITAL, "Ask", ask)
    assert (dict(asked.answers), asked.grant_id) == ({"lives_there": grants.TRUTH_TRUE}, application_id)
    explained = await town.call(
        OPERATOR,
        "Explain",
        grants.ExplainRequest(
            resource=HOUSEHOLD,
            purpose="birth",
            method=grants_pb2.METHOD_VERIFY,
            questions=["lives_there"],
            grantee=HOSPITAL,
        ),
    )
    assert (explained.allowed, explained.grant_id) == (True, application_id)
    assert [each.condition.label_zh for each in explained.questions] == ["住在春巷"]
    assert [each.grant.application_id for each in explained.grants] == [application_id]

    await eventually(lambda: len(town.told(facts.ApplicationChanged)) == 3)
    assert [fact.act for fact in town.told(facts.ApplicationChanged)] == [
        nouns.APPLICATION_ACT_HANDED_BACK,
        nouns.APPLICATION_ACT_COMPLETED,
        nouns.APPLICATION_ACT_GRANTED,
    ]
    assert not any(b"Registering" in value or b"enough" in value for _, value in town.heard)
    table = await town.call(OPERATOR, "ListLateProviders", pb.ListLateProvidersRequest())
    assert [(each.provider, each.accepted, each.decided, each.late) for each in table.providers] == [(POLICE, 1, 1, 0)]


async def test_a_refusal_is_disputed_and_decided_by_the_operator(town: City) -> None:
    apply = pb.ApplyForGrantRequest(request_id=new_id(), resource=HOUSEHOLD, scene="Birth", wanted=scope())
    application_id = (await town.call(HOSPITAL, "ApplyForGrant", apply)).application.application_id
    assert (await town.call(HOSPITAL, "ApplyForGrant", apply)).application.application_id == application_id

    async def act(who: str, method: str, **more: Any) -> Any:
        request = getattr(pb, f"{method}Request")(request_id=new_id(), application_id=application_id, **more)
        return (await town.call(who, method, request)).application

    await act(POLICE, "AskForExtension", grounds="Two registers.")
    await act(OPERATOR, "DecideExtension", approved=True, grounds="Agreed.")
    no = await act(POLICE, "DecideApplication", grounds="The law on households, art. 5.")
    assert (no.state, no.reason) == (nouns.APPLICATION_STATE_REFUSED, "PROVIDER_REFUSED")
    await act(HOSPITAL, "DisputeApplication", grounds="Order 809, art. 19.")
    await act(POLICE, "EscalateApplication", grounds="No agreement.")
    yes = await act(OPERATOR, "ResolveApplication", given=scope(), grounds="Order 809, art. 19.")
    assert (yes.state, yes.narrowed) == (nouns.APPLICATION_STATE_GRANTED, False)
    assert [each.act for each in yes.history][-1] == nouns.APPLICATION_ACT_GRANTED
    await town.call(HOSPITAL, "Query", query())
    listed = await town.call(POLICE, "ListApplications", pb.ListApplicationsRequest(as_provider=True))
    assert [each.application_id for each in listed.applications] == [application_id]
    assert await refused(town, OPERATOR, "ListApplications", pb.ListApplicationsRequest(page_token="x"))  # a bad token
