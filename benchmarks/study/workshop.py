"""What every process of a study works with: the population, the base, the fits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers.utils import logging as transformers_logging

from benchmarks.fits import Fit, Fits, Regime
from benchmarks.population import Population
from benchmarks.study.orders import FitOrder
from recommender import Base, use_processor
from unlearning import Policy


@dataclass(frozen=True)
class Workshop:
    """Where a study's data and models come from; cheap to send to another process, opened there on first use."""

    data: Path
    folder: Path
    regime: Regime

    @cached_property
    def population(self) -> Population:
        """The users and their roles."""
        return self.regime.population(self.data)

    @cached_property
    def fits(self) -> Fits:
        """Fitted models, kept in the folder."""
        return Fits(self.folder / "fits", self.regime)

    @cached_property
    def base(self) -> Base:
        """The base; trained by whoever asks first."""
        return self.fits.base(self.population)

    @cached_property
    def policy(self) -> Policy:
        """How candidates are measured and judged."""
        return self.regime.policy()

    def fit(self, order: FitOrder) -> Fit:
        """The fit, from the folder if it was made before."""
        return self.fits.adapter(self.base, order.sequences, order.seed)


def one_thread() -> None:
    """Start a process of a study: work is spread over processes, never threads, which would change the sums."""
    use_processor(1)
    transformers_logging.disable_progress_bar()
