"""Finds the files of a data set."""

import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from recommender.data.columns import SPLIT_OF, SPLITS
from recommender.data.parquet import PARQUET_SUFFIX, begins_like_parquet
from recommender.data.parts import is_part, parts_with_rows
from recommender.data.windows import holds_windows
from recommender.errors import DataError

MOVIELENS = "u.data"
RECBOLE = ".inter"
LISTS = ".inter.json"
TABLES = (".csv", ".tsv", ".jsonl", PARQUET_SUFFIX)
_READ = ", ".join(
    (
        MOVIELENS,
        "*.inter",
        "*.inter.json",
        *("interactions" + suffix for suffix in TABLES),
        "part-*",
        "train.csv",
    )
)
_PACKED = (
    ".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".tar", ".tgz", ".parquet", ".feather", ".arrow", ".xlsx", ".xls",
)  # fmt: skip
# RecBole's `benchmark_filename`: NAME.train.inter, NAME.valid.inter, NAME.test.inter, or NAME.part1.inter and so on.
_PART = re.compile(r"(?P<name>.+)\.(?P<kind>train|valid|validation|val|dev|test|part)[-_]?(?P<number>\d*)")
_PART_ORDER = ("part", "train", "valid", "validation", "val", "dev", "test")


class Sources(NamedTuple):
    """The files of one data set, with the interactions' files in reading order.

    Args:
        items: the titles.
        users: the users' attributes.
        layout: what a row of the interactions is: one interaction, a user's list of items, or one with its history.
    """

    interactions: tuple[Path, ...]
    items: Path | None
    warnings: tuple[str, ...] = ()
    users: Path | None = None
    layout: Literal["interactions", "lists", "windows"] = "interactions"


def find_sources(path: Path) -> Sources:
    """The files to read for a file or folder; see `load_interactions` for the layouts.

    Raises:
        DataError: there is nothing to read, or more than one data set.
    """
    try:
        mode = _mode(path)
        if mode is None:
            raise DataError(f"{path} does not exist")
        if stat.S_ISDIR(mode):
            return _in_folder(path)
        if not stat.S_ISREG(mode):
            raise DataError(f"{path} is no ordinary file")
        return _named(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def split_of(file: Path, layout: str) -> str | None:
    """The split of which a file's name says that all its rows are; None if it says nothing."""
    if layout == "windows":
        return next((SPLIT_OF[said] for said in (file.stem, file.parent.name) if said in SPLIT_OF), None)
    part = _PART.fullmatch(file.stem) if file.suffix == RECBOLE else None
    return SPLIT_OF.get(part["kind"]) if part else None


def _mode(path: Path) -> int | None:
    """Kind and permissions of the path; None if nothing is there.

    `Path.is_file` is no alternative: whether it distinguishes a denied access from a missing file depends on the
    version of Python.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _is_file(path: Path) -> bool:
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def _named(path: Path) -> Sources:
    suffix = path.suffix.lower()
    if path.name.lower().endswith(LISTS):
        return _lists(path)
    if path.name == MOVIELENS:
        return Sources((path,), path.with_name("u.item"))
    if suffix == RECBOLE:
        return _recbole((path,), _others(path))
    if _is_table(path):
        return _windows((path,)) if holds_windows(path) else _table(path)
    packed = f"; {suffix} files are not read, unpack or convert it first" if suffix in _PACKED else ""
    if suffix == PARQUET_SUFFIX:
        packed = "; it does not begin as a Parquet file does, unpack or convert it first"
    raise DataError(f"{path} is none of {MOVIELENS}, {RECBOLE}, {LISTS}, {', '.join(TABLES)}{packed}")


def _in_folder(folder: Path) -> Sources:
    files = _visible_files(folder)
    recbole = [file for file in files if file.suffix == RECBOLE]
    single = [file for file in files if file.name == MOVIELENS or file.name.lower().endswith(LISTS)]
    single += [
        file for file in files if file.stem == "interactions" and file.suffix in TABLES and _is_table(file)
    ]
    if not recbole and not single:
        parts = [file for file in files if is_part(file)]
        return _table_in_parts(parts) if any(map(_is_table, parts)) else _in_splits(folder, files)
    if recbole and not single and len({_name_of(file) for file in recbole}) == 1:
        parts = [file for file in recbole if _is_part(file)]
        if len(recbole) == 1 or len(parts) == len(recbole):
            found = _recbole(tuple(sorted(recbole, key=_reading_order)))
            return found._replace(warnings=(*found.warnings, *_packed_parts(files)))
    return _named(_only([*single, *recbole], folder))


def _visible_files(folder: Path) -> list[Path]:
    # `iterdir` and not `glob`, which treats an unreadable folder as empty.
    # Hidden files are not data: unpacking on a Mac leaves a `._NAME.inter` beside each file.
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and _is_file(entry))


def _in_splits(folder: Path, files: Sequence[Path]) -> Sources:
    """Rows with their histories in one file per split, in the folder or in a folder for each."""
    splits = [
        file for file in files if file.suffix == ".csv" and file.stem in SPLIT_OF and holds_windows(file)
    ]
    for below in () if splits else sorted(folder.iterdir()):
        if below.name in SPLIT_OF and below.is_dir():
            found = [
                file for file in sorted(below.iterdir()) if file.suffix == ".csv" and holds_windows(file)
            ]
            splits += [_only(found, below)] if found else []
    if splits:
        return _windows(
            tuple(sorted(splits, key=lambda file: SPLITS.index(split_of(file, "windows") or "train")))
        )
    packed = [file.name for file in files if file.suffix.lower() in _PACKED and not _is_table(file)]
    hint = f"; {', '.join(packed[:3])} cannot be read, unpack or convert it first" if packed else ""
    tables = [file.name for file in files if _is_table(file)]
    hint = hint or (f"; name the file to read, if it is one of {', '.join(tables[:3])}" if tables else "")
    raise DataError(f"{folder} holds none of {_READ}{hint}")


def _windows(interactions: tuple[Path, ...]) -> Sources:
    return Sources(interactions, _beside(interactions[0], "items"), layout="windows")


def _lists(interactions: Path) -> Sources:
    items = interactions.with_name(interactions.name[: -len(LISTS)] + ".item.json")
    return Sources((interactions,), items if _is_file(items) else None, layout="lists")


def _recbole(interactions: tuple[Path, ...], unread: Sequence[Path] = ()) -> Sources:
    first = interactions[0]
    warnings = (
        [f"{first.name} is read alone, without {', '.join(file.name for file in unread)}"] if unread else []
    )
    candidates = dict.fromkeys((first.with_suffix(".item"), first.with_name(_name_of(first) + ".item")))
    items = next((file for file in candidates if _is_file(file)), None)
    if items is None:
        warnings += _packed_titles(first, [file.name for file in candidates])
    return Sources(interactions, items, tuple(warnings))


def _table(interactions: Path) -> Sources:
    if interactions.stem != "interactions":
        return Sources((interactions,), None)
    items, users = _beside(interactions, "items"), _beside(interactions, "users")
    packed = (
        [] if items is not None else _packed_titles(interactions, ["items", *("items" + s for s in TABLES)])
    )
    return Sources((interactions,), items, tuple(packed), users)


def _table_in_parts(parts: Sequence[Path]) -> Sources:
    found = parts_with_rows(parts)
    return Sources(found, _beside(found[0], "items"), users=_beside(found[0], "users"))


def _beside(interactions: Path, stem: str) -> Path | None:
    """A table of that name in the same folder."""
    found = [file for suffix in TABLES if _is_table(file := interactions.with_name(stem + suffix))]
    return _only(found, interactions.parent) if found else None


def _is_table(path: Path) -> bool:
    """Whether there is a file that a table's name says it is. Parquet is recognised by its first bytes too."""
    suffix = path.suffix.lower()
    return suffix in TABLES and _is_file(path) and (suffix != PARQUET_SUFFIX or begins_like_parquet(path))


def _packed_titles(interactions: Path, names: Sequence[str]) -> list[str]:
    """Warnings about files of titles that exist but cannot be read."""
    packed = (interactions.with_name(name + suffix) for name in names for suffix in _PACKED)
    return [
        f"{file.name} is not read: unpack or convert it to have titles" for file in packed if _is_file(file)
    ]


def _packed_parts(files: Sequence[Path]) -> list[str]:
    """Warnings about files of interactions that may belong to the data set but cannot be read."""
    return [
        f"{file.name} is not read: unpack it if its interactions belong to the data"
        for file in files
        if file.suffix.lower() in _PACKED and RECBOLE + "." in file.name
    ]


def _others(part: Path) -> list[Path]:
    """The other parts of the data set, if the path names one of its parts."""
    if not _is_part(part):
        return []
    return [
        file
        for file in sorted(part.parent.iterdir())
        if file != part and file.suffix == RECBOLE and _is_part(file) and _name_of(file) == _name_of(part)
    ]


def _is_part(file: Path) -> bool:
    return _PART.fullmatch(file.stem) is not None


def _name_of(file: Path) -> str:
    """NAME of NAME.inter and of NAME.train.inter."""
    part = _PART.fullmatch(file.stem)
    return part["name"] if part else file.stem


def _reading_order(file: Path) -> tuple[int, int, str]:
    part = _PART.fullmatch(file.stem)
    if part is None:
        return (0, 0, file.name)
    return (_PART_ORDER.index(part["kind"]), int(part["number"] or 0), file.name)


def _only(found: Sequence[Path], folder: Path) -> Path:
    if len(found) > 1:
        raise DataError(f"{folder} holds {', '.join(path.name for path in found)}; name the one to read")
    return found[0]
