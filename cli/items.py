"""`lethe items`: takes items down, and lists those that were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from cli.people import JsonOption, KeyFileOption, StateOption, UrlOption, echo_json, open_named_gateway

if TYPE_CHECKING:
    from cli.gateway_client import GatewayClient

items = typer.Typer(help="Items that were taken down.", no_args_is_help=True)
_PAGE = 500


@items.command("forget")
def forget_item(
    context: typer.Context,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="the item's id, as the service is given it")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask; there is no way back")] = False,
    client_reference: Annotated[str | None, typer.Option(help="your own ticket number")] = None,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a running gateway to take an item down for good. A repeat shows how the takedown stands."""
    with open_named_gateway(context, url, key_file, state) as gateway:
        if not yes:
            typer.confirm(
                f"{gateway.url} will never recommend {item!r} again, and forget its interactions. Go on?",
                abort=True,
                err=True,
            )
        body = {} if client_reference is None else {"client_reference": client_reference}
        found = gateway.post(f"/items/{quote(item, safe='')}/forget", body)
    if as_json:
        echo_json(found)
    else:
        typer.echo(_line(found))


@items.command("list")
def list_items(
    context: typer.Context,
    url: UrlOption = None,
    key_file: KeyFileOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the items that were taken down, the newest first."""
    with open_named_gateway(context, url, key_file, state) as gateway:
        found = _all(gateway)
    if as_json:
        echo_json(found)
        return
    for takedown in found:
        typer.echo(_line(takedown))


def _all(gateway: GatewayClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = gateway.get("/takedowns", limit=_PAGE, **({} if cursor is None else {"cursor": cursor}))
        found += page["takedowns"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def _line(takedown: dict[str, Any]) -> str:
    line = f"{takedown['item_id']}  {takedown['status']}  {takedown['id']}"
    if takedown["status"] == "erased":
        version = takedown["version"]
        serves = "no version serves" if version is None else f"version {version[:16]} serves"
        return f"{line}  {takedown['events_erased']} events deleted, {serves}"
    known = "" if takedown["in_catalogue"] else "; the catalogue does not list it"
    return f"{line}  the next consolidation erases it{known}"
