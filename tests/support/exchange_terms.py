# SPDX-License-Identifier: Apache-2.0
"""Terms that grants execute, for tests."""

from services.exchange.domain.conditions import Condition, Question
from services.exchange.domain.hours import Hours, Window
from services.exchange.domain.terms import Method, Terms

IN_SPRING_LANE = Condition("record.address.contains('Spring')", "住在春巷", "Lives in Spring Lane")
IS_DAUGHTER = Question("is_daughter", Condition("record.relation == 'daughter'", "是女儿", "Is a daughter"))
IS_SON = Question("is_son", Condition("record.relation == 'son'", "是儿子", "Is a son"))
OFFICE_HOURS = Hours((Window(540, 720), Window(840, 1080)), working_days_only=True)


def everything() -> Terms:
    """Terms of every kind at once."""
    return Terms(
        methods=(Method.VERIFY, Method.BATCH),
        predicate=IN_SPRING_LANE,
        questions=(IS_DAUGHTER, IS_SON),
        consent=True,
        rate_per_second=5,
        hours=OFFICE_HOURS,
    )
