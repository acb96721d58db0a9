# SPDX-License-Identifier: Apache-2.0
"""Tongban 通办: the services and what they share."""
