"""`lethe forget --file FILE`: sends the ids of a file in batches. It prints line numbers, and ids only if asked to."""

from __future__ import annotations

import csv
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.failures import CommandError
from cli.gateway_client import GatewayAway, GatewayClient
from cli.progress import watch
from inputs import InvalidInput, identifier

COLUMN = "user_id"
_MOST_ITEMS = 1000
# Below the gateway's limit, with room for reason and ticket number of each item.
_MOST_BYTES = 400 * 1024
_AWAY_SECONDS = 60.0
_PAUSE_SECONDS = 1.0
_LINES_SHOWN = 20


@dataclass(frozen=True)
class Line:
    """One line that names a user. ``user_id`` is as the file has it, ``problem`` says why it is no id."""

    number: int
    user_id: str
    problem: str | None


@dataclass
class Sent:
    """What has become of the lines of a file. ``counts`` are by result; ``malformed`` has the lines that are no ids."""

    dry_run: bool
    counts: Counter[str] = field(default_factory=Counter)
    malformed: list[Line] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)


def read_lines(path: Path, column: str | None) -> list[Line]:
    """The lines of a file: CSV with a header that has the column, or else one id on each line.

    Args:
        column: None for CSV if the header has the column `user_id`, and one id on each line otherwise.

    Raises:
        CommandError: the file cannot be read, or lacks the column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader([file.readline()]), [])
            if column is not None and column not in header:
                raise CommandError(f"{path} has no column {column} in its first line")
            if (column or COLUMN) in header:
                return list(_of_table(file, header.index(column or COLUMN)))
            file.seek(0)
            return list(_of_text(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no CSV or text in UTF-8"
        raise CommandError(f"cannot read {path}: {reason}") from error


def _of_table(rows: Iterable[str], place: int) -> Iterator[Line]:
    reader = csv.reader(rows)
    for row in reader:
        if row:
            # The header is one line more.
            yield _line(reader.line_num + 1, row[place] if place < len(row) else "")


def _of_text(lines: Iterable[str]) -> Iterator[Line]:
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield _line(number, text)


def _line(number: int, user_id: str) -> Line:
    try:
        identifier(user_id)
    except InvalidInput as error:
        return Line(number, user_id, f"the id {error}")
    return Line(number, user_id, None)


def send(
    gateway: GatewayClient,
    lines: Sequence[Line],
    *,
    reason: str | None,
    client_reference: str | None,
    dry_run: bool,
) -> Sent:
    """Send all lines that are ids. An id that comes twice is sent once.

    Raises:
        CommandError: the gateway refuses, or is away for too long. What was accepted until then stays so, and sending
            the whole file again is harmless.
    """
    sent = Sent(dry_run)
    given = {"reason": reason, "client_reference": client_reference}
    shared = {name: value for name, value in given.items() if value is not None}
    wanted, seen = [], set()
    for line in lines:
        if line.problem is not None:
            sent.malformed.append(line)
            continue
        spelling = identifier(line.user_id)
        if spelling in seen:
            sent.counts["repeated"] += 1
            continue
        seen.add(spelling)
        wanted.append(line)
    with watch("forgetting") as show:
        for batch in _batches(wanted):
            show(f"{sum(sent.counts.values())} of {len(lines)} lines")
            _send_batch(gateway, batch, shared, sent)
    return sent


def _batches(lines: Sequence[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in lines:
        length = len(json.dumps(line.user_id))
        if batch and (len(batch) == _MOST_ITEMS or size + length > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += length
    if batch:
        yield batch


def _send_batch(gateway: GatewayClient, batch: Sequence[Line], shared: dict[str, str], sent: Sent) -> None:
    body = {"items": [{"user_id": line.user_id, **shared} for line in batch]}
    answer = _patiently(gateway, "/forget-batches/dry-run" if sent.dry_run else "/forget-batches", body)
    if not sent.dry_run:
        sent.batches.append(answer["id"])
    for line, item in zip(batch, answer["items"], strict=True):
        if item["result"] == "invalid":
            sent.malformed.append(
                Line(line.number, line.user_id, "; ".join(error["message"] for error in item["errors"]))
            )
        else:
            sent.counts[item["result"]] += 1


def _patiently(gateway: GatewayClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send the batch, and again while the gateway is away: the same key makes that harmless."""
    key, started = uuid.uuid4().hex, time.monotonic()
    while True:
        try:
            return gateway.post(path, body, idempotency_key=key)
        except GatewayAway:
            if time.monotonic() - started >= _AWAY_SECONDS:
                raise
            time.sleep(_PAUSE_SECONDS)


def to_plain(sent: Sent) -> dict[str, Any]:
    """For programs. It names no user."""
    return {
        "dry_run": sent.dry_run,
        **{name: sent.counts[name] for name in _names(sent)},
        "malformed": len(sent.malformed),
        "malformed_lines": [line.number for line in sent.malformed],
        "batches": sent.batches,
    }


def describe(sent: Sent, *, show_ids: bool) -> list[str]:
    words = {"existing": "already asked", "repeated": "repeated in the file"}
    counts = [f"{sent.counts[name]} {words.get(name, name)}" for name in _names(sent)]
    lines = [f"{', '.join(counts)}, {len(sent.malformed)} malformed"]
    lines += [f"batch {batch}" for batch in sent.batches]
    for line in sent.malformed[:_LINES_SHOWN]:
        shown = f" ({line.user_id!r})" if show_ids else ""
        lines.append(f"line {line.number}: {line.problem}{shown}")
    if len(sent.malformed) > _LINES_SHOWN:
        lines.append(f"and {len(sent.malformed) - _LINES_SHOWN} more; --json has all line numbers")
    return lines


def _names(sent: Sent) -> tuple[str, ...]:
    return ("new" if sent.dry_run else "accepted", "existing", "repeated")
