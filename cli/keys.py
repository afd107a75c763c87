"""`lethe keys`: the commands for API keys. Each imports what it needs when it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

keys = typer.Typer(help="Issue, rotate, list and revoke API keys.", no_args_is_help=True)

_Days = Annotated[int | None, typer.Option(help="valid for this long; LETHE_KEY_DAYS otherwise")]
_UntilRevoked = Annotated[bool, typer.Option("--until-revoked", help="the key does not expire")]


@keys.command("issue")
def issue_key(
    name: str,
    role: Annotated[
        list[str] | None, typer.Option(help="viewer, operator, approver, auditor, service or admin")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="repeat it for several; 'all' for every scope")
    ] = None,
    days: _Days = None,
    until_revoked: _UntilRevoked = False,
) -> None:
    """Create a key and print it, once. Until when it is valid goes to standard error."""
    from cli.key_commands import issue

    _print_key(*issue(name, role or [], scope or [], days, until_revoked=until_revoked))


@keys.command("rotate")
def rotate_key(
    name: str,
    overlap: Annotated[
        str, typer.Option(help="how long the former key stays valid: a number with m, h or d")
    ] = "24h",
    days: _Days = None,
    until_revoked: _UntilRevoked = False,
) -> None:
    """Create another key for the same caller, with the same scopes, and print it. The former one expires soon."""
    from cli.key_commands import rotate

    _print_key(*rotate(name, overlap, days, until_revoked=until_revoked))


def _print_key(key: str, expires_at: datetime | None) -> None:
    if expires_at is not None:
        typer.echo(f"valid until {expires_at:%Y-%m-%d %H:%M} UTC", err=True)
    typer.echo(key)


@keys.command("list")
def list_keys() -> None:
    """Names, scopes and validity of every key."""
    from cli.key_commands import describe_all

    for line in describe_all():
        typer.echo(line)


@keys.command("revoke")
def revoke_key(name: str) -> None:
    """Revoke all keys of this name. Gateways notice within seconds."""
    from cli.key_commands import revoke

    revoke(name)
