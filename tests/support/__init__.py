# SPDX-License-Identifier: Apache-2.0
"""Fakes and fixtures; fakes pass the same suites as the real things."""
