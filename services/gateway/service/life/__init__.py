# SPDX-License-Identifier: Apache-2.0
"""The life of a case beyond its steps, as residents' doorways may ask for it, by what it is about."""

from services.gateway.service.engine import Engine
from services.gateway.service.life.eligibility import EligibilityDesk, EligibilityView, RuleView
from services.gateway.service.life.materials import MaterialDesk
from services.gateway.service.life.own import OwnCases
from services.gateway.service.owning import OnCase
from services.gateway.service.prefill import Prefiller

__all__ = ["EligibilityView", "Life", "MaterialDesk", "OnCase", "RuleView"]


class Life:
    """Every desk acts for the caller."""

    def __init__(self, engine: Engine, prefiller: Prefiller, materials: MaterialDesk) -> None:
        self.eligibility = EligibilityDesk(engine, prefiller)
        self.materials = materials
        self.own = OwnCases(engine)
