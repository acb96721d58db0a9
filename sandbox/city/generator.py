# SPDX-License-Identifier: Apache-2.0
"""Makes the city from a seed: the same (people, seed) gives the same city, to the last digit.

Everybody is "born" in 1880 to 1904, so that no number can be a living person's; ages mean nothing here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from sandbox import numbers
from sandbox.city import names
from sandbox.city.people import Enrollment, Family, Firm, Flaw, Household, Marriage, Resident

PEOPLE_MAX = 1_000_000
FAMILIES_OF_PERSONAS = 6
"""The first families are couples without a mistake: sample accounts live there."""

_PHONES = 10_000
_PEOPLE_PER_FIRM = 20
_FIRST_DAY, _LAST_DAY = date(1880, 1, 1), date(1904, 12, 31)
_DAYS = (_LAST_DAY - _FIRST_DAY).days + 1
_RECENT = date(2015, 1, 5)
_RECENT_DAYS = 3600
_CHILDREN = (0, 0, 1, 1, 1, 2, 2, 3)
_SINGLE_SHARE, _FLAW_SHARE, _EMPLOYEE_SHARE = 0.15, 0.02, 0.6


@dataclass(frozen=True, slots=True)
class City:
    """A whole city in memory."""

    seed: int
    families: tuple[Family, ...]
    firms: tuple[Firm, ...]

    @property
    def residents(self) -> Iterator[Resident]:
        """Everybody, family by family."""
        return (resident for family in self.families for resident in family.residents)

    @property
    def flaws(self) -> Iterator[Flaw]:
        """Every mistake that was put in."""
        return (flaw for family in self.families for flaw in family.flaws)


def generate(people: int, seed: int) -> City:
    """A city of exactly `people` residents; at least two for each family of the sample accounts."""
    least = 2 * FAMILIES_OF_PERSONAS
    if not least <= people <= PEOPLE_MAX:
        raise ValueError(f"A city has {least} to {PEOPLE_MAX} people, not {people}.")
    founder = _Founder(Random(f"tongban-{seed}"))  # noqa: S311 - a reproducible city, not a secret
    families = tuple(founder.families(people))
    return City(seed, families, tuple(founder.firms(families, people // _PEOPLE_PER_FIRM)))


class _Founder:
    """Draws families one after another; remembers which sequences, households and certificates are used."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._sequences: dict[tuple[date, bool], int] = {}
        self._residents = 0
        self._households = 0
        self._marriages = 0

    def families(self, people: int) -> Iterator[Family]:
        while self._residents < people:
            room = people - self._residents
            if self._households < FAMILIES_OF_PERSONAS:
                yield self._family(couple=True, children=0, flawed=False)
            elif room == 1 or self._random.random() < _SINGLE_SHARE:
                yield self._family(couple=False, children=0, flawed=False)
            else:
                children = min(self._random.choice(_CHILDREN), room - 2)
                yield self._family(couple=True, children=children, flawed=self._random.random() < _FLAW_SHARE)

    def firms(self, families: tuple[Family, ...], count: int) -> Iterator[Firm]:
        for index in range(count):
            owner = self._random.choice(families).residents[0]
            brand, trade = self._random.choice(names.BRANDS), self._random.choice(names.TRADES)
            yield Firm(
                uscc=numbers.credit_code("9", "1", f"MA{index:06d}"),
                name=f"通办市{brand}{trade}{index + 1:04d}号有限公司",
                representative_number=owner.number,
            )

    def _family(self, *, couple: bool, children: int, flawed: bool) -> Family:
        household_number = f"{numbers.REGION}{self._households + 1:08d}"
        self._households += 1
        head_male = couple or self._random.random() < 0.5  # noqa: PLR2004 - a coin
        head = self._resident(household_number, "户主", male=head_male)
        residents = [head]
        marriage = None
        if couple:
            wife = self._resident(household_number, "配偶", male=False)
            marriage = self._marriage(head, wife)
            residents.append(wife)
            for _ in range(children):
                male = self._random.random() < 0.5  # noqa: PLR2004 - a coin
                residents.append(
                    self._resident(household_number, "子" if male else "女", male=male, surname=head.name[:2])
                )
        flaws: tuple[Flaw, ...] = ()
        if marriage and flawed:
            marriage, flaw = self._spoil(marriage)
            flaws = (flaw,)
        return Family(
            household=Household(household_number, self._address(), head.number),
            residents=tuple(residents),
            marriage=marriage,
            enrollments=tuple(self._enrollment(resident.number) for resident in residents),
            flaws=flaws,
        )

    def _resident(self, household: str, relation: str, *, male: bool, surname: str = "") -> Resident:
        birth = _FIRST_DAY + timedelta(days=self._random.randrange(_DAYS))
        sequence = numbers.next_sequence(self._sequences.get((birth, male), 0), male=male)
        while sequence > numbers.SEQUENCE_MAX:
            birth = _FIRST_DAY + timedelta(days=self._random.randrange(_DAYS))
            sequence = numbers.next_sequence(self._sequences.get((birth, male), 0), male=male)
        self._sequences[birth, male] = sequence
        given = self._random.choice(names.MALE if male else names.FEMALE)
        rounds = self._residents // (len(names.SURNAMES) * len(names.MALE))
        name = names.full_name(surname or self._random.choice(names.SURNAMES), given, rounds)
        phone = f"+861990000{self._residents:04d}" if self._residents < _PHONES else ""
        self._residents += 1
        return Resident(
            number=numbers.citizen_number(birth, sequence),
            name=name,
            male=male,
            birth_date=birth,
            phone=phone,
            household_number=household,
            relation=relation,
        )

    def _marriage(self, husband: Resident, wife: Resident) -> Marriage:
        self._marriages += 1
        day = self._recent_day()
        return Marriage(
            certificate_number=f"J{numbers.REGION}-{day.year}-{self._marriages:06d}",
            husband_number=husband.number,
            husband_name=husband.name,
            wife_number=wife.number,
            wife_name=wife.name,
            marriage_date=day,
            status="valid",
        )

    def _spoil(self, marriage: Marriage) -> tuple[Marriage, Flaw]:
        """One of the mistakes that real registers have: a dissolved marriage, or a miswritten name."""
        kind = self._random.choice(("marriage_dissolved", "name_miswritten"))
        status = "dissolved" if kind == "marriage_dissolved" else marriage.status
        name = marriage.husband_name if kind == "marriage_dissolved" else marriage.husband_name[:-1] + "某"
        spoiled = Marriage(
            certificate_number=marriage.certificate_number,
            husband_number=marriage.husband_number,
            husband_name=name,
            wife_number=marriage.wife_number,
            wife_name=marriage.wife_name,
            marriage_date=marriage.marriage_date,
            status=status,
        )
        return spoiled, Flaw(kind, "civil_affairs", marriage.certificate_number)

    def _enrollment(self, number: str) -> Enrollment:
        scheme = "employee" if self._random.random() < _EMPLOYEE_SHARE else "resident"
        return Enrollment(number, scheme, "active", self._recent_day())

    def _recent_day(self) -> date:
        return _RECENT + timedelta(days=self._random.randrange(_RECENT_DAYS))

    def _address(self) -> str:
        street, draw = self._random.choice(names.STREETS), self._random.randint
        return f"通办市{street}{draw(1, 299)}号{draw(1, 20)}栋{draw(101, 2805)}室"
