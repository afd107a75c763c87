"""Commands for operators: `doctor`, `status`, and clients of the API (`forget`, `recommend`)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.failures import CommandError

if TYPE_CHECKING:
    from cli.doctor.findings import Finding
    from cli.gateway_client import GatewayClient

people = typer.Typer()

STATE = Path(".lethe")
StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar="LETHE_STATE", help="folder of what `lethe up` has made here"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="for programs")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="LETHE_URL",
        help="address of a gateway, https unless on this machine; the one of `lethe up` otherwise. "
        "Not used where --state is given",
    ),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="file with an API key; otherwise LETHE_API_KEY for the gateway of --url, its own key for the one of "
        "`lethe up`",
    ),
]
UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="the user's id, as the service is given it")
]
_COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "failure": typer.colors.RED}


@people.command()
def doctor(context: typer.Context, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Look at everything that an installation needs, and say what to do. Exit code 1 if something has failed.

    Looks at the database, its clock, the broker, the store, the disk, permissions, packages, devices and secrets that
    the settings in force name. Prints no secret and changes nothing; only a store of an earlier layout is converted,
    as whenever one is opened.
    """
    from cli.doctor.findings import healthy

    findings = []
    for finding in _examined(state, explicit=_on_command_line(context, "state")):
        findings.append(finding)
        if not as_json:
            line, width = finding.line(), len(finding.state)
            typer.echo(typer.style(line[:width], fg=_COLOURS[finding.state]) + line[width:])
    if as_json:
        echo_json([finding.to_plain() for finding in findings])
    if not healthy(findings):
        raise typer.Exit(1)


def _examined(state: Path | None, *, explicit: bool) -> Iterator[Finding]:
    from cli.doctor.findings import State, failure
    from cli.doctor.packages import INSTALL, check_versions

    # Before any import that needs one of the packages.
    packages = check_versions()
    yield packages
    if packages.state is State.FAILURE:
        return
    try:
        from cli.doctor.examination import examine
        from cli.state_folder import use_settings_of

        use_settings_of(state, explicit=explicit)
    except ModuleNotFoundError as error:
        yield failure("packages", f"not installed: {error.name}; nothing else can be looked at", INSTALL)
        return
    yield from examine((state or STATE).resolve())


@people.command()
def status(context: typer.Context, state: StateOption = None, as_json: JsonOption = False) -> None:
    """What serves, what waits, what runs, and what attenuation may still add up to. Asks the database alone."""
    from cli.service_status import describe, read
    from cli.state_folder import use_settings_of

    use_settings_of(state, explicit=_on_command_line(context, "state"))
    found = read()
    if as_json:
        echo_json(found)
        return
    for line in describe(found):
        typer.echo(line)


@people.command()
def forget(
    context: typer.Context,
    user: Annotated[
        str | None, typer.Argument(metavar="[USER]", help="the user's id, as the service is given it")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="instead of USER: CSV with a header, or one id on each line")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="the column of the ids in the CSV; user_id otherwise")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="with --file: say what would be accepted, and send nothing")
    ] = False,
    show_ids: Annotated[
        bool, typer.Option("--show-ids", help="with --file: print malformed ids, and not their lines only")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="until it is completed; exit code 1 if it needs attention")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="withdrawn_consent, objection, … as the API has it")
    ] = None,
    client_reference: Annotated[str | None, typer.Option(help="your own ticket number; no user's id")] = None,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a running gateway to forget a user. A repeat shows how the request stands; its deadline never moves.

    With --file, ask it to forget many users. Exit code 1 if a line holds no id. Sending a file again is harmless.
    """
    _require_httpx()
    if file is not None:
        if user is not None or wait:
            raise CommandError("--file takes neither a USER nor --wait")
        with open_named_gateway(context, url, key_file, state) as gateway:
            shared = {"reason": reason, "client_reference": client_reference}
            _forget_many(gateway, file, column, shared, dry_run=dry_run, show_ids=show_ids, as_json=as_json)
        return
    if user is None or column is not None or dry_run or show_ids:
        raise CommandError("name a USER, or a file of users with --file, which the other options are for")
    from cli.forgetting import ask, describe, follow

    with open_named_gateway(context, url, key_file, state) as gateway:
        request = ask(gateway, user, reason=reason, client_reference=client_reference)
        waits = "; Ctrl-C stops the waiting and nothing else" if wait and not request["done"] else ""
        # Printed for every request, before the waiting: an operator who meant another gateway sees it here.
        typer.echo(f"{gateway.url}: accepted as {request['id']}{waits}", err=True)
        if wait:
            request = follow(gateway, request)
    if as_json:
        echo_json(request)
    else:
        for line in describe(request):
            typer.echo(line)
    if wait and not request["done"]:
        raise typer.Exit(1)


def _forget_many(
    gateway: GatewayClient,
    file: Path,
    column: str | None,
    shared: dict[str, str | None],
    *,
    dry_run: bool,
    show_ids: bool,
    as_json: bool,
) -> None:
    from cli.forgetting_many import describe, read_lines, send, to_plain

    sent = send(gateway, read_lines(file, column), **shared, dry_run=dry_run)
    if as_json:
        echo_json(to_plain(sent))
    else:
        for line in describe(sent, show_ids=show_ids):
            typer.echo(line)
    if sent.malformed:
        raise typer.Exit(1)


@people.command()
def recommend(
    context: typer.Context,
    user: UserArgument,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="how many items")] = 10,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a running gateway recommends to a user, and which version has computed it."""
    _require_httpx()
    from cli.recommending import describe
    from cli.recommending import recommend as ask

    with open_named_gateway(context, url, key_file, state) as gateway:
        answer = ask(gateway, user, k)
    if as_json:
        echo_json(answer)
        return
    for line in describe(answer):
        typer.echo(line)


def _require_httpx() -> None:
    if find_spec("httpx") is None:
        raise CommandError(
            "httpx is not installed, which asks a gateway: pip install -c constraints.txt -e '.[gateway]'"
        )


def open_named_gateway(
    context: typer.Context, url: str | None, key_file: Path | None, state: Path | None
) -> GatewayClient:
    """The gateway that the options and the environment name.

    Raises:
        CommandError: none is named, or httpx is not installed.
    """
    _require_httpx()
    from cli.gateway_client import open_gateway

    explicit = _on_command_line(context, "state")
    if explicit and _on_command_line(context, "url"):
        raise CommandError("--url and --state name two gateways: leave one of them out")
    # No option takes the key itself: every user of the machine can read a command line.
    key = os.environ.get("LETHE_API_KEY")
    return open_gateway(url, key_file, key, (state or STATE).resolve(), explicit=explicit)


def _on_command_line(context: typer.Context, option: str) -> bool:
    """Whether the option was typed. A typed option takes precedence over the environment."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def echo_json(found: Any) -> None:
    """Print for programs."""
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
