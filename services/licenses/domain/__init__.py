# SPDX-License-Identifier: Apache-2.0
"""What a license is, how its life goes on and what its identifier says: rules without wire, broker or database."""
