# SPDX-License-Identifier: Apache-2.0
"""What holds for every file of the tree."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADINGS = ["Owns", "Answers", "Tells", "Hears", "Keeps", "Refuses", "Knobs"]
SERVICES = ["identity", "licenses", "exchange", "gateway"]


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="ignore")


def test_every_source_file_says_its_license() -> None:
    suffixes = {".py", ".proto", ".yaml", ".yml", ".toml", ".html", ".css", ".js"}
    skipped = ("gen/", "protos/buf/", "tests/vectors/")
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix in suffixes
        and not str(path.relative_to(ROOT)).startswith(skipped)
        and "SPDX-License-Identifier: Apache-2.0" not in text_of(path)[:400]
    ]
    assert silent == []


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    hosts = [
        "py" + "pi.org",
        "python" + "hosted",
        "npm" + "js.org",
        "repo1.mav" + "en",
        "/ro" + "ot/",
        "/wo" + "rk/",
        "/ho" + "me/",
    ]
    pattern = re.compile("|".join(re.escape(host) for host in hosts))
    named = [str(path.relative_to(ROOT)) for path in tracked() if pattern.search(text_of(path))]
    assert named == []


def test_there_is_no_room_for_odds_and_ends() -> None:
    names = {path.stem for path in tracked() if path.suffix == ".py"}
    assert not names & {"utils", "helpers", "common", "misc", "util"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_readme_has_the_seven_headings(service: str) -> None:
    text = text_of(ROOT / "services" / service / "README.md")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


def test_nothing_that_breaks_the_trace_exporter_is_locked() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        assert not re.search(r"^(grpcio-admin|grpcio-csds|xds-protos)==", text_of(lock), re.MULTILINE), lock.name


def test_locks_name_no_address_and_hash_everything() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        text = text_of(lock)
        assert "://" not in text
        for requirement in re.split(r"\n(?=[a-z0-9])", text.strip()):
            assert "--hash=sha256:" in requirement, requirement


def test_one_version_one_package() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    assert project["name"] == "tongban"
    assert f"## {project['version']}" in text_of(ROOT / "CHANGELOG.md") or "## Unreleased" in text_of(
        ROOT / "CHANGELOG.md"
    )
