"""Regimes of the other styles that train in a moment, on models of our own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.styles.bound_letters import BoundLettersRegime
from benchmarks.styles.regimes import LettersRegime, SemanticIdsRegime
from recommender import AdapterConfig, TrainingConfig
from recommender.text_base import TextBaseConfig, train_tokenizer

_TEXTS = [f"Taste {number} film {number}" for number in range(60)]


# A base of one layer that knows little, and an adapter on it.
TINY: dict[str, Any] = {
    "text_base": TextBaseConfig(layers=1, width=16, heads=2, feed_forward=24),
    "base_training": TrainingConfig(epochs=1, patience=None),
    "adapter_config": AdapterConfig(r=2, alpha=4, dropout=0.0),
    "adapter_training": TrainingConfig(epochs=2, lr=1e-2, patience=None),
}


@dataclass(frozen=True)
class OwnLettersRegime(LettersRegime):
    """Letters on a language model drawn at random, so that no test needs the package."""

    def require_language_model(self) -> None:
        """It is here."""

    def write_language_model(self, folder: Path) -> None:
        """A Llama as deep as the real one's first layers."""
        tokenizer = train_tokenizer([*_TEXTS, "Watched:\nNext:\nThe next one is =ABCDEFGHIJ"])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=16,
                    intermediate_size=24,
                    num_hidden_layers=self.layers,
                    num_attention_heads=2,
                    tie_word_embeddings=True,
                    pad_token_id=tokenizer.pad_token_id,
                )
            )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def letters() -> LettersRegime:
    return OwnLettersRegime(
        users=14,
        outsiders=3,
        events=6,
        retained=10,
        layers=3,
        training_draws=2,
        adapter_config=AdapterConfig(r=2, alpha=4, target_modules=("q_proj", "v_proj"), dropout=0.0),
        adapter_training=TrainingConfig(epochs=3, lr=1e-2, batch_size=8, patience=None),
    )


@pytest.fixture(scope="session")
def bound_letters() -> BoundLettersRegime:
    return BoundLettersRegime(
        users=14,
        outsiders=3,
        panel_users=4,
        events=6,
        retained=10,
        panel_events=10,
        text_base=TextBaseConfig(layers=2, width=24, heads=2, feed_forward=24),
        base_training=TrainingConfig(epochs=1, patience=None),
        adapter_config=AdapterConfig(r=2, alpha=4, dropout=0.0),
        adapter_training=TrainingConfig(epochs=2, lr=1e-2, patience=None),
    )


@pytest.fixture(scope="session")
def semantic_ids() -> SemanticIdsRegime:
    return SemanticIdsRegime(users=14, outsiders=3, panel_users=4, events=6, retained=10, **TINY)
