# SPDX-License-Identifier: Apache-2.0
"""The synthetic city of region 990100."""
