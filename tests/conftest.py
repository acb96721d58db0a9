# SPDX-License-Identifier: Apache-2.0
"""Fixtures of every room."""

pytest_plugins = ["tests.support.kafka", "tests.support.postgres", "tests.support.profiles"]
