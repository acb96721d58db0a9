# SPDX-License-Identifier: Apache-2.0
"""Providers that are slow, hung, lying or flapping: no answer without its leaf, no leaf without its answer or error."""

import asyncio
import resource as process
from collections import Counter

import pytest
from tongban.exchange.v1 import exchange_pb2 as nouns
from tongban.exchange.v1 import exchange_service_pb2 as pb

from services.kit.errors import RemoteRefusal, Unavailable
from tests.support.exchange_bad_provider import MANNERS, BadProvider, bad_provider
from tests.support.exchange_city import OPERATOR, City, city, grant_request, query, resource
from tests.support.neighbors import HOSPITAL
from tests.support.profiles import Profile

UNAVAILABLE, INVALID = "PROVIDER_UNAVAILABLE", "PROVIDER_ANSWER_INVALID"
EXPECTED = {
    "good": "answered",
    "slow": "answered",
    "hung": UNAVAILABLE,
    "schema": INVALID,
    "subject": INVALID,
    "gigabyte": INVALID,
    "endless": INVALID,
    "half": UNAVAILABLE,
    "cut": INVALID,
    "redirect": UNAVAILABLE,
    "loris": UNAVAILABLE,
    "headers": UNAVAILABLE,
    "garbage": UNAVAILABLE,
    "gone": UNAVAILABLE,
}
ENDED_BY_TIME = {"hung", "loris"}
"""The others end by what they do, however busy this machine is."""
CODES = {manner: f"307009/{number:06d}" for number, manner in enumerate(MANNERS, 1)}


async def stocked(town: City, provider: BadProvider, *manners: str) -> None:
    """A provider of its own for each manner, so that only its own questions meet it."""
    for number, manner in enumerate(manners, 1):
        url = f"{provider.url}/{manner}/{{subject_key}}"
        mapping = {"name": "name", "subject_key": "subject_key"}
        kept = resource(
            CODES[manner],
            f"1199010000{number:07d}X",
            nouns.ADAPTER_KIND_REST,
            {"url": url, "mapping": mapping},
            ("name",),
            timeout_ms=1000 if manner in ENDED_BY_TIME else 30_000,
        )
        await town.call(OPERATOR, "PutResource", pb.PutResourceRequest(resource=kept))
        grant = grant_request(resource=CODES[manner], fields=["name"], verify_fields=["name"])
        await town.call(OPERATOR, "CreateGrant", grant)


async def asked(town: City, manner: str, number: int) -> tuple[str, str]:
    """Ask, and give the case with what became of it in the words of the ledger."""
    case_id = f"{manner}-{number}"
    try:
        await town.call(HOSPITAL, "Query", query(resource=CODES[manner], fields=["name"], case_id=case_id))
    except RemoteRefusal as refusal:
        return case_id, refusal.reason
    except Unavailable:
        return case_id, UNAVAILABLE
    return case_id, "answered"


async def test_whatever_a_provider_does_the_asker_and_the_ledger_hear_the_same(profile: Profile) -> None:
    async with bad_provider() as provider, city(profile) as town:
        await stocked(town, provider, *EXPECTED)
        await asked(town, "good", 99)  # Whatever is made with the first question is made.
        before = process.getrusage(process.RUSAGE_SELF).ru_maxrss
        heard = dict(await asyncio.gather(*(asked(town, each, turn) for each in EXPECTED for turn in range(3))))
        grown = process.getrusage(process.RUSAGE_SELF).ru_maxrss - before
        assert {each: heard[f"{each}-{turn}"] for each in EXPECTED for turn in range(3)} == EXPECTED
        written = [leaf for leaf in await town.leaves() if leaf["case"] != "good-99"]
        assert {leaf["case"]: leaf["outcome"] for leaf in written} == heard
        assert len(written) == len(heard)
        assert grown < 150_000  # KiB, of everything in this process: three gigabytes and three endless answers came.
        assert all(sent < 32 * 1024 * 1024 for sent in provider.sent.values())
        assert "Somebody Else" not in str(written)


async def test_a_flapping_provider_keeps_every_leaf_right(profile: Profile) -> None:
    async with bad_provider() as provider, city(profile, provider_failures_max=1000) as town:
        await stocked(town, provider, "flapping")
        heard = dict([await asked(town, "flapping", number) for number in range(20)])
        written = {leaf["case"]: leaf["outcome"] for leaf in await town.leaves()}
        assert written == heard
        assert Counter(heard.values()) == {"answered": 10, UNAVAILABLE: 10}


async def test_hung_providers_leave_the_places_of_the_others_alone(profile: Profile) -> None:
    """As many questions as a provider is given at once wait for nothing; others are asked and answered meanwhile."""
    async with bad_provider() as provider, city(profile, provider_in_flight_max=8) as town:
        await stocked(town, provider, "hung", "loris", "good")
        waiting = [asyncio.create_task(asked(town, each, turn)) for each in ("hung", "loris") for turn in range(20)]
        answered = [await asked(town, "good", number) for number in range(20)]
        assert {outcome for _, outcome in answered} == {"answered"}
        assert not all(task.done() for task in waiting)
        heard = dict(await asyncio.gather(*waiting)) | dict(answered)
        assert set(heard.values()) == {"answered", "PROVIDER_BUSY", UNAVAILABLE}
        assert provider.asked["hung"] <= 8
        assert {leaf["case"]: leaf["outcome"] for leaf in await town.leaves()} == heard


@pytest.mark.parametrize("manner", ["hung", "gone"])
async def test_a_dead_provider_is_left_alone_and_its_refusals_still_have_leaves(profile: Profile, manner: str) -> None:
    async with bad_provider() as provider, city(profile, provider_failures_max=2) as town:
        await stocked(town, provider, manner)
        heard = dict([await asked(town, manner, number) for number in range(6)])
        assert set(heard.values()) == {UNAVAILABLE}
        assert provider.asked[manner] == 2
        assert {leaf["case"]: leaf["outcome"] for leaf in await town.leaves()} == heard
