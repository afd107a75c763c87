"""Golden rows: training rows as the owner's own collator wrote them, to prove that ours are the same.

They catch what nothing else does: a prefix space, a missing beginning token, the side of a truncation, numbers that
start at 0, a year in a title. A row is personal data, so nothing of it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.choices import Window
from recommender.errors import DataError

LEAST_ROWS = 20
_NOT_TRAINED = -100
_CONTEXT = 4


@dataclass(frozen=True)
class GoldenRow:
    """One row of the owner's collator: `labels` are -100 where nothing was trained, as `transformers` has them."""

    line: int
    user_id: str
    item_id: str
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    candidates: tuple[str, ...] | None


def read_golden(path: Path) -> list[GoldenRow]:
    """Read a JSONL file of `user_id`, `item_id`, `input_ids`, `labels` and, where the style offers some, `candidates`.

    Raises:
        DataError: it cannot be read, a row is not of that form, or there are fewer than 20.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    rows = [_row(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if len(rows) < LEAST_ROWS:
        raise DataError(f"{path} has {len(rows)} golden rows; at least {LEAST_ROWS} are needed")
    return rows


def difference(
    row: GoldenRow, window: Window, pad: int, decode: Callable[[Sequence[int]], str]
) -> str | None:
    """Where the owner's row and our window differ first, in words; None if they are the same, token for token.

    Padding at either end of the owner's row does not count. What was trained must be the same positions, too.
    """
    kept = _without_padding(row, pad)
    theirs, ours = [row.input_ids[index] for index in kept], list(window.tokens)
    for place, (one, other) in enumerate(zip(theirs, ours, strict=False)):
        if one != other:
            before = decode(ours[max(0, place - _CONTEXT) : place])
            return (
                f"token {place} is {decode([one])!r} ({one}) in your row and {decode([other])!r} ({other}) in ours, "
                f"after {before!r}"
            )
    if len(theirs) != len(ours):
        longer, whose = (theirs, "your row") if len(theirs) > len(ours) else (ours, "ours")
        rest = decode(longer[min(len(theirs), len(ours)) :][:_CONTEXT])
        return f"your row has {len(theirs)} tokens and ours {len(ours)}: {whose} goes on with {rest!r}"
    trained = {place for place, index in enumerate(kept) if row.labels[index] != _NOT_TRAINED}
    # A label stands at the token itself; a window names the position before it.
    expected = {position + 1 for position in window.language}
    if trained - {0} != expected:
        odd = min((trained - {0}) ^ expected)
        word = (
            "is trained in your row and not in ours"
            if odd in trained
            else "is trained in ours and not in your row"
        )
        return f"token {odd}, {decode([ours[odd]])!r}, {word}: correct `supervise`"
    return None


def _without_padding(row: GoldenRow, pad: int) -> list[int]:
    real = [
        index
        for index, (token, label) in enumerate(zip(row.input_ids, row.labels, strict=True))
        if token != pad or label != _NOT_TRAINED
    ]
    return list(range(real[0], real[-1] + 1)) if real else []


def _row(path: Path, number: int, line: str) -> GoldenRow:
    try:
        content: Any = json.loads(line)
        candidates = content.get("candidates")
        row = GoldenRow(
            number,
            str(content["user_id"]),
            str(content["item_id"]),
            tuple(content["input_ids"]),
            tuple(content["labels"]),
            None if candidates is None else tuple(map(str, candidates)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}:{number} is no golden row with user_id, item_id, input_ids and labels"
        ) from error
    if len(row.input_ids) != len(row.labels) or not all(
        type(one) is int for one in (*row.input_ids, *row.labels)
    ):
        raise DataError(f"{path}:{number}: input_ids and labels must be equally many whole numbers")
    return row
