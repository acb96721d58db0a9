# SPDX-License-Identifier: Apache-2.0
"""The sample accounts of the city, each with answers that work."""

import json
from collections.abc import Callable
from datetime import date, timedelta

from tongban.identity.v1 import identity_pb2 as nouns

from sandbox.agencies import Agency
from sandbox.cast import cast
from sandbox.city import City
from sandbox.city.generator import FAMILIES_OF_PERSONAS
from sandbox.city.names import FEMALE, MALE, child_name
from sandbox.scripts import samples

OPERATOR_RIGHTS = (
    "exchange.catalogue",
    "exchange.grants",
    "exchange.read",
    "gateway.cases",
    "gateway.clocks",
    "gateway.matters",
    "gateway.notices",
    "gateway.webhooks",
    "identity.agencies",
    "identity.personas",
    "ledger.audit",
    "ledger.heads",
)
CLERK_RIGHTS = ("exchange.read", "gateway.tasks")
_ACCOUNT = "990100000000000"
"""Bank accounts of the city begin with 99 as well."""

SubjectOf = Callable[[str], str]
"""Subject id of a resident by citizen number."""


def citizens(city: City) -> dict[str, str]:
    """Citizen number behind each resident's account, by key."""
    mothers = {f"mother-{index + 1}": city.families[index].mother.number for index in range(FAMILIES_OF_PERSONAS)}
    players = {key: cast().people[key].number for key in cast().titles}
    return {**mothers, "father-1": city.families[0].father.number, **players}


def personas(city: City, agencies: dict[str, Agency], subject_of: SubjectOf, today: date) -> list[nouns.Persona]:
    """All accounts. The sample births are a few days old, so that they hold whenever the city starts."""
    numbers = citizens(city)
    return [
        *(
            _mother(city, index, subject_of(numbers[f"mother-{index + 1}"]), today)
            for index in range(FAMILIES_OF_PERSONAS)
        ),
        nouns.Persona(
            key="father-1",
            role="citizen",
            subject_id=subject_of(numbers["father-1"]),
            title_zh="父亲一",
            title_en="Father 1, married to mother 1",
            samples_json="{}",
        ),
        *(_player(key, titles, subject_of(numbers[key])) for key, titles in cast().titles.items()),
        nouns.Persona(
            key="clerk-civil-affairs",
            role="clerk",
            agency=agencies["civil_affairs"].uscc,
            rights=CLERK_RIGHTS,
            title_zh="民政局工作人员",
            title_en="Clerk of civil affairs",
            samples_json="{}",
        ),
        *(
            nouns.Persona(
                key=clerk.key,
                role="clerk",
                agency=agency.uscc,
                rights=sorted({*CLERK_RIGHTS, *clerk.rights}),
                title_zh=clerk.name_zh,
                title_en=clerk.name_en,
                samples_json="{}",
            )
            for agency in agencies.values()
            for clerk in agency.clerks
        ),
        nouns.Persona(
            key="operator-1",
            role="operator",
            rights=OPERATOR_RIGHTS,
            title_zh="平台运维人员",
            title_en="Operator of the platform",
            samples_json="{}",
        ),
    ]


def _player(key: str, titles: tuple[str, str], subject_id: str) -> nouns.Persona:
    return nouns.Persona(
        key=key,
        role="citizen",
        subject_id=subject_id,
        title_zh=titles[0],
        title_en=titles[1],
        samples_json=json.dumps(samples(key), ensure_ascii=False),
    )


def _mother(city: City, index: int, subject_id: str, today: date) -> nouns.Persona:
    father = city.families[index].father
    male = index % 2 == 0
    answers = {
        "child_name": child_name(father.name, (MALE if male else FEMALE)[-1 - index]),
        "child_sex": "male" if male else "female",
        "birth_date": (today - timedelta(days=2 + index)).isoformat(),
        "settlement_account": f"{_ACCOUNT}{index + 1:04d}",
    }
    return nouns.Persona(
        key=f"mother-{index + 1}",
        role="citizen",
        subject_id=subject_id,
        title_zh=f"母亲{'一二三四五六'[index]}，刚生了孩子",
        title_en=f"Mother {index + 1}, who has just had a child",
        samples_json=json.dumps({"birth": answers}, ensure_ascii=False),
    )
