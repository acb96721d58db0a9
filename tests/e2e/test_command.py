# SPDX-License-Identifier: Apache-2.0
"""The person at the terminal: starts, stops, sets something wrongly, and is told what is so."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.folder import Folder
from tests.support.missing import missing
from tests.support.system import ROOT, System, absent

SECONDS = 180


def tongban(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[System]:
    """A system that is not started yet; whatever a test does with it, nothing of it stays."""
    system = System("embedded", tmp_path / "data")
    try:
        yield system
    finally:
        asyncio.run(system.stop())


async def test_ctrl_c_stops_within_five_seconds_and_a_second_start_goes_on_with_the_same_data(stopped: System) -> None:
    await stopped.start()
    async with stopped.resident("mother-1") as mother:
        draft = await mother.create("birth", (await mother.samples("mother-1"))["birth"])
    begun = time.monotonic()
    assert await stopped.stop(signal.SIGINT) == 0
    assert time.monotonic() - begun < 5
    assert stopped.processes() == {}
    await stopped.start()
    async with stopped.resident("mother-1") as mother:
        assert (await mother.case(draft["id"]))["receipt"] == draft["receipt"]


async def test_the_terminal_says_where_things_are_and_how_to_sign_in(stopped: System) -> None:
    await stopped.start()
    said = await stopped.told("Ctrl-C")
    for word in (f"{stopped.url}/api/v1", f"{stopped.url}/docs", f"{stopped.url}/console", "tongban token --persona"):
        assert word in said
    given = await asyncio.to_thread(tongban, "token", "--persona", "mother-1", "--url", stopped.url)
    assert given.returncode == 0
    async with stopped.http() as http:
        answer = await http.get("/api/v1/cases", headers={"authorization": f"Bearer {given.stdout.strip()}"})
        assert answer.status_code == 200
    unknown = await asyncio.to_thread(tongban, "token", "--persona", "nobody", "--url", stopped.url)
    assert unknown.returncode == 1
    assert len(unknown.stderr.strip().splitlines()) == 1
    nothing = await asyncio.to_thread(tongban, "parked", "list", TONGBAN_DATA=str(stopped.data))
    assert nothing.stdout.strip() == "Nothing is parked."


async def test_ledgers_are_exported_and_proved_and_a_changed_leaf_is_found(stopped: System, tmp_path: Path) -> None:
    await stopped.start()
    out = tmp_path / "ledgers"
    exported = await asyncio.to_thread(tongban, "ledger", "export", "--out", str(out), **stopped.environment())
    assert exported.returncode == 0, exported.stderr
    await stopped.stop()
    proved = await asyncio.to_thread(tongban, "ledger", "verify", str(out))
    assert proved.returncode == 0, proved.stdout
    path = out / "identity.jsonl"
    path.write_text(
        path.read_text("utf-8").replace("public_security", "tax").replace("11990100000001046G", "x", 1), "utf-8"
    )
    broken = await asyncio.to_thread(tongban, "ledger", "verify", str(out))
    assert broken.returncode == 1
    verdicts = {
        line.partition(":")[0]: "DOES NOT HOLD" in line for line in broken.stdout.splitlines() if " leaves, " in line
    }
    assert verdicts == {"exchange": False, "gateway": False, "identity": True, "licenses": False}


async def test_the_departments_come_back_and_go_with_the_system(stopped: System) -> None:
    await stopped.start()
    before = stopped.kill("departments")
    await stopped.recovered("departments", before)
    departments = stopped.processes()["departments"]
    assert departments != before
    stopped.kill("tongban")
    await stopped.gone(departments)


async def test_a_second_instance_on_the_same_data_is_refused_in_one_sentence(stopped: System) -> None:
    await stopped.start()
    other = await asyncio.to_thread(tongban, "run", **{**stopped.environment(), "TONGBAN_HTTP_PORT": "1"})
    assert other.returncode == 1
    assert "Another instance" in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1


def refused(system: System, **changed: str) -> str:
    ended = tongban("run", **{**system.environment(), **changed})
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    return ended.stderr


def test_ports_in_use_are_named(stopped: System) -> None:
    for port, variable in ((stopped.ports.http, "TONGBAN_HTTP_PORT"), (stopped.ports.grpc + 2, "TONGBAN_GRPC_PORT")):
        with socket.create_server(("127.0.0.1", port)):
            said = refused(stopped)
        assert str(port) in said
        assert variable in said


def test_data_that_can_not_be_written_is_named(stopped: System, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert "TONGBAN_DATA" in refused(stopped, TONGBAN_DATA=str(in_the_way / "var"))


async def test_a_broken_database_is_named_and_left_as_it_was(stopped: System) -> None:
    await stopped.start()
    await stopped.stop()
    for service in ("identity", "gateway"):
        path = stopped.folder.database(service)
        whole = path.read_bytes()
        broken = b"not a database at all" * 500
        path.write_bytes(broken)
        said = await asyncio.to_thread(refused, stopped)
        assert str(path) in said
        assert path.read_bytes() == broken
        path.write_bytes(whole)
    await stopped.start()


def test_the_demonstration_ends_with_one_line_of_json() -> None:
    shown = tongban("demo", "--json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    document = json.loads(shown.stdout.strip().splitlines()[-1])
    assert set(document) == {
        *("case", "status", "steps", "licenses", "ledger", "trace_id", "spans_by_service", "seconds")
    }
    assert document["status"] == "completed"
    assert {frozenset(step) for step in document["steps"]} == {frozenset(("id", "agency", "state", "started", "ended"))}
    assert {frozenset(each) for each in document["licenses"]} == {
        frozenset(("type", "identifier", "version", "credential"))
    }
    assert set(document["ledger"]) == {"leaves", "root", "verified"}
    assert document["ledger"]["verified"] is True
    assert document["ledger"]["leaves"] > 10
    assert len(document["trace_id"]) == 32


def test_the_stack_starts_in_the_background_and_stops(tmp_path: Path) -> None:
    if what := absent("full"):
        missing(what)
    system = System("full", tmp_path)
    environ = system.environment()
    try:
        started = tongban("stack", "start", **environ)
        assert started.returncode == 0, started.stderr
        assert "Tongban is ready" in started.stdout
        again = tongban("stack", "start", **environ)
        assert again.returncode == 1
        assert "running already" in again.stderr
    finally:
        stopped = tongban("stack", "stop", **environ)
    assert stopped.returncode == 0, stopped.stderr
    assert Folder(system.folder.root).holder is None
    assert "not running" in tongban("stack", "stop", **environ).stdout
