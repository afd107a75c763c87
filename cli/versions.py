"""`lethe versions` and `lethe store`. Each command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.loading import loading

versions = typer.Typer(help="Versions: import, export, roll back.", no_args_is_help=True)
store = typer.Typer(help="The store, compared with the database.", no_args_is_help=True)


@versions.callback()
def _versions() -> None:
    """Versions: import, export, roll back."""


@store.callback()
def _store() -> None:
    """The store, compared with the database."""


@versions.command("import")
def import_adapter(
    folder: Annotated[Path, typer.Argument(help="your adapter, an ordinary PEFT folder")],
    readers: Annotated[
        Path,
        typer.Option(help="a file with the ids, one a line, of everybody whose events it was trained on"),
    ],
    recipe: Annotated[
        Path | None, typer.Option(help="JSON of how it was trained; training.json in its folder otherwise")
    ] = None,
    confirm_adapter: Annotated[
        bool,
        typer.Option("--confirm-adapter", help="take one that seems to be of another base or of others"),
    ] = False,
    no_trial_fit: Annotated[
        bool, typer.Option("--no-trial-fit", help="do not find out whether a re-fit comes near it")
    ] = False,
    without_taken_items: Annotated[
        bool,
        typer.Option("--without-taken-items", help="it was trained without the items that were taken down"),
    ] = False,
) -> None:
    """Make an adapter live that was trained elsewhere, on the base and the events of this service.

    Refused if it has read somebody who has been forgotten. Whoever it has read and whose request still waits is
    unlearned from it by their run.
    """
    with loading():
        from cli.version_commands import import_adapter as import_now
        from worker.first_fit.later_adapter import LaterAdapter

    import_now(LaterAdapter(folder, readers, recipe, confirm_adapter, not no_trial_fit, without_taken_items))


@versions.command("export")
def export(
    out: Annotated[Path, typer.Argument(help="a new folder")],
    version: Annotated[str | None, typer.Option(help="its digest; the live one otherwise")] = None,
) -> None:
    """Write a version as an ordinary PEFT folder. No forget request reaches the copy; the audit log records it."""
    with loading():
        from cli.version_commands import export as export_now

    typer.echo(export_now(version, out))


@versions.command("rollback")
def rollback(version: Annotated[str, typer.Argument(help="the digest of an earlier version")]) -> None:
    """Let an earlier version serve again. Refused behind a forget request: what knows somebody stays out of service."""
    with loading():
        from cli.version_commands import roll_back

    typer.echo(roll_back(version))


@store.command("check")
def check_store(
    repair: Annotated[
        bool, typer.Option("--repair", help="put right what can be put right without a copy of what was lost")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Read every version and every entry of the journal, and say what database or store has lost.

    Exit code 1 if something is wrong and was not repaired.
    """
    from cli.store_commands import check

    if not check(repair=repair, as_json=as_json):
        raise typer.Exit(1)
