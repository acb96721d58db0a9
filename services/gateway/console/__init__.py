# SPDX-License-Identifier: Apache-2.0
"""The operators' console: an OTLP receiver, a ring of traces, and pages from a receipt number to its waterfall."""
