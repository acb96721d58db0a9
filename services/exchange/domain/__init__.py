# SPDX-License-Identifier: Apache-2.0
"""What the exchange decides: resources, grants, permits, answers. Pure functions over frozen values."""
