# SPDX-License-Identifier: Apache-2.0
"""What identity decides: numbers and codes, persons, organizations, agencies, comparisons, token claims."""
