"""Reads interactions and titles from the supported file layouts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recommender.data.assembly import assemble
from recommender.data.attributes import AttributeRows, lacking_for_users
from recommender.data.batches import read_lines
from recommender.data.cells import CSV, JSONL, TSV, TableFormat
from recommender.data.fields import (
    InteractionRows,
    ItemRows,
    lacking_for_items,
    lacking_for_recbole_items,
    title_column,
)
from recommender.data.gathered import Gathered
from recommender.data.interactions import InteractionData
from recommender.data.layouts import MOVIELENS, RECBOLE, Sources, find_sources, split_of
from recommender.data.lists import read_lists
from recommender.data.oddities import Tally
from recommender.data.parquet import PARQUET_SUFFIX, read_parquet_table, read_rows
from recommender.data.tables import RejectedRow, read_table
from recommender.data.windows import read_windows

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
    - a `.csv`, `.tsv`, `.jsonl` or `.parquet` file, or a folder with `interactions.*`: columns `user_id`, `item_id`,
      `timestamp` and, where they are there, `rating` and `split`; beside `interactions.*`, `items.*` holds `item_id`
      and `title`, and `users.*` holds `user_id` and attributes;
    - a folder of such tables in parts, `part-*`, as Spark writes them, with or without `items.*` and `users.*`;
    - a `.csv` file with `history_item_id` beside `item_id` (or another name in place of `item`), or a folder with such
      files for `train`, `valid` and `test`: the rows of MiniOneRec and TALLRec (see `windows`);
    - `NAME.inter.json`, with or without `NAME.item2id`, `NAME.user2id` and `NAME.item.json`: LC-Rec (see `lists`).

    Ids, titles and times follow the rules of `inputs`, and times may be dates in the form of ISO 8601; `title_column`
    says which column holds titles. The file of titles is optional except for MovieLens. If a user meets an item
    repeatedly, the earliest interaction counts.

    Tables of interactions are read in bounded memory, some 50 bytes a row at the most; the other layouts as a whole.

    Raises:
        DataError: the layout is unknown, or a file cannot be used (see `read_table`).
    """
    sources = find_sources(path)
    read = _Read(warnings=list(sources.warnings))
    if sources.layout == "lists":
        read.note(
            *read_lists(
                sources.interactions[0], sources.items, read.gathered, read.titles, read.skipped_users
            )
        )
    else:
        if sources.items is not None:
            _read_items(sources.items, sources.interactions[0].name == MOVIELENS, read)
        _read_interactions(sources, read)
    if sources.users is not None:
        _read_users(sources.users, read)
    return assemble(
        read.gathered, read.titles, read.rejected, read.warnings, read.skipped_users, read.attributes
    )


@dataclass
class _Read:
    """What has been read so far."""

    gathered: Gathered = field(default_factory=Gathered)
    titles: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    rejected: list[RejectedRow] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped_users: set[str] = field(default_factory=set)

    def note(self, rejected: Sequence[RejectedRow], warnings: Sequence[str]) -> None:
        """Keep what was skipped and what is odd."""
        self.rejected.extend(rejected)
        self.warnings.extend(warnings)


def _read_interactions(sources: Sources, read: _Read) -> None:
    files = [(file, split_of(file, sources.layout)) for file in sources.interactions]
    if sources.layout == "windows":
        read.note(*read_windows(files, read.gathered, read.titles, read.skipped_users))
        return
    for file, split in files:
        rows = InteractionRows(file.name, split)
        suffix = file.suffix.lower()
        if suffix == PARQUET_SUFFIX:
            rejected = read_rows(file, rows, read.gathered, read.skipped_users)
        else:
            table_format = _ML100K_RATINGS if file.name == MOVIELENS else _BY_SUFFIX[suffix]
            rejected = read_lines(file, table_format, rows, read.gathered, read.skipped_users)
        read.note(rejected, [*rows.warnings(), *rows.times.guess(file.name)])


def _read_items(file: Path, movielens: bool, read: _Read) -> None:
    table_format = _ML100K_ITEMS if movielens else _BY_SUFFIX.get(file.suffix)
    lacks = lacking_for_recbole_items if table_format is _RECBOLE else lacking_for_items
    rows = ItemRows(file.name)
    table = (
        read_parquet_table(file, lacks, rows, _item_columns)
        if table_format is None
        else read_table(file, table_format, lacks, rows)
    )
    repeated = Tally()
    for item in table.rows:
        if item.item_id in read.titles:
            repeated.add(item.line)
        read.titles[item.item_id] = item.title
    read.note(table.rejected, rows.warnings())
    if repeated.count:
        read.warnings.append(
            f"{file.name}: {repeated.count} rows list an item once more, first in line {repeated.first}; "
            "the last title counts"
        )


def _read_users(file: Path, read: _Read) -> None:
    rows = AttributeRows(file.name)
    table_format = _BY_SUFFIX.get(file.suffix)
    table = (
        read_parquet_table(file, lacking_for_users, rows, lambda columns: columns, only_plain=True)
        if table_format is None
        else read_table(file, table_format, lacking_for_users, rows)
    )
    known = read.gathered.users.number_of
    for user in table.rows:
        if user.user_id in known:
            read.attributes[user.user_id] = user.attributes
    read.note(table.rejected, rows.warnings(known))


def _item_columns(columns: Sequence[str]) -> list[str]:
    title = title_column(tuple(columns))
    return ["item_id"] if title is None else ["item_id", title]
