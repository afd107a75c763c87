"""`lethe replicas`: what an operator says of gateways that are gone."""

from __future__ import annotations

from typing import Annotated

import typer

replicas = typer.Typer(help="Gateway processes, as lethe status names them.", no_args_is_help=True)


@replicas.command("retire")
def retire_replica(
    name: Annotated[str, typer.Argument(metavar="NAME", help="the silent replica's name in lethe status")],
    emptied: Annotated[
        bool,
        typer.Option(
            "--emptied", help="say so without being asked: the server is stopped, its folder emptied"
        ),
    ] = False,
) -> None:
    """Say that the vLLM server of a gateway that is gone is stopped and its folder for adapters emptied.

    Lethe cannot see this and takes your word: what waited for that gateway is then completed. The audit log keeps it.
    """
    if not emptied:
        typer.confirm(
            f"Is the vLLM server of {name} stopped, and its folder LETHE_VLLM_ADAPTERS emptied?",
            abort=True,
            err=True,
        )
    from cli.replica_commands import retire

    retire(name)
    typer.echo(f"{name} is retired; what waits for it goes on by itself")
