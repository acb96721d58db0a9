# SPDX-License-Identifier: Apache-2.0
"""How providers are reached: SQL, REST, and connectors that dial out."""
