# SPDX-License-Identifier: Apache-2.0
"""Generates `gen/` from `protos/`; with `--check` only says whether it would change anything."""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc_tools

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "gen"


def generate(target: Path) -> None:
    """Writes modules and stubs for every `.proto` below `protos/` into `target`."""
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    services = [name for name in files if name.endswith("_service.proto")]
    include = Path(grpc_tools.__file__).parent / "_proto"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{include}"]
    subprocess.run(
        [*protoc, f"--python_out={target}", f"--mypy_out=quiet:{target}", *files],
        check=True,
        env=environment,
    )
    subprocess.run(
        [*protoc, f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}", *services],
        check=True,
        env=environment,
    )
    for folder in [path for path in target.rglob("*") if path.is_dir()]:
        (folder / "__init__.py").touch()


def drift(one: Path, other: Path) -> list[str]:
    """Names the files that differ or exist on one side only."""
    names = {
        str(path.relative_to(root))
        for root in (one, other)
        for path in root.rglob("*.py*")
        if path.suffix in {".py", ".pyi"}
    }
    return sorted(
        name
        for name in names
        if not (one / name).is_file()
        or not (other / name).is_file()
        or not filecmp.cmp(one / name, other / name, shallow=False)
    )


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 on drift")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        changed = drift(fresh, GENERATED)
        if check:
            for name in changed:
                sys.stderr.write(f"gen/{name} is not what protos/ says: run `make proto`\n")
            return 1 if changed else 0
        if GENERATED.exists():
            shutil.rmtree(GENERATED)
        shutil.copytree(fresh, GENERATED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
