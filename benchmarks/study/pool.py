"""Work spread over processes with one thread each. Finished work is on disk, so a killed study can go on from there."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Protocol, TypeVar

from benchmarks.study.cells import Cells
from benchmarks.study.orders import FitOrder
from benchmarks.study.workshop import Workshop, one_thread

T = TypeVar("T")


class Work(Protocol):
    """A piece of work that makes cells."""

    def keys(self, workshop: Workshop) -> Collection[str]:
        """The cells it makes."""

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Make the cells that do not exist yet."""


_POLL_SECONDS = 2.0
_of_this_process: list[Workshop] = []


class Pool:
    """A number of processes that share a workshop's folder."""

    def __init__(self, workshop: Workshop, processes: int | None = None) -> None:
        self._workshop = workshop
        self._processes = processes or os.cpu_count() or 1

    def fit(self, wanted: Sequence[FitOrder], moved: Callable[[int], None]) -> None:
        """Make these fits; `moved` is called with the number of finished ones."""
        self._each(_fit, wanted, moved)

    def work(self, jobs: Sequence[Work], moved: Callable[[int], None]) -> None:
        """Make these jobs' cells; `moved` is called with the number of finished cells."""
        cells = Cells(self._workshop.folder / "cells")
        keys = frozenset(key for job in jobs for key in job.keys(self._workshop))
        pending = [job for job in jobs if any(cells.get(key) is None for key in job.keys(self._workshop))]
        self._each(_work, pending, lambda _: moved(cells.finished(keys)))
        moved(cells.finished(keys))

    def _each(self, work: Callable[[T], None], pieces: Sequence[T], moved: Callable[[int], None]) -> None:
        if self._processes == 1:
            _start(self._workshop)
            for done, piece in enumerate(pieces, start=1):
                work(piece)
                moved(done)
            return
        # Spawn, because a fork would copy the state of torch's threads but not the threads.
        with ProcessPoolExecutor(
            self._processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._workshop,),
        ) as executor:
            futures = {executor.submit(work, piece) for piece in pieces}
            done, waiting = 0, futures
            try:
                while waiting:
                    finished, waiting = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in finished:
                        future.result()
                    done += len(finished)
                    moved(done)
            except BaseException:
                # Let running work end, but cancel what waits: it would keep a failed or interrupted study alive.
                executor.shutdown(wait=False, cancel_futures=True)
                raise


def _start(workshop: Workshop) -> None:
    one_thread()
    _of_this_process[:] = [workshop]


def _fit(order: FitOrder) -> None:
    _of_this_process[0].fit(order)


def _work(job: Work) -> None:
    workshop = _of_this_process[0]
    job.run(workshop, Cells(workshop.folder / "cells"))
