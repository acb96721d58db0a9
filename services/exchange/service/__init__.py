# SPDX-License-Identifier: Apache-2.0
"""The exchange's use cases: one method, one transaction or one leaf."""
