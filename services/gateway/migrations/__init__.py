# SPDX-License-Identifier: Apache-2.0
"""Schema of the gateway database, one file a revision."""
