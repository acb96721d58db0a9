# SPDX-License-Identifier: Apache-2.0
"""Programs of others, run beside ours; each in an environment of its own, so that none of them is a dependency."""
