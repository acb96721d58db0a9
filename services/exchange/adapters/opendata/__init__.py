# SPDX-License-Identifier: Apache-2.0
"""Releases are made in a process of their own (`__main__`): registers are large, and the calls of everybody else must not wait."""
