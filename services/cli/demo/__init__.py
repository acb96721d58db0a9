# SPDX-License-Identifier: Apache-2.0
"""The demonstration: a birth through the public door of a throw-away system, and every proof checked from outside."""
