"""Rows that hold one interaction and the user's history before it, as TALLRec and MiniOneRec write them.

A user's rows overlap. They are put together into one history, and each row is compared with it.
"""

import ast
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from inputs import InvalidInput, title
from recommender.data.cells import CSV, BadRow, Row, header
from recommender.data.fields import InteractionRows, user_of
from recommender.data.gathered import Gathered
from recommender.data.rebuilding import Known, Target, rebuild
from recommender.data.tables import RejectedRow, judge, read_table

_HEADER_BYTES = 1 << 16
_CONTRADICTS = "its history contradicts the user's other rows"


class _Columns(NamedTuple):
    """What a file calls its columns: `item_id` or, for example, `movie_id`."""

    user: str
    item: str
    history: str
    title: str
    titles: str


def holds_windows(path: Path) -> bool:
    """Whether the header of a CSV file names a column of histories and that of the item which follows them.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix.lower() != ".csv":
        return False
    with path.open("rb") as file:
        line = file.readline(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    try:
        return _columns(header(line, CSV)) is not None
    except BadRow:
        return False


def read_windows(
    files: Sequence[tuple[Path, str | None]],
    gathered: Gathered,
    titles: dict[str, str],
    skipped_users: set[str],
) -> tuple[list[RejectedRow], list[str]]:
    """Read the files of one data set, each with its split, and put the histories together.

    Without a column `timestamp` the order of a user's rows is the order of time.

    Args:
        gathered: receives the interactions.
        titles: receives the titles of items that it does not hold yet.
        skipped_users: receives the users of rows that were skipped.

    Returns:
        These rows, and what is odd about the others.

    Raises:
        DataError: a file cannot be used (see `read_table`), or more than 1 % of its rows contradict others.
    """
    rejected: list[RejectedRow] = []
    warnings: list[str] = []
    targets: list[Target] = []
    read = {}
    for path, split in files:
        rows = _WindowRows(path.name, split, titles)
        table = read_table(path, CSV, _lacking, rows)
        targets += table.rows
        skipped_users.update(
            user for row in table.skipped if (user := user_of(rows.renamed(row))) is not None
        )
        read[path.name] = path, len(table.rows), table.rejected
        warnings += rows.warnings()
    by_user: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        by_user[target.user_id].append(target)
    longest = max((len(target.history) for target in targets), default=0)
    known: list[Known] = []
    unnamed = gaps = 0
    for user, of_user in by_user.items():
        rebuilt = rebuild(of_user, longest)
        known += rebuilt.known
        unnamed += rebuilt.from_history
        gaps += rebuilt.gaps
        for target in rebuilt.contradicting:
            read[target.file][2].append(RejectedRow(target.file, target.line, _CONTRADICTS))
            skipped_users.add(user)
    for path, rows_read, of_file in read.values():
        of_file.sort(key=lambda row: row.line)
        judge(path, rows_read - sum(row.reason == _CONTRADICTS for row in of_file), of_file)
        rejected += of_file
    for name in read:
        gathered.add_rows(name, [event.interaction for event in known if event.file == name])
    return rejected, [*warnings, *_said(files[0][0].name, unnamed, gaps)]


def _said(file: str, unnamed: int, gaps: int) -> list[str]:
    found = []
    if unnamed:
        found.append(
            f"{file}: {unnamed} interactions are only in histories; each is put just before the row whose history "
            "names it first"
        )
    if gaps:
        found.append(f"{file}: before {gaps} rows interactions are missing that no history holds")
    return found


def _columns(names: Collection[str]) -> _Columns | None:
    for history in names:
        item = history.removeprefix("history_")
        user = next((name for name in ("user_id", "user") if name in names), None)
        if item != history and item.endswith("_id") and item in names and user is not None:
            called = item.removesuffix("_id") + "_title"
            return _Columns(user, item, history, called, "history_" + called)
    return None


def _lacking(names: Collection[str]) -> str | None:
    return None if _columns(names) is not None else "history_item_id"


class _WindowRows:
    """Reads the rows of one file."""

    def __init__(self, file: str, split: str | None, titles: dict[str, str]) -> None:
        self._file = file
        self._rows = InteractionRows(file, split)
        self._titles = titles
        self._known: _Columns | None = None
        self._timeless = False

    def __call__(self, row: Row, line: int) -> Target:
        """The interaction of a row with its history.

        Raises:
            BadRow: an id, the time or the history is not valid.
        """
        columns = self._of(row)
        self._timeless = "timestamp" not in row
        found = self._rows(self.renamed(row), line)
        history = tuple(self._id(cell) for cell in _list(row[columns.history]))
        ratings = _list(row.get("history_rating", ""))
        if ratings and len(ratings) != len(history):
            raise BadRow("history_rating has another length than the history")
        called = _list(row.get(columns.titles, ""))
        if len(called) == len(history):
            for item, name in zip(history, called, strict=True):
                self._call(item, name)
        self._call(found.item_id, row.get(columns.title, ""))
        return Target(
            self._file,
            found,
            history,
            tuple(self._rows.ratings.read(cell)[0] for cell in ratings) or (None,) * len(history),
            timeless=self._timeless,
        )

    def renamed(self, row: Row) -> Row:
        """The row with our names for its columns; without times, all happen at once."""
        columns = self._of(row)
        return {"timestamp": "0"} | row | {
            "user_id": row.get(columns.user, ""), "item_id": row.get(columns.item, "")
        }  # fmt: skip

    def warnings(self) -> list[str]:
        """The oddities so far."""
        order = [f"{self._file}: has no timestamp; the order of a user's rows is taken for that of time"]
        return [
            *(order if self._timeless else []),
            *self._rows.warnings(),
            *self._rows.times.guess(self._file),
        ]

    def _of(self, row: Row) -> _Columns:
        # The header was checked; a row with too few cells may lack what it names.
        self._known = self._known or _columns(row)
        return self._known or _Columns(
            "user_id", "item_id", "history_item_id", "item_title", "history_item_title"
        )

    def _id(self, cell: str) -> str:
        try:
            return self._rows.items.read(cell)[0]
        except BadRow as error:
            raise BadRow(f"of the history, an {error}") from error

    def _call(self, item: str, name: object) -> None:
        if item in self._titles:
            return
        try:
            called = title(str(name))
        except InvalidInput:
            called = ""
        if called:
            self._titles[item] = called


def _list(cell: object) -> list[str]:
    """A list that Python or JSON wrote, as text of its elements; an empty cell is an empty list."""
    text = str(cell).strip()
    if not text:
        return []
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise BadRow("a history is no list") from error
    if not isinstance(found, list | tuple) or not all(isinstance(part, str | int | float) for part in found):
        raise BadRow("a history is no list of ids")
    return [str(part) for part in found]
