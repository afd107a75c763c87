"""LLM-Eraser (not LLMEraser): prune units that matter to the subjects and little to retained users, then recover."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, get_args

import torch
from torch import Tensor

from recommender import Adapter, Base
from recommender.choices import Batch
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.methods.compared.prune_and_recover.units import PruningUnit, Units
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import (
    ChoiceModel,
    DescentConfig,
    descend,
    forget_windows,
    of_loss,
    retain_windows,
)
from unlearning.methods.shared.gradients import predicted_items, summed_gradient
from unlearning.methods.shared.windows import Windows
from unlearning.progress import OnStep, Progress, ShouldStop, check_stop

KEPT_PREFIX = "kept."
_PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True)
class PruneAndRecoverConfig(DescentConfig):
    """What is pruned and how the rest recovers; the optimiser's fields are those of the recovery.

    Attributes:
        unit: what is pruned: a rank channel (column of B and row of A) or a single weight.
        contrast: c of the score I_keep - c I_unwanted.
        calibration_windows: least number of random windows on each side that the importance is estimated on.
        pool_ratio: share of the units, lowest score first, that form the pool for which soft masks are trained.
        prune_ratio: share of all units that is removed: the units of the pool with the smallest masks or, with
            `mask_steps` 0, those with the lowest scores, as the released code does.
        mask_steps: steps on the masks' logits, at least 0.
        mask_lr: Adam's learning rate for these.
        mask_l1: weight of the sum of the masks.
        mask_start: the initial logit of all masks.
        recovery_forget_weight: weight of gradient ascent on the subjects during the recovery, at least 0.

    Raises:
        InvalidMethodConfig: a value out of its choices or range.
    """

    lr: float = 1e-4
    unit: PruningUnit = "rank_channel"
    contrast: float = 0.2
    calibration_windows: int = 64
    pool_ratio: float = 0.2
    prune_ratio: float = 0.1
    mask_steps: int = 10
    mask_lr: float = 1e-2
    mask_l1: float = 1e-4
    mask_start: float = 2.0
    recovery_forget_weight: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit not in get_args(PruningUnit):
            raise InvalidMethodConfig(f"unit is {self.unit!r}; choose one of rank_channel, weight")
        if not 0 < self.prune_ratio <= self.pool_ratio <= 1:
            raise InvalidMethodConfig(f"0 < prune_ratio <= pool_ratio <= 1 must hold: {self}")
        if self.calibration_windows < 1 or self.mask_steps < 0 or not self.mask_lr > 0:
            raise InvalidMethodConfig(
                f"calibration_windows must be at least 1, mask_steps at least 0, mask_lr positive: {self}"
            )
        # One by one, so that a NaN is refused: the result of `min` with a NaN depends on the order.
        if not all(weight >= 0 for weight in (self.contrast, self.mask_l1, self.recovery_forget_weight)):
            raise InvalidMethodConfig(
                f"contrast, mask_l1 and recovery_forget_weight must be at least 0: {self}"
            )
        if not math.isfinite(self.mask_start):
            raise InvalidMethodConfig(f"mask_start must be a finite number, not {self.mask_start}")


@dataclass(frozen=True)
class PruneAndRecover:
    """Score units by first-order Taylor importance, choose with soft masks, prune, then train with pruned units at 0.

    The paper prunes heads and channels of the backbone, which would change the base for everybody; here the units are
    the adapter's. Importances of different modules are compared directly, since all estimate a change of one loss.

    The artefacts hold the kept units (bool), as `kept.<module path>` [r] or, for single weights, `kept.<tensor name>`.

    Measured (docs/benchmarks): it loses to the uniform shrink in `interactions-25`.
    """

    config: PruneAndRecoverConfig = field(default_factory=PruneAndRecoverConfig)
    name: ClassVar[str] = "llm_eraser"
    card: ClassVar[MethodCard] = MethodCard(
        title="LLM-Eraser",
        paper="doi 10.1145/3690624.3709312",
        cost_class="gradient",
        published_defaults="c 0.2, ratio 0.1, 10 calibration examples, recovery with weight 0.01 on the unwanted, "
        "lr 1e-4, 2 epochs (released code, backbone pruning)",
        reconstruction="units of the adapter instead of the backbone; a pool by score, masks within it",
    )

    def cannot_edit(self, base: Base, adapter: Adapter) -> str | None:
        """See `Units`: rank channels are those of adapted linear layers."""
        try:
            Units(self.config.unit, adapter)
        except InvalidTask as error:
            return str(error)
        return None

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Prune and recover.

        Raises:
            InvalidTask: rank channels are to be pruned, but the adapter adapts more than linear layers.
            Interrupted: `should_stop` answered yes.
        """
        watch = Stopwatch()
        locator = _Locator(task, self.config, on_step, should_stop)
        units, kept = locator.units, locator.kept()
        factors = units.pruning(kept)
        pruned = task.adapter.replace(
            {name: tensor * factors[name].to(tensor) for name, tensor in task.adapter.tensors.items()}
        )
        recovered = descend(
            task,
            self.config,
            _Recovery(self.config.recovery_forget_weight, factors),
            student=ChoiceModel(task.base, pruned, trainable=True),
            on_step=on_step,
            should_stop=should_stop,
        )
        passes, model = recovered.cost, locator.model
        backwards = passes.backwards + model.backwards
        return replace(
            recovered,
            artefacts={
                KEPT_PREFIX + name.removeprefix(_PEFT_PREFIX): keep.bool().cpu().clone()
                for name, keep in units.by_name(kept).items()
            },
            cost=Cost(watch.seconds, passes.forwards + model.forwards, backwards, backwards),
        )


class _Locator:
    """Finds the units to prune, on its own copy of the parent."""

    def __init__(
        self,
        task: ForgetTask,
        config: PruneAndRecoverConfig,
        on_step: OnStep | None,
        should_stop: ShouldStop | None,
    ) -> None:
        self.units = Units(config.unit, task.adapter)
        self.model = ChoiceModel(task.base, task.adapter, trainable=True)
        self._config = config
        self._forget, self._retain = forget_windows(task, config), retain_windows(task, config)
        self._weights = {name: value.detach().clone() for name, value in self.model.parameters.items()}
        self._on_step, self._should_stop = on_step, should_stop
        self._done = 0

    def kept(self) -> Tensor:
        """[units], 0 where a unit is pruned and 1 elsewhere."""
        score = self._importance(self._retain) - self._config.contrast * self._importance(self._forget)
        # Stable sorts: equal masks keep the order of the scores, equal scores the order of the adapter.
        pool = score.argsort(stable=True)[: _share(self._config.pool_ratio, len(score))]
        smallest = self._masks(pool).argsort(stable=True)[: _share(self._config.prune_ratio, len(score))]
        kept = torch.ones_like(score)
        kept[pool[smallest]] = 0.0
        return kept

    def _importance(self, windows: Windows) -> Tensor:
        """Sum of |w dL/dw| over each unit, [units]; L is the mean negative log-likelihood per item."""
        batches = windows.sample(self._config.calibration_windows)
        gradients = summed_gradient(self.model, batches, should_stop=self._should_stop)
        items = predicted_items(batches)
        self._note()
        return self.units.totals(
            {name: (self._weights[name] * gradient / items).abs() for name, gradient in gradients.items()}
        )

    def _masks(self, pool: Tensor) -> Tensor:
        """The trained mask of each unit in the pool: sigmoid of logits that minimise L_keep - L_unwanted + L1.

        Only masks in the pool are below 1. By the chain rule, a mask's gradient is the sum over its unit of the masked
        weights' gradients times the weights.
        """
        config, parameters = self._config, self.model.parameters
        logits = torch.nn.Parameter(torch.full(pool.shape, config.mask_start, device=pool.device))
        optimiser = torch.optim.Adam([logits], lr=config.mask_lr)
        for _ in range(config.mask_steps):
            check_stop(self._should_stop)
            masks = torch.sigmoid(logits.detach())
            factors = self.units.scaling(
                torch.ones(len(self.units), device=pool.device).index_copy(0, pool, masks)
            )
            with torch.no_grad():
                for name, factor in factors.items():
                    parameters[name].copy_(self._weights[name] * factor)
            loss = self._difference()
            slopes = torch.autograd.grad(loss, [parameters[name] for name in factors])
            per_unit = self.units.totals(
                {name: slope * self._weights[name] for name, slope in zip(factors, slopes, strict=True)}
            )
            logits.grad = (per_unit[pool] + config.mask_l1) * masks * (1.0 - masks)
            optimiser.step()
            self._note(float(loss.detach()))
        return torch.sigmoid(logits.detach())

    def _difference(self) -> Tensor:
        retain, forget = self._retain.draw(), self._forget.draw()
        return _contrast(self.model, forget, retain, 1.0)

    def _note(self, loss: float | None = None) -> None:
        self._done += 1
        if self._on_step is not None:
            self._on_step(Progress("importance", self._done, self._config.mask_steps + 2, loss))


class _Recovery:
    """The gradient of L_keep - weight * L_unwanted, with 0 for pruned weights, so that they stay at 0."""

    def __init__(self, weight: float, factors: dict[str, Tensor]) -> None:
        self._gradient = of_loss(lambda student, forget, retain: _contrast(student, forget, retain, weight))
        self._factors = factors

    def __call__(self, student: ChoiceModel, forget: Batch, retain: Batch) -> float:
        loss = self._gradient(student, forget, retain)
        for name, parameter in student.parameters.items():
            if parameter.grad is not None:
                parameter.grad *= self._factors[name]
        return loss


def _contrast(model: ChoiceModel, forget: Batch, retain: Batch, weight: float) -> Tensor:
    """Mean loss on retained users plus `weight` times gradient ascent on subjects, which a `weight` of 0 skips."""
    kept = model.logits(retain)
    loss = losses.cross_entropy(kept, retain.targets.to(kept.device))
    if weight == 0:
        return loss
    unwanted = model.logits(forget)
    return loss + weight * losses.gradient_ascent(unwanted, forget.targets.to(unwanted.device))


def _share(ratio: float, units: int) -> int:
    return max(1, round(ratio * units))
