# SPDX-License-Identifier: Apache-2.0
"""Migrations of identity: `versions/NNNN_<what>.py`, never changed once released."""
