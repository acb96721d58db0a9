# SPDX-License-Identifier: Apache-2.0
"""A service that is nobody's: effects per key, told as facts, to drive the kit with."""

from tests.support.probe.probe import Probe, ProbeTx, Resources, fact_of, opened, resources, step

__all__ = ["Probe", "ProbeTx", "Resources", "fact_of", "opened", "resources", "step"]
