"""The training loop of bases and adapters: cross-entropy of the choices, or of the language that the owner trained."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from transformers.optimization import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from recommender.choices import IGNORED, Batch, Window, batch_of, choice_logits
from recommender.errors import ConfigError, DataError, Interrupted
from recommender.styles.style import PromptStyle

# Batches are drawn from pools of this many batches, sorted by length: little padding, and new batches in each epoch.
_BATCHES_PER_POOL = 8
_BETAS = (0.9, 0.999)
_KEEPS = ("least_loss", "best_recall")
_SCHEDULES = ("one_cycle", "constant", "linear", "cosine")


@dataclass(frozen=True)
class TrainingConfig:
    """How a base or an adapter is trained.

    Args:
        epochs: passes over the sequences.
        lr: peak learning rate of AdamW.
        batch_size: windows (at most `window + 1` items each) per step.
        schedule: `one_cycle` (Smith and Topin, 2018), or as in transformers' trainer: `constant` stays at the peak
            after the warm-up; `linear` and `cosine` fall from it to zero.
        weight_decay: AdamW's decoupled decay.
        max_grad_norm: gradients are clipped to this Euclidean norm.
        patience: epochs without a better validation result before training stops; None trains all epochs.
        seed: seed of the initial weights, the order of batches and dropout.
        warmup_ratio: share of the steps in which the rate grows from zero; `one_cycle` has a warm-up of its own.
        betas: AdamW's two decay rates; `one_cycle` changes the first one itself.
        keeps: with a patience, which epoch is kept: the one with the `least_loss` on held-out items, or the one with
            the `best_recall` at 10. Earlier releases, which did not store this field, used `best_recall`.

    Raises:
        ConfigError: a value out of range.
    """

    epochs: int = 18
    lr: float = 3e-3
    batch_size: int = 16
    schedule: Literal["one_cycle", "constant", "linear", "cosine"] = "one_cycle"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    patience: int | None = 10
    seed: int = 0
    warmup_ratio: float = 0.0
    betas: tuple[float, float] = _BETAS
    keeps: Literal["least_loss", "best_recall"] = "least_loss"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or (self.patience is not None and self.patience < 1):
            raise ConfigError(f"epochs, batch_size and patience must be at least 1: {self}")
        if not (0 < self.lr < math.inf and self.max_grad_norm > 0 and 0 <= self.weight_decay < math.inf):
            raise ConfigError(f"lr and max_grad_norm must be positive, weight_decay not negative: {self}")
        if self.keeps not in _KEEPS:
            raise ConfigError(f"keeps must be one of {', '.join(_KEEPS)}, got {self.keeps!r}")
        if self.schedule not in _SCHEDULES:
            raise ConfigError(f"schedule must be one of {', '.join(_SCHEDULES)}, got {self.schedule!r}")
        if not (0 <= self.warmup_ratio < 1 and len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas)):
            raise ConfigError(f"warmup_ratio and both betas must be in [0, 1): {self}")
        if self.schedule == "one_cycle" and (self.warmup_ratio, self.betas) != (0.0, _BETAS):
            raise ConfigError("one_cycle has a warm-up and a first beta of its own; choose another schedule")

    def to_plain(self) -> dict[str, Any]:
        """The JSON form. Fields that the first release lacked are left out if their value is its behaviour."""
        plain = {**asdict(self), "betas": list(self.betas)}
        keeps = "best_recall" if self.patience is not None else self.keeps
        later: dict[str, Any] = {"warmup_ratio": 0.0, "betas": list(_BETAS), "keeps": keeps}
        return {name: value for name, value in plain.items() if name not in later or later[name] != value}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "TrainingConfig":
        """Read the output of `to_plain`, of this release or an earlier one, which kept another epoch by default.

        Raises:
            ConfigError: a value out of range.
        """
        fields = dict(plain)
        if fields.get("patience", cls.patience) is not None:
            fields.setdefault("keeps", "best_recall")
        if "betas" in fields:
            fields["betas"] = tuple(fields["betas"])
        return cls(**fields)


@dataclass(frozen=True)
class StepReport:
    """Progress of a training: `step` of `steps` (from 1), the batch's mean NLL, the last validation value."""

    step: int
    steps: int
    epoch: int
    loss: float
    validation: float | None


OnStep = Callable[[StepReport], None]
ShouldStop = Callable[[], bool]


def train(
    model: nn.Module,
    style: PromptStyle,
    sequences: Sequence[Sequence[int]],
    config: TrainingConfig,
    *,
    validate: Callable[[nn.Module], float] | None = None,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Train the parameters of `model` that require gradients, in place, and leave it in eval mode.

    `validate` (higher is better) is called after each epoch in eval mode, and the weights of the best epoch are kept.
    The caller seeds torch. On a CPU, the result is then repeatable bit for bit with the same number of threads.

    Raises:
        DataError: no sequence holds an item.
        Interrupted: `should_stop` answered yes.
    """
    windows = _windows(style, sequences, epoch=1)
    if not windows:
        raise DataError("nothing to train on: no sequence holds an item")
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
    )
    steps = config.epochs * -(-len(windows) // config.batch_size)
    schedule = _schedule(optimiser, config, steps)
    shuffle = torch.Generator().manual_seed(config.seed)
    keeper = _BestWeights(parameters)
    step, validation = 0, None

    for epoch in range(1, config.epochs + 1):
        model.train()
        if epoch > 1 and style.redraws:
            windows = _windows(style, sequences, epoch)
        for batch in _batches([len(window.tokens) for window in windows], config.batch_size, shuffle):
            if should_stop is not None and should_stop():
                raise Interrupted(f"training stopped at step {step} of {steps}")
            loss = training_loss(model, [windows[index] for index in batch], style.pad_token)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad(set_to_none=True)
            step += 1
            if on_step is not None:
                on_step(StepReport(step, steps, epoch, loss.item(), validation))
        if validate is not None:
            model.eval()
            validation = validate(model)
            keeper.offer(validation, epoch)
            if config.patience is not None and epoch - keeper.epoch >= config.patience:
                break
    keeper.restore()
    model.eval()


def training_loss(model: nn.Module, windows: Sequence[Window], pad: int) -> Tensor:
    """The mean loss that the owner of a style minimises on these windows.

    That is the cross-entropy of the choices; or, where windows name `language` positions, that of the next token there,
    over the whole vocabulary.
    """
    batch = batch_of(windows, pad)
    if windows[0].language:
        return _language_loss(model, batch, windows)
    logits = choice_logits(model, batch)
    return nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.targets.to(logits.device).flatten(), ignore_index=IGNORED
    )


def _language_loss(model: nn.Module, batch: Batch, windows: Sequence[Window]) -> Tensor:
    device = next(model.parameters()).device
    tokens = batch.tokens.to(device)
    rows = torch.tensor([row for row, window in enumerate(windows) for _ in window.language], device=device)
    positions = torch.tensor([place for window in windows for place in window.language], device=device)
    kept, column = torch.unique(positions, return_inverse=True)
    logits = model(input_ids=tokens, use_cache=False, logits_to_keep=kept).logits[rows, column]
    return nn.functional.cross_entropy(logits.float(), tokens[rows, positions + 1])


def _windows(style: PromptStyle, sequences: Sequence[Sequence[int]], epoch: int) -> list[Window]:
    return [window for sequence in sequences for window in style.windows(sequence, draw=epoch)]


class _BestWeights:
    """Keeps the weights of the epoch with the best validation value; the earliest wins a tie."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.epoch = 0
        self._parameters = parameters
        self._value = float("-inf")
        self._weights: list[Tensor] = []

    def offer(self, value: float, epoch: int) -> None:
        if value > self._value:
            self._value, self.epoch = value, epoch
            self._weights = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def restore(self) -> None:
        for parameter, weight in zip(self._parameters, self._weights, strict=False):
            parameter.copy_(weight)


def _schedule(optimiser: torch.optim.Optimizer, config: TrainingConfig, steps: int) -> LRScheduler:
    if config.schedule == "one_cycle":
        # One step more than are taken: the cycle's last step has a rate of zero and would be wasted.
        return OneCycleLR(optimiser, max_lr=config.lr, total_steps=steps + 1)
    warmup = math.ceil(steps * config.warmup_ratio)
    falling: LRScheduler = {
        "constant": lambda: get_constant_schedule_with_warmup(optimiser, warmup),
        "linear": lambda: get_linear_schedule_with_warmup(optimiser, warmup, steps),  # type: ignore[no-untyped-call]
        "cosine": lambda: get_cosine_schedule_with_warmup(optimiser, warmup, steps),
    }[config.schedule]()
    return falling


def _batches(lengths: Sequence[int], batch_size: int, generator: torch.Generator) -> list[list[int]]:
    """A random partition of the indices into batches whose members have similar lengths."""
    order = torch.randperm(len(lengths), generator=generator).tolist()
    pool_size = batch_size * _BATCHES_PER_POOL
    batches = []
    for pool_start in range(0, len(order), pool_size):
        pool = sorted(order[pool_start : pool_start + pool_size], key=lambda index: lengths[index])
        batches += [pool[start : start + batch_size] for start in range(0, len(pool), batch_size)]
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]
