# SPDX-License-Identifier: Apache-2.0
"""The synthetic population: families, marriages, insurance, firms, and mistakes to find."""

from sandbox.city.generator import City, generate
from sandbox.city.people import Enrollment, Family, Firm, Flaw, Household, Marriage, Resident

__all__ = ["City", "Enrollment", "Family", "Firm", "Flaw", "Household", "Marriage", "Resident", "generate"]
