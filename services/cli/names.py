# SPDX-License-Identifier: Apache-2.0
"""The services by name."""

SERVICES = ("identity", "licenses", "exchange", "gateway")
KEEPERS = SERVICES
"""Those that keep a ledger."""
