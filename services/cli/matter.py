# SPDX-License-Identifier: Apache-2.0
"""`tongban matter`: definitions as their authors work on them. Thin: the work is in `services.gateway.definitions`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import Options, Profile

app = typer.Typer(no_args_is_help=True, help="Definitions of matters: check, draw, try, compare, join, activate.")

File = Annotated[Path, typer.Argument(help="A definition (*.yaml).")]
Out = Annotated[Path | None, typer.Option(help="File; standard output where none is named.")]


@app.command()
def lint(
    paths: Annotated[list[Path] | None, typer.Argument(help="Definitions; all that ship where none is named.")] = None,
) -> None:
    """Check definitions against the city's catalogue, license types and agencies. Exit code 1 where one has a problem."""
    from services.cli import definitions  # noqa: PLC0415

    around = definitions.known()
    found = 0
    for path in paths or definitions.shipped():
        problems = definitions.problems_of(path, around)
        for problem in problems:
            print(f"{path.name}: {problem} {problem.remedy}")
        if not problems:
            print(f"{path.name}: nothing to mend.")
        found += len(problems)
    raise typer.Exit(int(found > 0))


@app.command()
def draw(path: File, out: Out = None) -> None:
    """Draw a definition as SVG: steps in lanes of agencies, in the order in which they can happen."""
    from services.cli import definitions  # noqa: PLC0415
    from services.gateway.definitions.draw import draw as drawn  # noqa: PLC0415

    definitions.write(drawn(definitions.read(path), definitions.agencies()), out)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="The definition as it was.")],
    after: Annotated[Path, typer.Argument(help="The definition as it will be.")],
) -> None:
    """Compare two versions: what changes, and for whom."""
    from services.cli import definitions  # noqa: PLC0415
    from services.gateway.definitions.diff import changes  # noqa: PLC0415

    found = changes(definitions.read(before), definitions.read(after))
    for change in found:
        print(change)
    if not found:
        print("Nothing changes.")


@app.command()
def schema(out: Out = None) -> None:
    """Write the JSON Schema of definitions, for editors."""
    from services.cli import definitions  # noqa: PLC0415
    from services.gateway.definitions.schema import schema_text  # noqa: PLC0415

    definitions.write(schema_text(), out)


@app.command()
def simulate(
    path: File,
    script: Annotated[Path | None, typer.Option(help="What happens (*.yaml); simulations/<name> where none.")] = None,
    fail: Annotated[
        list[str] | None, typer.Option(help="A failure in front, e.g. fetch_marriage:'UNAVAILABLE x2' or a:REFUSED:NO.")
    ] = None,
) -> None:
    """Run a matter on a made-up clock with made-up answers and failures, and print the timeline in China's time."""
    from services.cli import definitions  # noqa: PLC0415

    for line in definitions.simulated(path, script, fail or []):
        print(line)


@app.command()
def bpmn(
    path: Annotated[Path, typer.Argument(help="A definition (*.yaml), or BPMN 2.0 (*.bpmn).")], out: Out = None
) -> None:
    """Write a definition as BPMN 2.0 with its diagram; read BPMN back as a definition."""
    from services.cli import definitions  # noqa: PLC0415

    definitions.write(definitions.converted(path), out)


@app.command()
def activate(
    path: File,
    *,
    propose: Annotated[str, typer.Option(help="Propose it to another operator; why.")] = "",
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm what another operator proposed.")] = False,
    move: Annotated[str, typer.Option(help="Move the open cases that fit to the confirmed version; why.")] = "",
    operator: Annotated[str, typer.Option(help="Whose certificate (`tongban ca issue`) is shown.")] = "",
    profile: Annotated[Profile, typer.Option(help="embedded or full.")] = Profile.EMBEDDED,
) -> None:
    """Say what a new version would mean for every open case of a running system; changes nothing unless it is told to."""
    from services.cli import activating  # noqa: PLC0415

    wish = activating.Wish(propose=propose, confirm=confirm, move=move, operator=operator)
    activating.activate(Options.read(), profile, path, wish)


@app.command()
def bundle(
    head: Annotated[Path, typer.Argument(help="The joined matter without form and steps (*.yaml).")],
    items: Annotated[list[Path], typer.Argument(help="The matters to join, two or more.")],
    out: Out = None,
) -> None:
    """Join matters of single departments into one; tell what is no longer asked, and the longest way in working days."""
    from services.cli import definitions  # noqa: PLC0415

    made = definitions.bundled(head, items)
    definitions.write(definitions.as_yaml(made.matter), out)
    for line in definitions.told(made):
        typer.echo(line, err=True)
