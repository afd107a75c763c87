"""The console command ``lethe``. Every command imports what it needs when it runs.

Exit codes: 0 the command succeeded, or was told to stop and runs until then (`up`, `gateway`, `worker`); 1 it ran and
the answer is no (for example a broken audit chain); 2 it could not run, and one line on standard error says why and
what to do; 130 it was interrupted by Ctrl-C before it was done. A second Ctrl-C has no further effect.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from app.loading import loading
from cli.evidence import receipt, verify_consistency
from cli.failures import report_failures
from cli.items import items
from cli.keys import keys
from cli.people import people
from cli.replicas import replicas
from cli.stopping import end_with_lethe_up, leave_on_ctrl_c
from cli.versions import store, versions

app = typer.Typer(
    name="lethe",
    help="Forget users inside a fine-tuned recommendation model, and keep the record.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
audit = typer.Typer(help="The audit log.", no_args_is_help=True)
app.add_typer(keys, name="keys")
app.add_typer(audit, name="audit")
app.add_typer(receipt, name="receipt")
app.add_typer(items, name="items")
app.add_typer(versions, name="versions")
app.add_typer(replicas, name="replicas")
app.add_typer(store, name="store")
app.add_typer(people)
audit.command("verify-consistency")(verify_consistency)

_PROBLEMS_SHOWN = 20


@app.command()
def up(
    state: Annotated[
        Path,
        typer.Option(envvar="LETHE_STATE", help="folder of everything this installation keeps"),
    ] = Path(".lethe"),
    host: Annotated[str | None, typer.Option(help="LETHE_HOST otherwise")] = None,
    port: Annotated[int | None, typer.Option(help="LETHE_PORT otherwise")] = None,
    data: Annotated[Path | None, typer.Option(help="your interactions; generated users otherwise")] = None,
    seed: int = 0,
) -> None:
    """Build the demo if there is none yet and run everything on this machine until Ctrl-C."""
    from cli.up import run_all

    run_all(state, host=host, port=port, data=data, seed=seed)


@app.command()
def init(
    data: Annotated[Path | None, typer.Option(help="your interactions; generated users otherwise")] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="your LoRA adapter, trained on --data; fitted otherwise")
    ] = None,
    base_readers: Annotated[
        Path | None, typer.Option(help="a file with the ids, one per line, of users whom your base has read")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="passes over the data per fit, now and at every re-fit")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="JSON of how your adapter was trained; training.json in its folder otherwise"),
    ] = None,
    confirm_adapter: Annotated[
        bool,
        typer.Option(
            "--confirm-adapter", help="take an adapter that seems to be of another base or of others"
        ),
    ] = False,
    trained_without_forgotten: Annotated[
        bool,
        typer.Option(
            "--trained-without-forgotten",
            help="your adapter has read nobody who has asked to be forgotten, also before --data was made",
        ),
    ] = False,
    no_trial_fit: Annotated[
        bool, typer.Option("--no-trial-fit", help="do not find out whether a re-fit comes near your adapter")
    ] = False,
    golden: Annotated[
        Path | None,
        typer.Option(help="JSONL of training rows as your own collator wrote them, to compare with ours"),
    ] = None,
    replace_base: Annotated[
        bool, typer.Option("--replace-base", help="fit anew where the live version belongs to another base")
    ] = False,
    no_levels: Annotated[
        bool, typer.Option("--no-levels", help="leave 'lethe levels' to the first forget request")
    ] = False,
    name_example: Annotated[bool, typer.Option("--name-example", hidden=True)] = False,
    seed: int = 0,
) -> None:
    """Load interactions, fit or take an adapter, and make it the live version. Safe to repeat after a failure.

    The base model is the folder or hub id in LETHE_BASE. Where that folder does not exist, a small one is drawn at
    random: it has read nobody.
    """
    with loading():
        from cli.installation import initialise, name_example_user
        from worker.first_fit.initialising import Order

    order = Order(
        data=data,
        adapter=adapter,
        base_readers=base_readers,
        epochs=epochs,
        seed=seed,
        recipe=recipe,
        confirm_adapter=confirm_adapter,
        without_forgotten=trained_without_forgotten,
        trial_fit=not no_trial_fit,
        replace_base=replace_base,
        golden=golden,
    )
    loaded = initialise(order)
    if name_example:
        name_example_user(order, loaded)
    if not no_levels:
        from cli.level_commands import make_missing

        make_missing()


@app.command("import")
def import_folders(
    base: Annotated[str, typer.Option(help="folder or hub id of the base that your adapter was trained on")],
    adapter: Annotated[
        str, typer.Option(help="your adapter's folder or hub id, as PEFT or a training script left it")
    ],
    out: Annotated[Path, typer.Option(help="a new folder, for base/ and adapter/")],
    adapter_before: Annotated[
        str | None, typer.Option(help="an earlier adapter that yours was trained on; merged into the base")
    ] = None,
    added_rows_untrained: Annotated[
        bool,
        typer.Option(
            "--added-rows-untrained", help="rows of added tokens that the folder holds whole were not trained"
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Convert folders of any layout into a base and an adapter that `lethe init` takes. It needs no settings.

    A hub id is `owner/name` or `owner/name@revision`; its commit is in the report. With HF_HUB_OFFLINE=1 only the
    cache is read. Pickled weights, grown vocabularies, `modules_to_save` and trainable tokens are handled. Trained
    tensors become part of the adapter, all others part of the base, and each is reported. If anything is refused,
    nothing is written.
    """
    with loading():
        from cli.importing import import_folders

    import_folders(
        base, adapter, out, before=adapter_before, added_untrained=added_rows_untrained, as_json=as_json
    )


@app.command()
def levels() -> None:
    """Measure the level of every user of the live version: what a model that never saw the user makes of them.

    It costs two re-fits, once per exact fit. Forget requests then know the level that they have to reach. Does nothing
    if the levels are known. Exit code 1 if there are too few users to measure them.
    """
    with loading():
        from cli.level_commands import make_missing

    if not make_missing():
        raise typer.Exit(1)


@app.command()
def migrate() -> None:
    """Bring the database to the current schema."""
    from cli.processes import migrate_database

    migrate_database()


@app.command()
def gateway() -> None:
    """Run one gateway process: API, dashboard and serving."""
    from cli.processes import run_gateway

    run_gateway()


@app.command()
def worker() -> None:
    """Run one worker process; one per GPU."""
    from cli.processes import run_worker

    run_worker()


@app.command()
def consolidate(
    wait: Annotated[
        bool, typer.Option("--wait", help="until it has ended; exit code 1 if it needs attention")
    ] = False,
) -> None:
    """Request an exact re-fit of the live version and print the run's id. While one waits or works, print its id.

    A running worker takes it up within seconds, unless forget requests wait: those go first.
    """
    from cli.consolidation_commands import request, wait_until_ended

    run_id = request()
    typer.echo(run_id)
    if wait:
        problem = wait_until_ended(run_id)
        if problem is not None:
            typer.echo(problem)
            raise typer.Exit(1)


@app.command()
def recover(
    store_lost: Annotated[
        bool,
        typer.Option("--store-lost", help="The store is lost for good: go on with an empty one."),
    ] = False,
) -> None:
    """Replay the erasure journal after a restored backup or a fail-over, and say what is left to do."""
    from cli.recovery import recover as recover_now

    needs = recover_now(store_lost=store_lost)
    for line in needs:
        typer.echo(f"lethe: {line}", err=True)
    if needs:
        raise typer.Exit(2)


@audit.command("verify")
def verify_audit() -> None:
    """Recompute the whole chain, and compare it with the store and with the requests that it names.

    Exit code 1 if an entry is missing or was changed, or if a row contradicts its entry. What a restored database has
    lost is reported, and is no error.
    """
    from cli.audit_commands import verify

    found = verify()
    for notice in found.notices:
        typer.echo(notice)
    for problem in found.problems[:_PROBLEMS_SHOWN]:
        typer.echo(problem)
    if len(found.problems) > _PROBLEMS_SHOWN:
        typer.echo(f"and {len(found.problems) - _PROBLEMS_SHOWN} more")
    if found.broken is not None:
        typer.echo(f"the audit chain breaks at entry {found.broken}")
    elif found.problems:
        typer.echo("the audit chain holds, but not all that it has to agree with")
    else:
        typer.echo("the audit chain holds")
    if not found.holds:
        raise typer.Exit(1)


def main() -> None:
    """Run a command. Every expected failure becomes one line and exit code 2."""
    # The benchmarks' commands import torch. Load them only if they are asked for.
    if "bench" in sys.argv[1:2]:
        with loading():
            from benchmarks.commands import bench_app

        app.add_typer(bench_app, name="bench")
    else:
        app.command("bench", help="Benchmarks; lethe bench --help lists them.")(lambda: None)
    leave_on_ctrl_c()
    end_with_lethe_up()
    # Database, store, messages and weights hold personal data: new files are for their owner only.
    os.umask(0o077)
    # Flush each line, even if the output is no terminal, so that lines appear at once and in order.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    with report_failures():
        app()


if __name__ == "__main__":
    main()
