# SPDX-License-Identifier: Apache-2.0
"""Work on definitions before any case meets them: check, draw, simulate, compare, exchange as BPMN, join to bundles.

Pure: definitions and what is known of the surroundings go in, findings and documents come out.
"""
