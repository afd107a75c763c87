"""What every method takes and gives back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from recommender import Adapter, AdapterConfig, Base, TrainingConfig
from unlearning.activations.statistics import ActivationStatistics
from unlearning.errors import InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.progress import OnStep, ShouldStop


@dataclass(frozen=True)
class ForgetTask:
    """One run's work: forget these subjects, keep these users.

    `base` and `adapter` (the parent version) are read, never changed. Sequences are training sequences, catalogue
    indices in time order: `forget` the subjects', `retain` everybody else's. `retain_validation` holds (history,
    held-out item) pairs of retained users for the early stop of re-fits. `statistics` are the cached activation
    sums over all training users (subjects included) of this very adapter, or None to collect the retained users'
    sums on the spot. `forget_targets` marks the items of each forget sequence that are to be forgotten, None for
    all: where single interactions are forgotten, the others stay as their context. `never_seen_nll` is what each
    subject's mean negative log-likelihood over the items to forget would be under a model that never saw them, in
    nats, as far as it is known (`unlearning.levels.never_seen`), or None; likelihoods are smoothed by `smoothing`
    (`EvaluationConfig.smoothing`), 0 for plain ones. `training` and `adapter_config` say how the parent
    was fitted; `seed` drives every random choice.

    Raises:
        InvalidTask: no subject, nobody retained, an empty sequence, or marks or levels that do not fit the sequences.
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
    """What a method spent: wall-clock `seconds`, passes over one sequence (`forwards`, `backwards`), `samples` read.

    One training step on a batch of n sequences counts n forwards and n backwards.
    """

    seconds: float
    forwards: int
    backwards: int
    samples: int


@dataclass(frozen=True)
class Candidate:
    """An edited adapter, what is worth keeping beside it (U-CAN's gates, by name), and what it cost."""

    adapter: Adapter
    cost: Cost
    artefacts: Mapping[str, Tensor] = field(default_factory=dict)


class Method(Protocol):
    """One way to forget. Instances are immutable and may serve any number of tasks.

    What it needs beyond a task it says in further attributes, see `unlearning.methods.demands`.
    """

    @property
    def name(self) -> str:
        """The name it is registered under."""

    @property
    def exact(self) -> bool:
        """Whether the result is distributed as a training that never saw the subjects."""

    @property
    def config(self) -> Any:
        """The method's frozen configuration dataclass."""

    @property
    def card(self) -> MethodCard:
        """Where it comes from and what it needs."""

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Make a candidate.

        Raises:
            Interrupted: `should_stop` answered yes; nothing was produced.
        """


class Stopwatch:
    """Measures wall-clock time from the moment it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self._started
