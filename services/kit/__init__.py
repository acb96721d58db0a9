# SPDX-License-Identifier: Apache-2.0
"""Runtime shared by all services; knows nothing of government."""
