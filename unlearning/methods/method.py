"""The interface of every method: its task, its candidate and its cost."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Unpack

from torch import Tensor

from recommender import Adapter, AdapterConfig, Base, TrainingConfig
from unlearning.activations.statistics import ActivationStatistics
from unlearning.errors import InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.progress import Watched


@dataclass(frozen=True)
class ForgetTask:
    """The work of one run: forget these subjects, keep these users.

    Attributes:
        base: the base model; never changed.
        adapter: the parent version; never changed.
        forget: the subjects' training sequences, events of the base's style in time order: for most styles items.
        retain: the training sequences of all other users.
        retain_validation: (history, held-out item) pairs of retained users, for the early stopping of re-fits.
        statistics: cached activation statistics of this adapter over all training users, subjects included; None to
            collect the retained users' during the run.
        training: how the parent was trained.
        adapter_config: the parent's configuration.
        seed: seed of every random choice.
        forget_targets: which items of each forget sequence to forget; None for all. The other items are context.
        never_seen_nll: each subject's level, in nats: the expected mean negative log-likelihood of the items to forget
            under a model that never saw the subject (`unlearning.levels.never_seen`); None if it is not known.
        smoothing: smoothing of these likelihoods (`EvaluationConfig.smoothing`); 0 for none.

    Raises:
        InvalidTask: no subject, no retained user, an empty sequence, or marks or levels that do not fit the sequences.
    """

    base: Base
    adapter: Adapter
    forget: tuple[tuple[int, ...], ...]
    retain: tuple[tuple[int, ...], ...]
    retain_validation: tuple[tuple[tuple[int, ...], int], ...]
    statistics: ActivationStatistics | None
    training: TrainingConfig
    adapter_config: AdapterConfig
    seed: int
    forget_targets: tuple[tuple[bool, ...], ...] | None = None
    never_seen_nll: tuple[float, ...] | None = None
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name, sequences in (("forget", self.forget), ("retain", self.retain)):
            if not sequences:
                raise InvalidTask(f"{name} is empty: a run needs at least one subject and one retained user")
            if not all(sequences):
                raise InvalidTask(
                    f"{name} holds an empty sequence: leave users without events out of the run"
                )
        if self.forget_targets is not None and (
            [len(marks) for marks in self.forget_targets] != [len(sequence) for sequence in self.forget]
            or not all(any(marks) for marks in self.forget_targets)
        ):
            raise InvalidTask("forget_targets must mark each item of each forget sequence, at least one true")
        levels = self.never_seen_nll
        if levels is not None and (
            len(levels) != len(self.forget) or not all(0.0 <= level < math.inf for level in levels)
        ):
            raise InvalidTask("never_seen_nll must hold one finite number of at least 0 for each subject")
        if not 0.0 <= self.smoothing < 1.0:
            raise InvalidTask(f"smoothing must be at least 0 and below 1, not {self.smoothing}")


@dataclass(frozen=True)
class Cost:
    """What a method spent: wall-clock `seconds`, passes over one window (`forwards`, `backwards`), `samples` read.

    One training step on a batch of n windows counts n forwards and n backwards.
    """

    seconds: float
    forwards: int
    backwards: int
    samples: int


@dataclass(frozen=True)
class Candidate:
    """An edited adapter, its cost, and named tensors to store with it (for example U-CAN's factors)."""

    adapter: Adapter
    cost: Cost
    artefacts: Mapping[str, Tensor] = field(default_factory=dict)


class Method(Protocol):
    """One way to forget. Instances are immutable and can run any number of tasks.

    A method with further requirements declares them in attributes, see `unlearning.methods.demands`.
    """

    @property
    def name(self) -> str:
        """The name it is registered under."""

    @property
    def config(self) -> Any:
        """The method's frozen configuration dataclass."""

    @property
    def card(self) -> MethodCard:
        """The method's source and cost, and whether it is exact."""

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Make a candidate.

        Raises:
            Interrupted: `should_stop` answered yes; nothing was produced.
        """


class Stopwatch:
    """Measures wall-clock time from its creation."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since its creation."""
        return time.perf_counter() - self._started
