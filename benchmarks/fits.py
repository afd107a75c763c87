"""The fitted models of a benchmark. Each is made once and kept in memory, and on disk if a folder is given."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Unpack

from benchmarks.population import Population, load_population
from benchmarks.study.summary import ITEM_TOKENS, Terms
from recommender import (
    BASE_TRAINING,
    Adapter,
    AdapterConfig,
    Base,
    BaseConfig,
    Catalogue,
    ItemTokenStyle,
    StepReport,
    TrainingConfig,
    build_base,
    draw_base,
    fit_adapter,
    load_base,
    save_base,
)
from unlearning import ActivationStatistics, Candidate, Cost, ForgetTask, Method, Policy, default_policy
from unlearning.methods.ladder.refit import Refit
from unlearning.methods.method import Stopwatch
from unlearning.methods.shared.fitting import Fitted, HeldOut
from unlearning.progress import Watched
from unlearning.records import canonical_json, sha256_hex

OnStep = Callable[[StepReport], None]


@dataclass(frozen=True)
class Regime:
    """How the base and every adapter of a benchmark are trained: here with item tokens, on everybody.

    Without dropout and early stopping, the adapter remembers its users about twice as well as a re-fit that never saw
    them. The service's defaults, which are chosen for serving, remember less. A benchmark of forgetting needs something
    to forget, and early stopping would choose another epoch, and so another amount of memory, for each fit.
    """

    base_config: BaseConfig = field(default_factory=BaseConfig)
    base_training: TrainingConfig = BASE_TRAINING
    adapter_config: AdapterConfig = field(default_factory=lambda: AdapterConfig(dropout=0.0))
    adapter_training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=20, patience=None))

    @property
    def style(self) -> str:
        """Name of the prompt style."""
        return ItemTokenStyle.name

    def population(self, data: Path) -> Population:
        """The users of the benchmark and their roles.

        Raises:
            DataError: the data cannot be read.
        """
        return load_population(data)

    def policy(self) -> Policy:
        """How candidates are measured and judged."""
        return default_policy()

    @property
    def terms(self) -> Terms:
        """The conditions under which forgetting is measurable."""
        return ITEM_TOKENS

    @property
    def light(self) -> bool:
        """Whether rows leave out attacks that need training, and U-CAN's sweep."""
        return False

    def base_key(self, population: Population) -> dict[str, object]:
        """Everything that determines the base."""
        return {
            "panel": population.panel,
            "config": asdict(self.base_config),
            "training": self.base_training.to_plain(),
        }

    def write_base(self, population: Population, folder: Path, on_step: OnStep | None) -> None:
        """Make the base and put it into `folder`."""
        model = build_base(
            population.catalogue, population.panel, self.base_config, self.base_training, on_step=on_step
        )
        save_base(model, population.catalogue, self.base_config.style(population.catalogue), folder)

    def open_base(self, folder: Path) -> Base:
        """The base in `folder`, ready for adapters."""
        return load_base(folder)

    def training(self, seed: int) -> TrainingConfig:
        """How an adapter is fitted with this seed."""
        return replace(self.adapter_training, seed=seed)

    def task(
        self,
        base: Base,
        parent: Adapter,
        forget: Sequence[tuple[int, ...]],
        retain: Sequence[tuple[int, ...]],
        *,
        seed: int,
        training_seed: int | None = None,
        statistics: ActivationStatistics | None = None,
        forget_targets: tuple[tuple[bool, ...], ...] | None = None,
        never_seen_nll: tuple[float, ...] | None = None,
        smoothing: float = 0.0,
    ) -> ForgetTask:
        """The task of forgetting the sequences `forget` and keeping the sequences `retain`. A re-fit uses this regime.

        `training_seed` is the seed of the parent's fit, if it differs from the method's seed.
        """
        return ForgetTask(
            base=base,
            adapter=parent,
            forget=tuple(forget),
            retain=tuple(retain),
            retain_validation=(),
            statistics=statistics,
            training=self.training(seed if training_seed is None else training_seed),
            adapter_config=self.adapter_config,
            seed=seed,
            forget_targets=forget_targets,
            never_seen_nll=never_seen_nll,
            smoothing=smoothing,
        )


def untrained_base(catalogue: Catalogue, config: BaseConfig, folder: Path) -> Base:
    """A base drawn at random, which has read nobody. It is saved in `folder`."""
    save_base(draw_base(catalogue, config, seed=0), catalogue, config.style(catalogue), folder)
    return load_base(folder)


@dataclass(frozen=True)
class Fit:
    """An adapter and the cost of fitting it when it was made."""

    adapter: Adapter
    cost: Cost


class Fits:
    """Makes and keeps fits. With a folder, a later run on the same data reuses them, seconds included."""

    def __init__(self, folder: Path | None = None, regime: Regime | None = None) -> None:
        self.regime = regime or Regime()
        self._folder = folder
        self._kept: dict[str, Fit] = {}

    def base(self, population: Population, on_step: OnStep | None = None) -> Base:
        """The base trained on the panel. The same data, threads and libraries give the same bits."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = (self._folder or Path(temporary)) / f"base-{_digest(self.regime.base_key(population))}"
            if not folder.is_dir():
                with _whole(folder) as partial:
                    self.regime.write_base(population, partial, on_step)
            return self.regime.open_base(folder)

    def adapter(
        self, base: Base, sequences: tuple[tuple[int, ...], ...], seed: int, on_step: OnStep | None = None
    ) -> Fit:
        """An adapter fitted on these training sequences."""

        def fit() -> Fit:
            watch, training = Stopwatch(), self.regime.training(seed)
            steps = 0

            def count(report: StepReport) -> None:
                nonlocal steps
                steps += 1
                if on_step is not None:
                    on_step(report)

            adapter = fit_adapter(base, sequences, self.regime.adapter_config, training, on_step=count)
            passes = steps * training.batch_size
            return Fit(adapter, Cost(watch.seconds, passes, passes, passes))

        return self._get(self._key(base, sequences, seed), fit)

    def candidate(self, method: Method, task: ForgetTask) -> Candidate:
        """The candidate of `method` for `task`. A re-fit is an ordinary fit on the retained users, kept like one."""
        if not isinstance(method, Refit):
            return method.run(task)
        kept = self.adapter(task.base, task.retain, task.seed + method.config.seed_offset)
        return Candidate(adapter=kept.adapter, cost=kept.cost)

    def kept(
        self,
        base: Base,
        sequences: Sequence[tuple[int, ...]],
        adapter_config: AdapterConfig,
        training: TrainingConfig,
        *,
        validation: HeldOut,
        **watched: Unpack[Watched],
    ) -> Fitted:
        """Fit a shard or a half, kept like any other fit. A part that no request changes is reused."""
        kept = self.adapter(base, tuple(sequences), training.seed)
        return Fitted(kept.adapter, kept.cost.seconds, kept.cost.forwards)

    def _key(self, base: Base, sequences: tuple[tuple[int, ...], ...], seed: int) -> dict[str, object]:
        return {
            "base": base.digest,
            "sequences": sequences,
            "adapter_config": self.regime.adapter_config.to_plain(),
            "training": self.regime.training(seed).to_plain(),
        }

    def _get(self, key: Mapping[str, object], make: Callable[[], Fit]) -> Fit:
        name = _digest(key)
        if name not in self._kept:
            self._kept[name] = self._load(name) or self._save(name, make())
        return self._kept[name]

    def _load(self, name: str) -> Fit | None:
        if self._folder is None or not (self._folder / name / "cost.json").is_file():
            return None
        cost = json.loads((self._folder / name / "cost.json").read_text())
        return Fit(Adapter.load(self._folder / name), Cost(**cost))

    def _save(self, name: str, fit: Fit) -> Fit:
        if self._folder is not None:
            with _whole(self._folder / name) as partial:
                fit.adapter.save(partial)
                (partial / "cost.json").write_text(json.dumps(asdict(fit.cost)))
        return fit


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that gets its final name when it is complete, unless another process was faster."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, suffix=".partial"))
    try:
        yield partial
        with suppress(OSError):
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if not folder.is_dir():
        raise OSError(f"{folder} could not be written")


def _digest(key: Mapping[str, object]) -> str:
    return sha256_hex(canonical_json(key))[:24]
