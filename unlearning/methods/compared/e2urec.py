"""E2URec: learn from a forgetting teacher, made of what an adapter learns when it is trained on the subjects again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Unpack

from torch import Tensor
from torch.nn import functional

from recommender.choices import Batch
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, ForgetTask, Stopwatch
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel, DescentConfig, descend, of_loss
from unlearning.progress import OnStep, Progress, ShouldStop, Watched


@dataclass(frozen=True)
class E2urecConfig(DescentConfig):
    """Two trainings: first the augmented adapter's and then, with the teacher made from it, the student's.

    Attributes:
        steps: optimiser steps of the student, including the forget-only ones.
        lr: the student's learning rate, as published.
        augment_steps: steps on the subjects alone that turn the parent into the augmented adapter.
        augment_lr: learning rate of these; batch size and clipping are the student's.
        alpha: how far the teacher lowers a logit per unit by which the augmented adapter raises it; at least 0.
        w: weight of the retain terms in the joint phase, in [0, 1]; the forget term weighs 1 - w.
        forget_only_steps: steps on the forget term alone before the joint phase, at most `steps`.

    Raises:
        InvalidMethodConfig: a value out of range.
    """

    lr: float = 1e-3
    augment_steps: int = 10
    augment_lr: float = 1e-3
    alpha: float = 2.0
    w: float = 0.6
    forget_only_steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment_steps < 1 or not self.augment_lr > 0:
            raise InvalidMethodConfig(f"augment_steps must be at least 1 and augment_lr positive: {self}")
        if not self.alpha >= 0:
            raise InvalidMethodConfig(f"alpha must be at least 0, not {self.alpha}")
        if not 0 <= self.w <= 1:
            raise InvalidMethodConfig(f"w must lie in [0, 1], not {self.w}")
        if not 0 <= self.forget_only_steps <= self.steps:
            raise InvalidMethodConfig(f"forget_only_steps must lie between 0 and steps: {self}")

    @property
    def augmentation(self) -> DescentConfig:
        """The training of the augmented adapter."""
        return DescentConfig(
            steps=self.augment_steps,
            lr=self.augment_lr,
            batch_size=self.batch_size,
            max_grad_norm=self.max_grad_norm,
        )


@dataclass(frozen=True)
class E2urec:
    """Minimise L_FGT alone first, then w (L_pred + L_REM) + (1 - w) L_FGT.

    L_FGT is the cross-entropy from the forgetting teacher on the subjects, L_pred the training loss on the retained
    users, and L_REM the cross-entropy from the original model there. Original, augmented and student share one base.
    The augmented adapter knows the subjects better than the parent does. It exists during the run only and is in no
    artefact.

    Measured (docs/benchmarks): the nearest to re-fits for single users. It loses to the uniform shrink and to training
    on the retained users alone in `interactions-25`.
    """

    config: E2urecConfig = field(default_factory=E2urecConfig)
    name: ClassVar[str] = "e2urec"
    card: ClassVar[MethodCard] = MethodCard(
        title="E2URec",
        paper="arXiv 2403.03536; justarter/E2URec",
        cost_class="gradient",
        published_defaults=(
            "alpha 2, w 0.6; AdamW, lr 1e-3, batch 16, LoRA r 16; one epoch forget-only (about 811 steps), evaluated"
            " at step 1000; augmented: 1200 steps, lr 5e-5, all parameters; in the released code dropout (0.05 on LoRA,"
            " T5's own elsewhere) until the first evaluation, weight decay 0.01, no clipping"
        ),
        reconstruction=(
            "the student is the parent's own adapter, not a fresh one on a full model; augmented adapter instead of an"
            " augmented full model; lengths of all walks; softmax over items only and"
            " padding left out; one pass over the retained batch serves both retain terms; no dropout, no weight decay,"
            " gradients clipped to norm 1"
        ),
    )

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Train the augmented adapter for `augment_steps` steps, then the student for `steps` steps.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        watch = Stopwatch()
        total = self.config.augment_steps + self.config.steps
        augmentation = augment(task, self.config, on_step=_within(on_step, 0, total), should_stop=should_stop)
        original, augmented = (
            ChoiceModel(task.base, task.adapter),
            ChoiceModel(task.base, augmentation.adapter),
        )
        candidate = descend(
            task,
            self.config,
            _TwoPhases(self.config, original, augmented),
            references=(original, augmented),
            on_step=_within(on_step, self.config.augment_steps, total),
            should_stop=should_stop,
        )
        spent, before = candidate.cost, augmentation.cost
        cost = replace(
            spent,
            seconds=watch.seconds,
            forwards=spent.forwards + before.forwards,
            backwards=spent.backwards + before.backwards,
            samples=spent.samples + before.samples,
        )
        return replace(candidate, cost=cost)


def augment(task: ForgetTask, config: E2urecConfig, **watched: Unpack[Watched]) -> Candidate:
    """The augmented adapter: the parent trained further on the subjects alone. Never to be published.

    Raises:
        Interrupted: `should_stop` answered yes.
    """
    gradient = of_loss(
        lambda student, forget, _: losses.cross_entropy(student.logits(forget), forget.targets)
    )
    return descend(task, config.augmentation, gradient, **watched)


def forgetting_teacher(original: Tensor, augmented: Tensor, alpha: float) -> Tensor:
    """Logits t = o - alpha ReLU(a - o), all of one shape: logits that the augmented adapter raises are lowered.

    As in the released code, raw logits are compared, so a shift common to all items counts.
    """
    return original - alpha * functional.relu(augmented - original)


def joint_loss(forget: Tensor, remember: Tensor, predict: Tensor, w: float) -> Tensor:
    """L = w (L_pred + L_REM) + (1 - w) L_FGT of scalars, as in the released code; the paper's beta is 1 - w."""
    return w * (predict + remember) + (1 - w) * forget


class _TwoPhases:
    """The student's gradient; it counts the steps to know the phase."""

    def __init__(self, config: E2urecConfig, original: ChoiceModel, augmented: ChoiceModel) -> None:
        self._config = config
        self._original, self._augmented = original, augmented
        self._steps = 0

    def __call__(self, student: ChoiceModel, forget: Batch, retain: Batch) -> float:
        self._steps += 1
        joint = self._steps > self._config.forget_only_steps
        return of_loss(self._joint if joint else self._forget)(student, forget, retain)

    def _forget(self, student: ChoiceModel, forget: Batch, _: Batch) -> Tensor:
        teacher = forgetting_teacher(
            self._original.logits(forget), self._augmented.logits(forget), self._config.alpha
        )
        return losses.soft_cross_entropy(teacher, student.logits(forget), forget.targets)

    def _joint(self, student: ChoiceModel, forget: Batch, retain: Batch) -> Tensor:
        logits = student.logits(retain)
        return joint_loss(
            forget=self._forget(student, forget, retain),
            remember=losses.soft_cross_entropy(self._original.logits(retain), logits, retain.targets),
            predict=losses.cross_entropy(logits, retain.targets),
            w=self._config.w,
        )


def _within(on_step: OnStep | None, done: int, total: int) -> OnStep | None:
    """Report a training's steps as part of `total` steps, of which `done` came before it."""
    if on_step is None:
        return None
    return lambda progress: on_step(Progress(progress.stage, done + progress.step, total, progress.loss))
