"""Tiny models that PEFT itself has trained and saved, and what their owner sees when they load them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from recommender import Adapter, Base, Catalogue, ItemTokenStyle, attach, load_base

ITEMS, GROWN, WIDTH = 22, 30, 16
TOKENS = torch.arange(24).reshape(3, 8)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    transformers_logging.disable_progress_bar()
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    yield
    transformers_logging.set_verbosity(before)


@pytest.fixture(autouse=True)
def _pefts_own_warnings() -> Iterator[None]:
    """PEFT warns about what these folders are: tied layers, saved embeddings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Owner:
    """The operator's base folder, adapter folder and the logits [3, 8, tokens] of the model that they trained."""

    base: Path
    adapter: Path
    logits: Tensor


def make_base(folder: Path, *, tied: bool = False, seed: int = 0, dtype: torch.dtype = torch.float32) -> Path:
    config = LlamaConfig(
        vocab_size=2 + ITEMS,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
        tie_word_embeddings=tied,
        use_cache=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0.0, 0.3)
    model.to(dtype).save_pretrained(folder)
    names = tuple(f"i{item}" for item in range(ITEMS))
    Catalogue(names, names).save(folder / "catalogue.json")
    return folder


def own_model(base: Path, *, grow: bool = False) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    if grow:
        model.resize_token_embeddings(GROWN)
    return model


def train(tuned: PeftModel, *, steps: int = 8) -> None:
    parameters = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.0)
    size = tuned.get_base_model().config.vocab_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        for _ in range(steps):
            # Some tokens are never seen, so that some rows stay as they were.
            tokens = torch.randint(4, size, (4, 6))
            tuned(input_ids=tokens, labels=tokens).loss.backward()
            optimiser.step()
            optimiser.zero_grad()


def tune(model: PreTrainedModel, folder: Path, **options: Any) -> PeftModel:
    # PEFT saves the layers of a vocabulary that has grown since the folder of this name.
    lora = {
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "v_proj"],
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.name_or_path,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        tuned = PeftModel(model, LoraConfig(**{**lora, **options}))
    train(tuned)
    tuned.save_pretrained(folder)
    return tuned.eval()


def logits(model: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=TOKENS, use_cache=False).logits
    return found


@pytest.fixture
def owner(tmp_path: Path) -> Callable[..., Owner]:
    """Make an operator's folders; the logits are those of PEFT with the saved folder, loaded anew."""

    def made(*, tied: bool = False, grow: bool = False, **options: Any) -> Owner:
        base = make_base(tmp_path / "theirs", tied=tied)
        tuned = tune(own_model(base, grow=grow), tmp_path / "adapter", **options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(99)
            again = PeftModel.from_pretrained(own_model(base, grow=grow), tmp_path / "adapter").eval()
        torch.testing.assert_close(logits(again), logits(tuned), atol=1e-5, rtol=0)
        return Owner(base, tmp_path / "adapter", logits(again))

    return made


def brought(out: Path) -> tuple[Base, Adapter]:
    return load_base(out / "base"), Adapter.load(out / "adapter")


def imported_logits(out: Path) -> Tensor:
    base, adapter = brought(out)
    assert isinstance(base.style, ItemTokenStyle)
    return logits(attach(base, adapter))
