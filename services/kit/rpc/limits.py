# SPDX-License-Identifier: Apache-2.0
"""Bounds of every gRPC door."""

from typing import Final

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Both ways; gRPC itself refuses what is bigger with RESOURCE_EXHAUSTED."""

METADATA_BYTES_MAX: Final = 16 * 1024
"""Of one call; a token of ours is about 1 KiB."""
