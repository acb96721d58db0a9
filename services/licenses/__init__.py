# SPDX-License-Identifier: Apache-2.0
"""The licenses room."""
