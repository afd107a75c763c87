"""The file layouts we read; `load_interactions` tells them apart."""

from pathlib import Path

from recommender.data.fields import interaction, titled_item
from recommender.data.interactions import InteractionData, assemble
from recommender.data.tables import CSV, JSONL, TSV, RejectedRow, TableFormat, read_table
from recommender.errors import DataError

_BY_SUFFIX = {".csv": CSV, ".tsv": TSV, ".jsonl": JSONL}
_RECBOLE = TableFormat("\t", typed_header=True)
_ML100K_RATINGS = TableFormat("\t", columns=("user_id", "item_id", "rating", "timestamp"), encoding="latin-1")
_ML100K_ITEMS = TableFormat(
    "|",
    # Five fields that name the film, then 19 genre flags.
    columns=(
        "item_id",
        "title",
        "release_date",
        "video_release_date",
        "url",
        *(f"genre_{n}" for n in range(19)),
    ),
    encoding="latin-1",
)
_INTERACTION_COLUMNS = ("user_id", "item_id", "timestamp")


def load_interactions(path: Path) -> InteractionData:
    """Read interactions and titles; the layout is recognised by the names of the files.

    - a folder with `u.data` and `u.item`: MovieLens-100K as GroupLens publishes it;
    - a `.inter` file, or a folder with one, and the `.item` file of the same name: RecBole atomic files;
    - a `.csv`, `.tsv` or `.jsonl` file, or a folder with `interactions.*`: columns `user_id`, `item_id`,
      `timestamp`; beside a file called `interactions.*`, `items.*` gives `item_id` and `title`.

    The titles' file is optional except for MovieLens. Of repeated interactions of a user with an item the
    earliest counts.

    Raises:
        DataError: no known layout, or a file cannot be used (see `read_table`).
    """
    interactions = _interactions_file(path)
    if interactions.name == "u.data":
        return _load(interactions, _ML100K_RATINGS, interactions.with_name("u.item"), _ML100K_ITEMS)
    if interactions.suffix == ".inter":
        items = interactions.with_suffix(".item")
        return _load(interactions, _RECBOLE, items if items.is_file() else None, _RECBOLE)
    beside = _tables(interactions.parent, "items") if interactions.stem == "interactions" else []
    items_file = _only(beside, interactions.parent) if beside else None
    items_format = _BY_SUFFIX[items_file.suffix] if items_file else CSV
    return _load(interactions, _BY_SUFFIX[interactions.suffix], items_file, items_format)


def _interactions_file(path: Path) -> Path:
    if path.is_file():
        if path.name != "u.data" and path.suffix not in (".inter", *_BY_SUFFIX):
            raise DataError(f"{path} is none of u.data, .inter, {', '.join(_BY_SUFFIX)}")
        return path
    if not path.is_dir():
        raise DataError(f"{path} does not exist")
    if (path / "u.data").is_file():
        return path / "u.data"
    found = sorted(path.glob("*.inter")) or _tables(path, "interactions")
    if not found:
        raise DataError(
            f"{path} holds none of u.data, *.inter, {', '.join('interactions' + s for s in _BY_SUFFIX)}"
        )
    return _only(found, path)


def _tables(directory: Path, stem: str) -> list[Path]:
    return [path for suffix in _BY_SUFFIX if (path := directory / f"{stem}{suffix}").is_file()]


def _only(found: list[Path], directory: Path) -> Path:
    if len(found) > 1:
        raise DataError(f"{directory} holds {', '.join(path.name for path in found)}; name the one to read")
    return found[0]


def _load(
    interactions_file: Path,
    interactions_format: TableFormat,
    items_file: Path | None,
    items_format: TableFormat,
) -> InteractionData:
    titles: list[tuple[str, str]] = []
    rejected: list[RejectedRow] = []
    if items_file is not None:
        required = ("item_id",) if items_format is _RECBOLE else ("item_id", "title")
        titles, rejected = read_table(items_file, items_format, required, titled_item)
    interactions, bad = read_table(interactions_file, interactions_format, _INTERACTION_COLUMNS, interaction)
    return assemble(interactions, dict(titles), [*rejected, *bad])
