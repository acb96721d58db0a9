# SPDX-License-Identifier: Apache-2.0
"""`tongban matter`, as an author types it."""

from pathlib import Path

import yaml
from typer.testing import CliRunner

from services.cli.definitions import SHIPPED
from services.cli.matter import app
from tests.support.gateway_matters import definition, step

BIRTH = SHIPPED / "birth.yaml"


def test_lint_ends_with_1_where_something_is_to_be_mended_and_says_how(tmp_path: Path) -> None:
    path = tmp_path / "sample.yaml"
    path.write_text(yaml.safe_dump(definition(step("a", agency="nobody"))), encoding="utf-8")
    done = CliRunner().invoke(app, ["lint", str(path)])
    assert done.exit_code == 1
    assert "sample.yaml: AGENCY_UNKNOWN at steps.a.agency: No agency here has the role nobody." in done.output
    assert "add it there" in done.output
    assert CliRunner().invoke(app, ["lint", str(BIRTH)]).exit_code == 0


def test_draw_writes_a_file_and_diff_tells_that_nothing_changes(tmp_path: Path) -> None:
    out = tmp_path / "birth.svg"
    assert CliRunner().invoke(app, ["draw", str(BIRTH), "--out", str(out)]).exit_code == 0
    assert out.read_text(encoding="utf-8").startswith("<svg ")
    assert "Nothing changes." in CliRunner().invoke(app, ["diff", str(BIRTH), str(BIRTH)]).output
