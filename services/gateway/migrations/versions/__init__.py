# SPDX-License-Identifier: Apache-2.0
"""Revisions, in order of their numbers."""
