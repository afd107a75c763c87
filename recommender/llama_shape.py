"""The shape of a small Llama of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import LlamaConfig

from recommender.errors import ConfigError
from recommender.styles.style import PromptStyle


@dataclass(frozen=True)
class LlamaShape:
    """Layers, their width, and the heads and feed-forward width of each.

    Raises:
        ConfigError: a size is not positive, or `width` is not a multiple of `2 * heads`.
    """

    layers: int = 2
    width: int = 64
    heads: int = 2
    feed_forward: int = 256

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            if size < 1:
                raise ConfigError(f"{name} must be at least 1, got {size}")
        # Rotary embeddings rotate pairs of channels, so each head needs an even width.
        if self.width % (2 * self.heads):
            raise ConfigError(f"width {self.width} must be a multiple of 2 x heads ({2 * self.heads})")

    def llama(self, style: PromptStyle, positions: int, **others: Any) -> LlamaConfig:
        """Of a model with this style's tokens that reads up to `positions` of them."""
        return LlamaConfig(
            vocab_size=style.vocab_size,
            hidden_size=self.width,
            intermediate_size=self.feed_forward,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            max_position_embeddings=positions,
            pad_token_id=style.pad_token,
            tie_word_embeddings=False,
            use_cache=False,
            **others,
        )
