# SPDX-License-Identifier: Apache-2.0
"""What is kept running comes back; what is stopped stays away."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from services.cli.supervisor import Program, Supervisor, tail
from tests.support.eventually import eventually

SLEEPS = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
READS = "import sys; sys.stdin.read()"


class Table:
    """Hears the table of processes."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}

    def __call__(self, processes: Mapping[str, int]) -> None:
        self.now = dict(processes)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
async def supervisor(table: Table) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(table, term_seconds=0.3)
    yield supervisor
    await supervisor.stop()


def program(name: str, code: str, **options: object) -> Program:
    return Program(name, (sys.executable, "-c", code), **options)  # type: ignore[arg-type]


async def test_what_is_killed_comes_back_under_its_name(supervisor: Supervisor, table: Table) -> None:
    supervisor.keep(program("one", SLEEPS))
    await eventually(lambda: "one" in table.now)
    first = table.now["one"]
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: table.now.get("one", first) != first)


async def test_what_is_stopped_stays_away_and_the_others_stay(supervisor: Supervisor, table: Table) -> None:
    supervisor.keep(program("one", SLEEPS))
    supervisor.keep(program("two", READS, on_pipe=True))
    await eventually(lambda: table.now.keys() == {"one", "two"})
    gone = table.now["one"]
    await supervisor.stop("one")
    assert table.now.keys() == {"two"}
    with pytest.raises(ProcessLookupError):
        os.kill(gone, 0)


async def test_what_does_not_listen_is_killed(supervisor: Supervisor, table: Table, tmp_path: Path) -> None:
    log = tmp_path / "log"
    supervisor.keep(program("deaf", STUBBORN, log=log))
    await eventually(lambda: "up" in tail(log))
    gone = table.now["deaf"]
    await supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(gone, 0)


async def test_a_program_sees_its_own_settings_and_no_others(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_DATABASE", "of somebody else")
    log = tmp_path / "log"
    code = "import os; print(sorted(n for n in os.environ if n.startswith(('IDENTITY', 'LICENSES'))), flush=True)"
    supervisor.keep(program("curious", code + "; " + SLEEPS, log=log, environment={"LICENSES_WORKER": "2"}))
    await eventually(lambda: "]" in tail(log))
    assert tail(log) == "['LICENSES_WORKER']"


async def test_a_leashed_program_ends_with_the_one_that_holds_the_leash(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("Leashes are of Linux.")
    leash = Path(__file__).parents[3] / "services" / "cli" / "leash.py"
    pid_file = tmp_path / "pid"
    sleeper = f"import os, pathlib, time; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(60)"
    holder = (
        "import os, subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, '-I', '-S', {str(leash)!r}, str(os.getpid()), sys.executable, '-c', {sleeper!r}]); "
        "time.sleep(60)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", holder)
    await eventually(lambda: pid_file.exists() and pid_file.read_text() != "")
    process.kill()
    await process.wait()
    await eventually(lambda: not Path(f"/proc/{pid_file.read_text()}").exists())
