# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: ratios to a baseline of the same run, never bare claims (`make bench`)."""
