"""Training of a base on a public panel and of an adapter on the service's users."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from recommender.adapter_config import AdapterConfig
from recommender.adapters import Adapter, trainable
from recommender.base import Base, BaseConfig, new_model
from recommender.catalogue import Catalogue
from recommender.scoring import Scorer
from recommender.styles.style import PromptStyle
from recommender.training import OnStep, ShouldStop, TrainingConfig, train

# A panel is small and public: the base may overfit it, and there are no users to validate on.
BASE_TRAINING = TrainingConfig(epochs=40, patience=None)

HeldOut = tuple[Sequence[int], int]

# Share of the uniform distribution that is mixed in before the loss of a held-out item is computed. It bounds the loss
# of very surprising items, so that a few of them do not decide for everybody.
_SMOOTHING = 0.2


def build_base(
    catalogue: Catalogue,
    panel_sequences: Sequence[Sequence[int]],
    config: BaseConfig = BaseConfig(),  # noqa: B008  # frozen
    training: TrainingConfig = BASE_TRAINING,
    *,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> LlamaForCausalLM:
    """Train a new item-token Llama on a panel of users whom the service does not serve.

    Raises:
        DataError: no sequence holds an item.
        Interrupted: `should_stop` answered yes.
    """
    with _seeded(training.seed):
        model = new_model(catalogue, config)
        train(
            model,
            config.style(catalogue),
            panel_sequences,
            training,
            on_step=on_step,
            should_stop=should_stop,
        )
    return model


def fit_adapter(
    base: Base,
    sequences: Sequence[Sequence[int]],
    config: AdapterConfig = AdapterConfig(),  # noqa: B008  # frozen
    training: TrainingConfig = TrainingConfig(),  # noqa: B008  # frozen
    *,
    validation: Sequence[HeldOut] | None = None,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> Adapter:
    """Fit a LoRA adapter on `sequences` (item indices in time order, one per user); `base` is not changed.

    With `validation` pairs (history, held-out item), the best epoch by `training.keeps` is kept, and training stops
    after `training.patience` epochs without a better one. With a patience of None the last epoch is kept. The default
    is the loss, smoothed as in the gate, because every user has one while few have a hit at 10: chosen by Recall@10,
    the epoch, and with it how much the adapter remembers and how well it serves, depends on the seed
    (`docs/adr/0015`).

    Raises:
        AdapterMismatch: the base has none of the target modules.
        DataError: no sequence holds an item.
        Interrupted: `should_stop` answered yes.
    """
    with _seeded(training.seed, base.model.device):
        model = trainable(base, config.to_peft(), config.rows)
        watched = validation if training.patience is not None else None
        # Where events have labels, nothing is ranked.
        by_loss = training.keeps == "least_loss" or base.style.ranked_by == "labels"
        judge = _likelihood if by_loss else _recall_at_10
        validate = None if not watched else lambda tuned: judge(tuned, base.style, watched)
        train(
            model,
            base.style,
            sequences,
            training,
            validate=validate,
            on_step=on_step,
            should_stop=should_stop,
        )
    return Adapter.from_peft(model)


@contextmanager
def _seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the global generators that initialisation and dropout use; restore their states afterwards."""
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield


def _likelihood(model: nn.Module, style: PromptStyle, held_out: Sequence[HeldOut]) -> float:
    scorer = Scorer(model, style)
    if style.ranked_by != "items":
        losses = scorer.item_nll([[*history, item] for history, item in held_out])
        nll = torch.stack([own[-1] for own in losses if len(own)]).double()
        return -float(_smoothed(nll, style.event_options).mean())
    log_probs = scorer.item_log_probs([history for history, _ in held_out])
    targets = torch.tensor([item for _, item in held_out])
    chosen = log_probs.double().gather(1, targets.unsqueeze(1))
    return -float(_smoothed(-chosen, style.event_options).mean())


def _smoothed(nll: Tensor, options: int) -> Tensor:
    uniform = nll.new_tensor(_SMOOTHING / options).log()
    return -torch.logaddexp(math.log1p(-_SMOOTHING) - nll, uniform)


def _recall_at_10(model: nn.Module, style: PromptStyle, held_out: Sequence[HeldOut]) -> float:
    found = Scorer(model, style).last_ranks([[*history, item] for history, item in held_out])
    return float((found <= 10).float().mean())
