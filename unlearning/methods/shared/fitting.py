"""Fitting an adapter inside a method: its cost, and an interface for callers that keep fitted adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Unpack

from recommender import Adapter, AdapterConfig, Base, StepReport, TrainingConfig, fit_adapter
from unlearning.methods.method import Stopwatch
from unlearning.progress import Progress, Watched

Sequences = Sequence[tuple[int, ...]]
HeldOut = Sequence[tuple[tuple[int, ...], int]]


@dataclass(frozen=True)
class Fitted:
    """An adapter, the seconds of its fit, and its passes over one window (a forward and a backward each)."""

    adapter: Adapter
    seconds: float
    passes: int


class Fit(Protocol):
    """Fits an adapter, or looks up one that was fitted before. Equal arguments must give equal adapters."""

    def __call__(
        self,
        base: Base,
        sequences: Sequences,
        adapter_config: AdapterConfig,
        training: TrainingConfig,
        *,
        validation: HeldOut,
        **watched: Unpack[Watched],
    ) -> Fitted:
        """The adapter of these users; `validation` holds their held-out items.

        Raises:
            Interrupted: `should_stop` answered yes.
        """


def fit_anew(
    base: Base,
    sequences: Sequences,
    adapter_config: AdapterConfig,
    training: TrainingConfig,
    *,
    validation: HeldOut,
    **watched: Unpack[Watched],
) -> Fitted:
    """The `Fit` that always fits.

    Raises:
        Interrupted: `should_stop` answered yes.
    """
    watch, on_step = Stopwatch(), watched.get("on_step")
    batches = 0

    def count(report: StepReport) -> None:
        nonlocal batches
        batches += 1
        if on_step is not None:
            on_step(Progress("re-fit", report.step, report.steps, report.loss))

    adapter = fit_adapter(
        base,
        sequences,
        adapter_config,
        training,
        validation=validation,
        on_step=count,
        should_stop=watched.get("should_stop"),
    )
    return Fitted(adapter, watch.seconds, batches * training.batch_size)
