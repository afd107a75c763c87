"""What a worker notes about the run it works on: lines of its log, losses, a search's trail, memory.

The heartbeat writes the notes with the lease, so they cost no transaction of their own. Notes are for people who watch:
those of a heartbeat that the database did not take are gone.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.db.base import utc_now
from app.runs.notes import Note, NoteKind

if TYPE_CHECKING:
    # The parent of the worker copies its log too, and torch belongs to the child.
    from unlearning import Progress

# So many points make a curve; a long training notes every so many steps.
_POINTS_OF_A_CURVE = 100
# No claim notes more than this, whatever it does.
_MOST_NOTES = 3000
_LONGEST = 300
# Memory is noted again when it has changed by this share.
_CHANGE = 0.05
_ABOUT_THE_LINE = frozenset({"event", "level", "logger", "timestamp", "request_id", "run_id"})

_open: ContextVar[Notebook | None] = ContextVar("notebook", default=None)


class Notebook:
    """The notes of one claim that wait for the next heartbeat."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Note] = []
        self._left = _MOST_NOTES
        self._process, self._accelerator = 0, 0

    def loss(self, method: str, report: Progress) -> None:
        """Note a training loss, as often as a curve needs it."""
        every = max(1, report.steps // _POINTS_OF_A_CURVE)
        if report.loss is None or (report.step % every and report.step not in (1, report.steps)):
            return
        self._add(
            NoteKind.LOSS,
            method=method,
            stage=report.stage,
            step=report.step,
            steps=report.steps,
            loss=report.loss,
        )

    def trial(self, method: str, field: str, value: float, z: float | None) -> None:
        """Note a strength that a search tried, and the membership z there."""
        self._add(NoteKind.TRIAL, method=method, field=field, value=value, z=z)

    def say(self, event: str, level: str, fields: dict[str, Any]) -> None:
        """Note a line of the log."""
        self._add(NoteKind.SAID, event=event[:_LONGEST], level=level, **fields)

    def memory(self) -> None:
        """Note how much memory this process and its accelerator hold, if that has changed."""
        process, accelerator = process_bytes(), accelerator_bytes()
        if _differ(process or 0, self._process) or _differ(accelerator or 0, self._accelerator):
            self._process, self._accelerator = process or 0, accelerator or 0
            self._add(NoteKind.MEMORY, process=process, accelerator=accelerator)

    def take(self) -> list[Note]:
        """The notes that wait; they wait no more."""
        with self._lock:
            taken, self._waiting = self._waiting, []
            return taken

    def _add(self, note_kind: NoteKind, /, **data: Any) -> None:
        with self._lock:
            if self._left > 0:
                self._left -= 1
                self._waiting.append(Note(note_kind, utc_now(), data))


def begin(notebook: Notebook) -> None:
    """From now on this thread's log is copied into the notebook."""
    _open.set(notebook)


def end() -> None:
    _open.set(None)


def copy_into_run(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: lines that are logged while a run is worked on are its log too.

    The log has no user id and no secret (invariant I8), so neither has the copy. Tracebacks are left out.
    """
    notebook = _open.get()
    if notebook is not None:
        fields = {
            name: value[:_LONGEST] if isinstance(value, str) else value
            for name, value in line.items()
            if name not in _ABOUT_THE_LINE and isinstance(value, str | int | float | bool)
        }
        notebook.say(str(line.get("event", "")), str(line.get("level", "info")), fields)
    return line


def process_bytes() -> int | None:
    """The memory that this process holds now; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def accelerator_bytes() -> int | None:
    """The memory that tensors hold on the accelerator; None without one."""
    # Whoever has an accelerator has loaded torch.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.memory_allocated())


def _differ(now: int, before: int) -> bool:
    return abs(now - before) > _CHANGE * before
