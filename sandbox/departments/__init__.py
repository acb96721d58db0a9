# SPDX-License-Identifier: Apache-2.0
"""The departments of the birth case: each a program of its own with its own register and its own protocol."""
