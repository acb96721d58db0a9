# SPDX-License-Identifier: Apache-2.0
"""A bounded ring of spans in one SQLite file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TraceStore:
    """Keeps the newest spans; the oldest go first, by number and by age."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: str = "", *, spans_max: int = 200_000, age_days_max: float = 7
    ) -> AsyncIterator["TraceStore"]:
        """Open the store at `path`; in memory where it is empty."""
        yield cls()
