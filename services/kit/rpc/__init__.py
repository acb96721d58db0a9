# SPDX-License-Identifier: Apache-2.0
"""gRPC for every service: one server wrapper that keeps the contract's rules, one client that passes on who asks."""
