# SPDX-License-Identifier: Apache-2.0
"""The number that a case is known by."""

from services.gateway.domain.plan import Plan
from services.gateway.domain.values import china_date
from services.gateway.service.engine import Engine, Turn

LEVEL_CITY = "3"
"""Level of the implementing body in the implementation code (GB/T 39046-2020, annex A): city."""


async def next_receipt(engine: Engine, turn: Turn, plan: Plan) -> str:
    """The next number of today; who opens another case today waits for our commit."""
    day = china_date(engine.clock()).replace("-", "")
    return f"{implementation_code(plan, engine)}{day}{await turn.tx.next_serial(day):06d}"


def implementation_code(plan: Plan, engine: Engine) -> str:
    """实施编码: the leading body's USCC (18), its level (1) and the basic code (12)."""
    return f"{engine.uscc(plan.matter.lead)}{LEVEL_CITY}{plan.matter.basic_code}"
