"""The benchmarks that measure a running service through HTTP, or what it does with its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks import load
from benchmarks.generated import as_folder, is_generated
from benchmarks.publishing import JsonOption, MarkdownOption, publish
from recommender.errors import DataError

DemoDataOption = Annotated[
    Path | None, typer.Option("--data", help="Interactions; the demo's generated users without it.")
]
BaseHomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of an installation made from --data, whose base is used again."),
]


def forget_command(
    requests: Annotated[int, typer.Option(min=1, help="How many users, one after the other.")] = 20,
    seed: Annotated[int, typer.Option(help="Draws whom to forget.")] = 0,
    data: DemoDataOption = None,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            help="Folder of a stopped installation made from --data; a copy is measured. Without it, a fresh one.",
        ),
    ] = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Start what `lethe up` starts, in a temporary folder, and time forget requests through HTTP."""
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks import forget

    if data is None or not is_generated(data):
        _check_folders(data, home)
    try:
        with as_folder(data) as folder, _reported():
            result = forget.run(folder, requests=requests, seed=seed, home=home)
    except DataError as problem:
        raise typer.BadParameter(str(problem), param_hint="--data") from problem
    publish(result, json_file, markdown_file)


def accept_command(
    beside: Annotated[
        list[str], typer.Option("--beside", help="import, hanging-broker or recommendations; repeatable.")
    ],
    database: Annotated[
        list[str] | None,
        typer.Option(
            help="sqlite (unless told otherwise), postgresql, or a PostgreSQL server's URL; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws who asks for recommendations.")] = 0,
    forgets: Annotated[
        int, typer.Option(min=1, help="How many forget requests beside imports or recommendations.")
    ] = 200,
    replicas: Annotated[int, typer.Option(min=1, help="How many gateways beside recommendations.")] = 3,
    per_second: Annotated[
        list[float] | None,
        typer.Option(
            min=1.0, help="Forget requests a second beside recommendations, 50 unless told; repeatable."
        ),
    ] = None,
    data: DemoDataOption = None,
    home: BaseHomeOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Start a gateway in a temporary folder, and time how forget requests are accepted beside other work or trouble."""
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks import accept

    unknown = [name for name in beside if name not in accept.BESIDE]
    if unknown:
        raise typer.BadParameter(f"choose from {', '.join(accept.BESIDE)}", param_hint="--beside")
    _check_folders(data, home)
    with _reported():
        result = accept.run(
            beside,
            database or ["sqlite"],
            data=data,
            home=home,
            seed=seed,
            forgets=forgets,
            replicas=replicas,
            per_second=per_second or [accept.REPLICAS_FORGETS_PER_SECOND],
        )
    publish(result, json_file, markdown_file)


def worklist_command(
    requests: Annotated[int, typer.Option(min=100, help="How many open requests.")] = 10_000,
    times: Annotated[int, typer.Option(min=1, help="How often each thing is measured.")] = 50,
    database: Annotated[str, typer.Option(help="postgresql, or a PostgreSQL server's URL.")] = "postgresql",
    seed: Annotated[int, typer.Option(help="Draws states and deadlines.")] = 0,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Fill a database of its own with open requests, and time the worklist, a claim and a sweep."""
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks import worklist

    with _reported():
        result = worklist.run(database, requests=requests, times=times, seed=seed)
    publish(result, json_file, markdown_file)


def load_command(
    rows: Annotated[int, typer.Option(min=1000, help="How many interactions the files hold.")] = load.ROWS,
    database: Annotated[
        str | None,
        typer.Option(help="Also store them, in new databases: postgresql, or a PostgreSQL server's URL."),
    ] = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Read large files of interactions, and store them: time and memory, beside the columnar library and COPY alone."""
    with TemporaryDirectory() as folder, _reported(), _ways_to_store(database) as ways:
        result = load.run(rows, folder=Path(folder), ways=ways)
    publish(result, json_file, markdown_file)


@contextmanager
def _ways_to_store(database: str | None) -> Iterator[Mapping[str, Callable[[Path], int]]]:
    if database is None:
        yield {}
        return
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks import load_into_database

    with load_into_database.ways(database) as ways:
        yield ways


def everybody_command(
    users: Annotated[int, typer.Option(min=10, help="How many people the service has.")] = 1500,
    seed: Annotated[int, typer.Option(help="Draws the data, and in which order people ask.")] = 0,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Start a service of short histories in a temporary folder, and have all of its users forgotten."""
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks import everybody

    with _reported():
        result = everybody.run(users=users, seed=seed)
    publish(result, json_file, markdown_file)


def chaos_command(
    runs: Annotated[int, typer.Option(min=1, help="How many, over all databases.")] = 600,
    seed: Annotated[
        int, typer.Option(help="Draws users, faults and most of what a fault leaves to luck.")
    ] = 0,
    database: Annotated[
        list[str] | None, typer.Option(help="sqlite or postgresql; both without it. May be given twice.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="URL of the PostgreSQL server; this machine's without.")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help="Name of a fault; all without it. Repeatable.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder in which finished runs are kept, to go on from there when killed."),
    ] = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Kill, freeze, restore and starve tiny installations while users are being forgotten, and check every promise."""
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks.chaos import run as chaos
    from benchmarks.chaos.faults import FAULTS
    from benchmarks.service.own_database import LOCAL_SERVER

    for given, known, option in (
        (database or [], chaos.DATABASES, "--database"),
        (fault or [], [one.name for one in FAULTS], "--fault"),
    ):
        if unknown := [name for name in given if name not in known]:
            raise typer.BadParameter(f"no {unknown[0]!r}; there are {', '.join(known)}", param_hint=option)
    with _reported():
        result = chaos.run(
            runs,
            seed=seed,
            databases=database or chaos.DATABASES,
            faults=fault or (),
            work=work,
            postgresql=server or LOCAL_SERVER,
        )
    publish(result, json_file, markdown_file)


def dashboard_command(
    seed: Annotated[int, typer.Option(help="Draws whom requests and recommendations are about.")] = 0,
    requests: Annotated[int, typer.Option(min=100, help="Unfinished requests in the worklist.")] = 10_000,
    pages: Annotated[int, typer.Option(min=1, help="Pages that are open at once.")] = 50,
    seconds: Annotated[float, typer.Option(min=1, help="How long the idle gateway is watched.")] = 30.0,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of periods of recommendations.")] = 6,
    home: BaseHomeOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Start a gateway in a temporary folder, and measure its dashboard in a real browser and with many open pages."""
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks import dashboard

    with _reported():
        result = dashboard.run(
            seed=seed, requests=requests, pages=pages, seconds=seconds, pairs=pairs, home=home
        )
    publish(result, json_file, markdown_file)


def overload_command(
    seed: Annotated[int, typer.Option(help="Draws who asks for recommendations.")] = 0,
    half_open: Annotated[int, typer.Option(min=0, help="How many half-sent requests.")] = 2000,
    bodies: Annotated[int, typer.Option(min=0, help="How many oversized bodies at once.")] = 500,
    seconds: Annotated[float, typer.Option(min=1, help="Of each of the two measurements.")] = 60,
    data: DemoDataOption = None,
    home: BaseHomeOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Start a gateway in a temporary folder, and flood it without a key while its callers are timed."""
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks import overload

    _check_folders(data, home)
    with _reported():
        result = overload.run(
            data=data, home=home, seed=seed, half_open=half_open, bodies=bodies, seconds=seconds
        )
    publish(result, json_file, markdown_file)


def serve_command(
    size: Annotated[list[str] | None, typer.Option(help="tiny or 25m; both without it. Repeatable.")] = None,
    peers_python: Annotated[
        list[Path] | None,
        typer.Option(
            help="The interpreter of an environment with LitServe, mosec or BentoML, torch and our packages; a peer "
            "runs in the first that has it. Repeatable."
        ),
    ] = None,
    uvloop: Annotated[
        Path | None,
        typer.Option(
            help="A folder made by 'pip install --target FOLDER uvloop': compare a gateway on it, pair by pair."
        ),
    ] = None,
    database: Annotated[
        str, typer.Option(help="sqlite, postgresql, or a PostgreSQL server's URL.")
    ] = "sqlite",
    store: Annotated[
        str,
        typer.Option(help="local, moto (an S3 server of moto's, started for it), or s3://BUCKET/PREFIX."),
    ] = "local",
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each load.")] = 10,
    swaps: Annotated[int, typer.Option(min=2, help="An even number.")] = 200,
    swap_load: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Share of the gateway's throughput that is sent during swaps."),
    ] = 0.7,
    only_swaps: Annotated[
        bool, typer.Option("--only-swaps", help="Nothing but the gateway's own rates and swaps.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Draws weights and histories.")] = 0,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Serve a model of random weights, and compare with its raw forward and with other servers around it."""
    # Imported here: an installation that only measures learning lacks the service's libraries.
    from benchmarks.serve import run as serve
    from benchmarks.serve.site import SIZES
    from benchmarks.service.own_store import is_known

    if unknown := [name for name in size or () if name not in SIZES]:
        raise typer.BadParameter(f"no {unknown[0]!r}; there are {', '.join(SIZES)}", param_hint="--size")
    if swaps % 2:
        raise typer.BadParameter(
            "an even number, so that the first version is live again", param_hint="--swaps"
        )
    if not is_known(store):
        raise typer.BadParameter("choose local, moto or s3://BUCKET/PREFIX", param_hint="--store")
    if uvloop is not None and not (uvloop / "uvloop").is_dir():
        raise typer.BadParameter(f"there is no uvloop in {uvloop}", param_hint="--uvloop")
    wanted = serve.Wanted(
        seconds=seconds,
        swaps=swaps,
        swap_load=swap_load,
        only_swaps=only_swaps,
        # Not resolved: the interpreter of an environment is a link.
        peers_pythons=[one.absolute() for one in peers_python or ()],
        uvloop=uvloop and uvloop.resolve(),
        database=database,
        store=store,
    )
    with _reported():
        result = serve.run(size or list(SIZES), wanted, seed=seed)
    publish(result, json_file, markdown_file)


def _check_folders(data: Path | None, home: Path | None) -> None:
    for given, option in ((data, "--data"), (home, "--home")):
        if given is not None and not given.exists():
            raise typer.BadParameter(f"there is no {given}", param_hint=option)


@contextmanager
def _reported() -> Iterator[None]:
    """Say why a service cannot be measured, and end."""
    from benchmarks.service.errors import ServiceUnmeasurable

    try:
        yield
    except ServiceUnmeasurable as problem:
        if problem.log_tail:
            typer.echo(problem.log_tail, err=True)
        typer.echo(f"lethe: {problem}", err=True)
        raise typer.Exit(2) from problem
