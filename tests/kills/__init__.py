# SPDX-License-Identifier: Apache-2.0
"""Gateways that are killed at every commit they make, while cases run through them; see docs/faults.md."""
