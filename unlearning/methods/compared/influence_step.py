"""LLMEraser (not LLM-Eraser): remove the subjects' influence on the adapter by one Newton step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from recommender.choices import Batch
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.curvature import Curvature, CurvatureProduct, shaped_like
from unlearning.methods.shared.descent import RETAIN_SEED_OFFSET, ChoiceModel
from unlearning.methods.shared.linear_solvers import (
    Solution,
    conjugate_gradient,
    minimise_quadratic,
    relative_residual,
)
from unlearning.methods.shared.windows import Windows
from unlearning.progress import OnStep, Progress, ShouldStop

Solver = Literal["conjugate_gradient", "quadratic"]


@dataclass(frozen=True)
class InfluenceStepConfig:
    """How the influence is computed.

    Attributes:
        product: which H is used and how products with it are computed; see
            `unlearning.methods.shared.curvature.Curvature`. The paper uses the Hessian. On adapters it is far from
            positive definite, so the default is its Gauss-Newton part.
        solver: `conjugate_gradient` on one fixed sample, or the paper's `quadratic`: Adam on x H x / 2 - b x with
            another mini-batch in each iteration.
        damping: lambda, added to H's diagonal; at least 0.
        iterations: most products with H; the check of the residual needs one more.
        tolerance: relative residual at which conjugate gradients stop.
        solver_lr: Adam's learning rate on x, for `quadratic` only.
        retain_windows: number of random windows of retained users that H is estimated on, rounded up to whole batches.
        batch_size: most windows in a batch.
        difference_step: norm of the step in the adapter's weights, for `finite_difference` only.
        step_scale: factor on the change before it is added; 1 is the Newton step.

    Raises:
        InvalidMethodConfig: a value out of its choices or range.
    """

    product: CurvatureProduct = "gauss_newton"
    solver: Solver = "conjugate_gradient"
    damping: float = 0.1
    iterations: int = 20
    tolerance: float = 1e-3
    solver_lr: float = 1e-4
    retain_windows: int = 128
    batch_size: int = 16
    difference_step: float = 1e-2
    step_scale: float = 1.0

    def __post_init__(self) -> None:
        for name, choices in (("product", CurvatureProduct), ("solver", Solver)):
            if getattr(self, name) not in get_args(choices):
                raise InvalidMethodConfig(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(get_args(choices))}"
                )
        for name in ("iterations", "retain_windows", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidMethodConfig(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("solver_lr", "difference_step", "step_scale"):
            if not getattr(self, name) > 0:
                raise InvalidMethodConfig(f"{name} must be positive, not {getattr(self, name)}")
        if not (self.damping >= 0 and self.tolerance >= 0):
            raise InvalidMethodConfig(f"damping and tolerance must be at least 0: {self}")


@dataclass(frozen=True)
class InfluenceStep:
    """Add (1/n) (H + lambda)^-1 sum of the subjects' gradients to the adapter's weights.

    If the gradient over all users is 0 at the parent, the retained users' gradient is minus the subjects'. With n the
    number of retained items and H the Hessian of their mean loss, this is then the Newton step towards the retained
    users' optimum. (The paper divides by the number of all items: the same to first order.) The step raises the
    subjects' loss. The released demo repairs corrupted rows instead and uses the opposite sign.

    The loss is not convex. Where conjugate gradients meet negative curvature of H + lambda they stop, and the last
    iterate is used: there is no change if that happens at once, and a huge one if the curvature before was barely
    positive. The artefacts show this: `residual` ||(H + lambda) x - b|| / ||b||, `iterations` and `negative_curvature`
    (scalars). A residual near or above 1 means that the equation was not solved and the step is not the influence.
    """

    config: InfluenceStepConfig = field(default_factory=InfluenceStepConfig)
    name: ClassVar[str] = "llmeraser"
    card: ClassVar[MethodCard] = MethodCard(
        title="LLMEraser",
        paper="arXiv 2412.00383",
        cost_class="second_order",
        published_defaults="Adam on the quadratic, lr 1e-5, 20 iterations, one sample per Hessian-vector product, "
        "weight decay 1e-5 as damping (released demo)",
        reconstruction="Gauss-Newton products and conjugate gradients by default, from 0; damping; the sign of a "
        "deletion",
    )

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Solve the equation and add the change.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        watch = Stopwatch()
        model = ChoiceModel(task.base, task.adapter, trainable=True)
        curvature = Curvature(
            model, self.config.product, difference_step=self.config.difference_step, should_stop=should_stop
        )
        system = _System(task, self.config, curvature, on_step)
        solution = system.solve()
        residual = relative_residual(system.product, solution.x, system.b)
        change = shaped_like(self.config.step_scale * solution.x, list(model.parameters.values()))
        with torch.no_grad():
            for parameter, step in zip(model.parameters.values(), change, strict=True):
                parameter.add_(step)
        return Candidate(
            adapter=model.adapter(),
            artefacts={
                "residual": torch.tensor(residual),
                "iterations": torch.tensor(solution.iterations),
                "negative_curvature": torch.tensor(solution.negative_curvature),
            },
            cost=Cost(watch.seconds, model.forwards, model.backwards, model.backwards),
        )


class _System:
    """(H + lambda) x = b for one task."""

    def __init__(
        self, task: ForgetTask, config: InfluenceStepConfig, curvature: Curvature, on_step: OnStep | None
    ) -> None:
        self._config = config
        self._curvature = curvature
        self._on_step = on_step
        self._products = 0
        style, size = task.base.style, config.batch_size
        forget = Windows(style, task.forget, task.forget_targets, batch_size=size, seed=task.seed)
        self._retain = Windows(style, task.retain, batch_size=size, seed=task.seed + RETAIN_SEED_OFFSET)
        self._sample = self._retain.sample(config.retain_windows)
        self.b = curvature.gradient(list(forget.once())) / sum(map(len, task.retain))

    def solve(self) -> Solution:
        config = self._config
        if config.solver == "quadratic":
            return minimise_quadratic(
                self._noisy_product, self.b, iterations=config.iterations, lr=config.solver_lr
            )
        return conjugate_gradient(
            self.product, self.b, iterations=config.iterations, tolerance=config.tolerance
        )

    def product(self, vector: Tensor) -> Tensor:
        return self._damped(vector, self._sample)

    def _noisy_product(self, vector: Tensor) -> Tensor:
        return self._damped(vector, [self._retain.draw()])

    def _damped(self, vector: Tensor, batches: list[Batch]) -> Tensor:
        image = self._curvature.times(vector, batches) + self._config.damping * vector
        self._products += 1
        if self._on_step is not None:
            self._on_step(Progress("hessian", self._products, self._config.iterations + 1))
        return image
