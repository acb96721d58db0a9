# SPDX-License-Identifier: Apache-2.0
"""The exchange's HTTP doorway, for agencies that show their certificate: the X-Road Message Protocol for REST."""
