# SPDX-License-Identifier: Apache-2.0
"""The cli room."""
