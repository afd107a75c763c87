"""Reads interactions and titles from the supported file layouts."""

from pathlib import Path
from typing import NamedTuple

from recommender.data.cells import CSV, JSONL, TSV, Row, TableFormat
from recommender.data.fields import (
    InteractionRows,
    ItemRows,
    lacking_for_interactions,
    lacking_for_items,
    lacking_for_recbole_items,
    user_of,
)
from recommender.data.interactions import Interaction, InteractionData, assemble
from recommender.data.layouts import MOVIELENS, RECBOLE, find_sources
from recommender.data.oddities import Tally
from recommender.data.tables import RejectedRow, read_table

_RECBOLE = TableFormat("\t", typed_header=True)
_ML100K_RATINGS = TableFormat("\t", columns=("user_id", "item_id", "rating", "timestamp"), encoding="latin-1")
_ML100K_ITEMS = TableFormat(
    "|",
    # Five fields that describe the film, then 19 genre flags.
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
_BY_SUFFIX = {".csv": CSV, ".tsv": TSV, ".jsonl": JSONL, RECBOLE: _RECBOLE, ".item": _RECBOLE}


def load_interactions(path: Path) -> InteractionData:
    """Read interactions and titles; the layout is recognised by the names of the files.

    - a folder with `u.data` and `u.item`: MovieLens-100K as GroupLens publishes it;
    - a `.inter` file, or a folder with one, and the `.item` file of the same name: RecBole atomic files. A folder may
      hold the data set in parts (`NAME.train.inter`, `NAME.valid.inter`, `NAME.test.inter`, or `NAME.part1.inter` and
      so on, with `NAME.item`), which are read as one;
    - a `.csv`, `.tsv` or `.jsonl` file, or a folder with `interactions.*`: columns `user_id`, `item_id`,
      `timestamp`; `items.*` beside `interactions.*` holds `item_id` and `title`.

    Ids, titles and times follow the rules of `inputs`; `title_column` says which column holds titles. The file of
    titles is optional except for MovieLens. If a user meets an item repeatedly, the earliest interaction counts.

    Raises:
        DataError: the layout is unknown, or a file cannot be used (see `read_table`).
    """
    sources = find_sources(path)
    read = _Read([], {}, [], list(sources.warnings), [])
    if sources.items is not None:
        movielens = sources.interactions[0].name == MOVIELENS
        _read_items(sources.items, _ML100K_ITEMS if movielens else _BY_SUFFIX[sources.items.suffix], read)
    for file in sources.interactions:
        _read_interactions(file, read)
    users = (user_of(row) for row in read.skipped)
    return assemble(
        read.interactions,
        read.titles,
        read.rejected,
        read.warnings,
        (user for user in users if user is not None),
    )


class _Read(NamedTuple):
    """What has been read so far."""

    interactions: list[Interaction]
    titles: dict[str, str]
    rejected: list[RejectedRow]
    warnings: list[str]
    skipped: list[Row]


def _read_interactions(file: Path, read: _Read) -> None:
    table_format = _ML100K_RATINGS if file.name == MOVIELENS else _BY_SUFFIX[file.suffix.lower()]
    rows = InteractionRows(file.name)
    table = read_table(file, table_format, lacking_for_interactions, rows)
    read.interactions.extend(table.rows)
    read.rejected.extend(table.rejected)
    read.skipped.extend(table.skipped)
    read.warnings.extend(rows.warnings())


def _read_items(file: Path, table_format: TableFormat, read: _Read) -> None:
    lacks = lacking_for_recbole_items if table_format is _RECBOLE else lacking_for_items
    rows = ItemRows(file.name)
    table = read_table(file, table_format, lacks, rows)
    repeated = Tally()
    for item in table.rows:
        if item.item_id in read.titles:
            repeated.add(item.line)
        read.titles[item.item_id] = item.title
    read.rejected.extend(table.rejected)
    read.warnings.extend(rows.warnings())
    if repeated.count:
        read.warnings.append(
            f"{file.name}: {repeated.count} rows list an item once more, first in line {repeated.first}; "
            "the last title counts"
        )
