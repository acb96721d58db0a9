# SPDX-License-Identifier: Apache-2.0
"""Changes of the exchange's schema, in order."""
