# SPDX-License-Identifier: Apache-2.0
"""HTTP doors: the server, bounded bodies, and refusals as problems."""

from services.kit.http.server import HttpServer

__all__ = ["HttpServer"]
