# SPDX-License-Identifier: Apache-2.0
"""Faults put into a whole running system, and the invariants checked after each (`make faults`)."""
