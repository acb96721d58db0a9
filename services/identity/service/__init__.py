# SPDX-License-Identifier: Apache-2.0
"""What identity does: one method, one use case, one transaction."""
