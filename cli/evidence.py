"""The commands that verify evidence: ``lethe receipt`` and ``lethe audit verify-consistency``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.evidence_commands import Answer

receipt = typer.Typer(help="Receipts.", no_args_is_help=True)

Keys = Annotated[
    Path | None,
    typer.Option(
        "--jwks", help="the published keys, from /.well-known/jwks.json; those of the settings otherwise"
    ),
]


def verify_consistency(
    old: Annotated[Path, typer.Argument(help="a checkpoint that you kept")],
    new: Annotated[Path, typer.Argument(help="a later checkpoint")],
    proof: Annotated[
        Path, typer.Option(help="the answer of /audit/proof/consistency for the two sizes, as JSON")
    ],
    jwks: Keys = None,
) -> None:
    """Verify that the log has only grown between two checkpoints. Offline.

    Exit code 1 if an entry before the older checkpoint was changed or removed, or if a checkpoint does not verify.
    """
    from cli.evidence_commands import verify_growth

    _tell(verify_growth(old, new, proof=proof, jwks=jwks))


@receipt.command("verify")
def verify_receipt(
    file: Annotated[Path, typer.Argument(help="the receipt")],
    jwks: Keys = None,
    acceptance: Annotated[
        Path | None, typer.Option(help="the acceptance receipt that a completion receipt must complete")
    ] = None,
    salt: Annotated[
        str | None, typer.Option(help="Lethe-Receipt-Salt of the answer to the forget request; with --user")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="the id of the user whom the receipt must be about")
    ] = None,
) -> None:
    """Verify a receipt: its signature, and the proofs that the log holds what it says. Offline.

    Exit code 1 if anything in it does not verify.
    """
    from cli import evidence_commands

    _tell(evidence_commands.verify_receipt(file, jwks=jwks, acceptance=acceptance, salt=salt, user=user))


def _tell(answer: Answer) -> None:
    for line in answer.lines:
        typer.echo(line)
    if not answer.holds:
        raise typer.Exit(1)
