# SPDX-License-Identifier: Apache-2.0
"""`python leash.py PARENT COMMAND...`: becomes COMMAND, and is told to stop when PARENT is gone, however it went.

Linux only; elsewhere the command simply runs. A file of its own that imports nothing of ours: it starts in a few ms.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(0)
    os.execvp(command[0], command)  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
