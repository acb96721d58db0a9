# SPDX-License-Identifier: Apache-2.0
"""The case engine's rules: no I/O, no clock; state is a fold of events, and `advance` says what follows."""
