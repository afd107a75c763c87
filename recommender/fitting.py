"""What is trained with the loop: a base on a public panel, an adapter on the service's users."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import LlamaForCausalLM

from recommender.adapter_config import AdapterConfig
from recommender.adapters import Adapter, trainable
from recommender.base import Base, BaseConfig, new_model
from recommender.catalogue import Catalogue
from recommender.prompts import PromptStyle
from recommender.ranking import ranks
from recommender.scoring import Scorer
from recommender.training import OnStep, ShouldStop, TrainingConfig, train

# A panel is small and public: the base may learn it to the end, and there is nothing to validate it on.
BASE_TRAINING = TrainingConfig(epochs=40, patience=None)

HeldOut = tuple[Sequence[int], int]


def build_base(
    catalogue: Catalogue,
    panel_sequences: Sequence[Sequence[int]],
    config: BaseConfig = BaseConfig(),  # noqa: B008  # frozen
    training: TrainingConfig = BASE_TRAINING,
    *,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> LlamaForCausalLM:
    """Train a fresh item-token Llama on a panel of users that the service does not serve.

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
    """Fit a LoRA adapter on `sequences` (item indices in time order, one per user); `base` stays as it is.

    With `validation` (history, held-out item) the epoch with the best Recall@10 on it is kept and the training
    stops after `training.patience` epochs without a better one; with a patience of None the last epoch is kept.

    Raises:
        AdapterMismatch: the base has none of the target modules.
        DataError: no sequence holds an item.
        Interrupted: `should_stop` answered yes.
    """
    with _seeded(training.seed, base.model.device):
        model = trainable(base, config.to_peft())
        watched = validation if training.patience is not None else None
        validate = None if not watched else lambda tuned: _recall_at_10(tuned, base.style, watched)
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
    """Seed the global generators that initialisation and dropout draw from; put them back afterwards."""
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield


def _recall_at_10(model: nn.Module, style: PromptStyle, held_out: Sequence[HeldOut]) -> float:
    scores = Scorer(model, style).scores([history for history, _ in held_out])
    targets = torch.tensor([item for _, item in held_out])
    return float((ranks(scores, targets) <= 10).float().mean())
