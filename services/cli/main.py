# SPDX-License-Identifier: Apache-2.0
"""The `tongban` command. Each command imports what it needs when it runs: `tongban --help` should not take a second."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli import matter
from services.cli.options import Options, Profile
from services.kit.errors import StartupError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One birth, one form, seven departments. Reads TONGBAN_DATA, TONGBAN_HTTP_PORT and TONGBAN_GRPC_PORT.",
)
stack = typer.Typer(no_args_is_help=True, help="The full profile in the background: Kafka, PostgreSQL, own processes.")
parked = typer.Typer(no_args_is_help=True, help="Messages that a service could not handle.")
ledger = typer.Typer(no_args_is_help=True, help="The access ledgers: export them, prove them offline.")
ca = typer.Typer(no_args_is_help=True, help="The small certificate authority of a local system.")
city = typer.Typer(no_args_is_help=True, help="The synthetic city.")
cases = typer.Typer(no_args_is_help=True, help="Cases that stand for providers in a sandbox.")
for name, group in (
    ("stack", stack),
    ("parked", parked),
    ("ledger", ledger),
    ("ca", ca),
    ("city", city),
    ("cases", cases),
    ("matter", matter.app),
):
    app.add_typer(group, name=name)

ProfileOption = Annotated[Profile, typer.Option(help="embedded: SQLite in one process; full: Kafka and PostgreSQL.")]
Service = Annotated[str, typer.Argument(help="identity, licenses, exchange or gateway.")]
MessageId = Annotated[int, typer.Argument(help="Number of the parked message, as `list` shows it.")]


@app.command()
def run(profile: ProfileOption = Profile.EMBEDDED) -> None:
    """Run everything in the foreground; Ctrl-C drains and stops."""
    from services.cli import start  # noqa: PLC0415

    start.run(Options.read(), profile)


@app.command()
def demo(
    profile: ProfileOption = Profile.EMBEDDED,
    *,
    json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
    persona: Annotated[str, typer.Option(help="Which mother.")] = "mother-1",
) -> None:
    """One birth through the public door of a throw-away system, every proof checked; exit code 0 only if all held."""
    from services.cli.demo import show  # noqa: PLC0415

    raise typer.Exit(show.demo(profile, persona, as_json=json))


@app.command()
def token(
    persona: Annotated[str, typer.Option(help="Key of the sandbox account, e.g. mother-1.")],
    url: Annotated[str, typer.Option(help="Base of the public door; by default that of TONGBAN_HTTP_PORT.")] = "",
) -> None:
    """Print an access token for an account of the sandbox."""
    from services.cli import tokens  # noqa: PLC0415

    print(tokens.token(persona, url or tokens.default_url(Options.read())))


@stack.command("start")
def stack_start() -> None:
    """Start the full profile and come back when it is ready."""
    from services.cli import stacks  # noqa: PLC0415

    stacks.start(Options.read())


@stack.command("stop")
def stack_stop() -> None:
    """Stop it."""
    from services.cli import stacks  # noqa: PLC0415

    stacks.stop(Options.read())


@parked.command("list")
def parked_list(service: Service = "", profile: ProfileOption = Profile.EMBEDDED) -> None:
    """List parked messages, of one service or of all."""
    from services.cli import parking  # noqa: PLC0415

    parking.show_all(Options.read(), profile, service)


@parked.command("show")
def parked_show(service: Service, message: MessageId, profile: ProfileOption = Profile.EMBEDDED) -> None:
    """Show one with its envelope and payload."""
    from services.cli import parking  # noqa: PLC0415

    parking.show(Options.read(), profile, service, message)


@parked.command("replay")
def parked_replay(service: Service, message: MessageId, profile: ProfileOption = Profile.EMBEDDED) -> None:
    """Let the service try again, with the messages of its key that wait behind it."""
    from services.cli import parking  # noqa: PLC0415

    parking.replay(Options.read(), profile, service, message)


@parked.command("drop")
def parked_drop(
    service: Service,
    message: MessageId,
    reason: Annotated[str, typer.Option(help="Why; it is logged.")],
    profile: ProfileOption = Profile.EMBEDDED,
) -> None:
    """Give one up for good."""
    from services.cli import parking  # noqa: PLC0415

    parking.drop(Options.read(), profile, service, message, reason)


@ledger.command("export")
def ledger_export(
    out: Annotated[Path, typer.Option(help="Folder for <ledger>.jsonl.")] = Path("ledgers"),
    profile: ProfileOption = Profile.EMBEDDED,
) -> None:
    """Write the ledgers of a running local system as files that prove themselves."""
    from services.cli import ledgers  # noqa: PLC0415

    ledgers.export_all(Options.read(), profile, out)


@ledger.command("archive")
def ledger_archive(
    out: Annotated[Path, typer.Option(help="Folder for <ledger>/<from>-<to>.jsonl.gz.")] = Path("ledgers"),
    leaves: Annotated[int, typer.Option(min=256, help="Leaves in a segment; a power of two.")] = 65_536,
    *,
    drop: Annotated[bool, typer.Option("--drop", help="Let the ledgers forget bodies older than three years.")] = False,
    profile: ProfileOption = Profile.EMBEDDED,
) -> None:
    """Write the finished ranges of the ledgers as segments that prove themselves."""
    from services.cli import ledgers  # noqa: PLC0415

    if leaves & (leaves - 1):
        raise StartupError("A segment has a power of two of leaves.")
    ledgers.archive_all(Options.read(), profile, out, leaves=leaves, drop=drop)


@ledger.command("verify")
def ledger_verify(
    path: Annotated[Path, typer.Argument(help="An export or a segment, or a folder of them.")],
    key: Annotated[
        Path | None, typer.Option(help="File with the ledger's public key (JWK) as you know it from elsewhere.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Certificate of the authority that issues witnesses' own.")] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder of what earlier runs proved: this one goes on from there, and adds to it."),
    ] = None,
    subject: Annotated[str, typer.Option(help="A pseudonym whose leaves are counted.")] = "",
) -> None:
    """Check offline: every leaf, every proof, every signed head, every cosignature. Exit code 1 where one does not hold."""
    from services.cli import ledgers  # noqa: PLC0415

    raise typer.Exit(ledgers.verify(path, key, root, state, subject))


@ledger.command("prove")
def ledger_prove(
    leaf: Annotated[Path, typer.Argument(help="File with the body of the leaf, as the ledger gives it.")],
    content: Annotated[Path, typer.Argument(help="File with the content that was answered, canonical JSON.")],
    blinding: Annotated[str, typer.Option(help="From the receipt of the answer, hexadecimal.")],
) -> None:
    """Check offline that a leaf stands for a content that you hold. Exit code 1 where it does not."""
    from services.cli import ledgers  # noqa: PLC0415

    raise typer.Exit(ledgers.prove(leaf, content, blinding))


@ca.command("init")
def ca_init() -> None:
    """Make the root, and certificates for the services, the operator and the agencies of the data folder."""
    from services.cli import authority  # noqa: PLC0415

    authority.init(Options.read())


@ca.command("issue")
def ca_issue(
    spiffe_id: Annotated[str, typer.Argument(help="e.g. spiffe://tongban/agency/11990100000001011X")],
    out: Annotated[Path | None, typer.Option(help="Folder; by default its place in the data folder.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days that it is valid.")] = 90,
) -> None:
    """Issue one certificate and key."""
    from services.cli import authority  # noqa: PLC0415

    authority.issue(Options.read(), spiffe_id, out, days)


@city.command("generate")
def city_generate(
    people: Annotated[int, typer.Option(min=12, max=1_000_000, help="How many residents.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same city.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for <kind>.jsonl.")] = Path("city"),
) -> None:
    """Write a synthetic population as JSON lines."""
    from sandbox.city import generate  # noqa: PLC0415
    from sandbox.city.export import export  # noqa: PLC0415

    counts = export(generate(people, seed), out)
    print(f"{out}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))


@cases.command("check")
def cases_check(
    folder: Annotated[Path, typer.Argument(help="Folder with one folder of cases for each resource.")],
) -> None:
    """Read every case, and name each file that is none. Exit code 1 where there is one."""
    from services.exchange.adapters.cases import read_cases  # noqa: PLC0415

    found = [(place, *read_cases(place)) for place in sorted(folder.iterdir()) if place.is_dir()]
    for place, _, faults in found:
        for fault in faults:
            print(f"{place.name}/{fault.file}: {fault.words}")
    print(f"{sum(len(good) for _, good, _ in found)} cases of {len(found)} resources.")
    raise typer.Exit(int(any(faults for _, _, faults in found)))


def main() -> None:
    """Run a command; what a person can mend is one sentence and an exit code."""
    # We start processes by exec alone; gRPC's handlers for plain forks would only complain on standard error.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        app()
    except StartupError as error:
        print(f"tongban: {error}", file=sys.stderr)
        _leave(error.exit_code)
    except SystemExit as ended:
        _leave(ended.code if isinstance(ended.code, int) else 1)


def _leave(code: int) -> None:
    """As `services.kit.run.leave`, without its imports: commands that spoke gRPC must not wait at the very end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
