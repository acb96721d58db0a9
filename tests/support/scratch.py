# SPDX-License-Identifier: Apache-2.0
"""A folder for servers that live as long as a test session: in memory where there is some, since nothing outlives it."""

import shutil
import tempfile
from pathlib import Path

ROOM = 2 * 1024**3


def scratch(prefix: str) -> Path:
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    return Path(tempfile.mkdtemp(prefix=prefix, dir=memory if roomy else None))
