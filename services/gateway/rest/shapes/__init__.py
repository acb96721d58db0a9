# SPDX-License-Identifier: Apache-2.0
"""The shapes of requests and answers, as the OpenAPI document describes them. Built from views, never handed inward."""
