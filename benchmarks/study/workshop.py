"""What every process of a study needs: the population, the base and the fits."""

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
    """The source of a study's data and models. It is cheap to send to another process, which opens it on first use."""

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
        """The base. The first access trains it."""
        return self.fits.base(self.population)

    @cached_property
    def policy(self) -> Policy:
        """How candidates are measured and judged."""
        return self.regime.policy()

    def fit(self, order: FitOrder) -> Fit:
        """Make the fit, or take it from the folder if it was made before."""
        return self.fits.adapter(self.base, order.sequences, order.seed)


def one_thread() -> None:
    """Limit a process of a study to one thread. Work is spread over processes: threads would change the sums."""
    use_processor(1)
    transformers_logging.disable_progress_bar()
