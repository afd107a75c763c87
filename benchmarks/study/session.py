"""One study from start to end: its folder, the order of its work, and the header of its result."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

from benchmarks.bars import Bar, Reached, bars
from benchmarks.environment import environment
from benchmarks.fits import Regime
from benchmarks.study.cells import Cells
from benchmarks.study.orders import FitOrder, unique
from benchmarks.study.pool import Pool, Work
from benchmarks.study.workshop import Workshop, one_thread
from unlearning.methods.method import Stopwatch
from unlearning.records import to_plain


@dataclass(frozen=True)
class Session:
    """A workshop with its processes. `commits` are the commits that made the cells read so far."""

    workshop: Workshop
    bar: Bar
    pool: Pool
    header: dict[str, Any]
    watch: Stopwatch
    commits: set[str] = field(default_factory=set)

    def fit(self, wanted: Sequence[FitOrder]) -> None:
        """Train the base and make these fits, each once."""
        self.workshop.fits.base(self.workshop.population, self.bar("base on the panel"))
        fits = unique(wanted)
        self.pool.fit(fits, self.counted("fits", len(fits)))

    def work(self, jobs: Sequence[Work], title: str) -> None:
        """Make the cells of these jobs that do not exist yet."""
        if jobs:
            total = sum(len(job.keys(self.workshop)) for job in jobs)
            self.pool.work(jobs, self.counted(title, total))

    def cells(self, jobs: Sequence[Work]) -> list[dict[str, Any]]:
        """The finished cells of these jobs, in their order."""
        kept, found = Cells(self.workshop.folder / "cells"), []
        for job in jobs:
            for key in job.keys(self.workshop):
                cell = kept.get(key)
                assert cell is not None, "the pool finished without this cell"
                if "commit" in cell:
                    self.commits.add(cell["commit"] or "unknown")
                found.append(cell)
        return found

    def rows(self, *jobs: Work) -> list[dict[str, Any]]:
        """The rows of these jobs' finished cells."""
        return [row for cell in self.cells(jobs) for row in cell["rows"]]

    def counted(self, title: str, total: int) -> Callable[[int], None]:
        """Open a bar; the function that tells it how many of `total` are done."""
        move = self.bar(f"{total} {title}")
        return lambda done: move(Reached(done, total))

    def result(self, benchmark: str, data: dict[str, Any], **found: Any) -> dict[str, Any]:
        """The common header of every result, and what was found.

        `wall_seconds` counts this run alone, not earlier runs whose fits and cells it reused.
        """
        workshop = self.workshop
        return {
            "benchmark": benchmark,
            "environment": self.header,
            "data": {"source": workshop.population.source, **data},
            "training": to_plain(workshop.regime),
            "policy": {"name": workshop.policy.name, "hash": workshop.policy.hash},
            # A resumed study can contain cells of earlier commits; the result says so.
            **({"commits": sorted(self.commits)} if self.commits else {}),
            "wall_seconds": self.watch.seconds,
            **found,
        }


class Means(TypedDict, total=False):
    """What every study can be given.

    Attributes:
        folder: keeps fits and finished cells for a later run on the same data; None for a temporary folder.
        processes: number of processes; None for one per core.
        regime: how models are trained.
    """

    folder: Path | None
    processes: int | None
    regime: Regime | None


@contextmanager
def session(data: Path, *, kind: type[Workshop] = Workshop, **means: Unpack[Means]) -> Iterator[Session]:
    """Open a study on `data`, the interactions, with a workshop of this class."""
    one_thread()
    header, watch = environment(), Stopwatch()
    with ExitStack() as stack:
        folder = means.get("folder")
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workshop = kind(data, folder, means.get("regime") or Regime())
        yield Session(
            workshop, stack.enter_context(bars()), Pool(workshop, means.get("processes")), header, watch
        )
