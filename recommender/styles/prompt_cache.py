"""Many continuations of the same prompts: the prompts are read once, and tree nodes attend to them and their ancestors.

All nodes share one cache of keys and values: copied for every node, that of 200 prompt tokens would take 52 GB for the
2,295 inner nodes of a catalogue of 3,686 items at 1.7 billion parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from recommender.batching import pad_left
from recommender.errors import ConfigError

_ATTENTIONS = ("sdpa", "eager")
_LAYERS = ("full_attention", "sliding_attention")


class PromptCache:
    """Prompts that were read by a causal language model, and nodes of a tree that continue every one of them.

    Args:
        model: on one device, in eval mode.
        prompts: tokens of each prompt, at least one.
        longest: most tokens of a path that will be fed.

    Raises:
        ConfigError: the model's attention takes no mask of ours, or a window of it is shorter than prompt and path.
    """

    def __init__(self, model: nn.Module, prompts: Sequence[Sequence[int]], pad: int, *, longest: int) -> None:
        tokens, mask = pad_left(prompts, pad)
        check_attention(model, tokens.shape[1] + longest)
        self._model: Any = model
        self._device = next(model.parameters()).device
        self._dtype = next(model.parameters()).dtype
        self._prompt = mask.to(self._device)
        self._cache = DynamicCache()
        self.forwards, self.nodes = 1, 0
        # With padding on the left, the last column holds every prompt's last token; only that column needs logits.
        self.last: Tensor = model(
            input_ids=tokens.to(self._device),
            attention_mask=self._prompt,
            position_ids=(self._prompt.cumsum(-1) - 1).clamp(min=0),
            past_key_values=self._cache,
            logits_to_keep=1,
            use_cache=True,
        ).logits[:, -1]
        self._lengths = self._prompt.sum(-1, keepdim=True)

    @property
    def rows(self) -> int:
        """Number of prompts."""
        return len(self._prompt)

    @property
    def kept(self) -> int:
        """Number of nodes in the cache."""
        return self._cache.get_seq_length() - self._prompt.shape[1]

    def feed(
        self,
        tokens: Tensor,
        depths: Tensor,
        ancestors: Tensor,
        *,
        together: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """Logits [rows, nodes, vocabulary] after nodes that continue every prompt; the nodes stay in the cache.

        Args:
            tokens, depths: int64 [nodes]; a node of depth 1 follows the prompt directly.
            ancestors: bool [nodes, kept], which nodes of the cache each node descends from.
            together: bool [nodes, nodes], which of these very nodes each descends from, itself included; None where
                none descends from another.
            wanted: int64 [wanted], the nodes that logits are needed of, ascending; None for all.
        """
        count = len(tokens)
        self.forwards += 1
        self.nodes += count
        if together is None:
            together = torch.eye(count, dtype=torch.bool)
        own = torch.cat([ancestors, together], dim=1).to(self._device)
        seen = torch.cat(
            [
                self._prompt.bool().unsqueeze(1).expand(-1, count, -1),
                own.unsqueeze(0).expand(self.rows, -1, -1),
            ],
            dim=2,
        )
        logits: Tensor = self._model(
            input_ids=tokens.to(self._device).unsqueeze(0).expand(self.rows, -1),
            attention_mask=self._for_attention(seen.unsqueeze(1)),
            position_ids=self._lengths + depths.to(self._device) - 1,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=0 if wanted is None else wanted.to(self._device),
        ).logits
        return logits

    def drop(self, count: int) -> None:
        """Take the last `count` nodes out of the cache."""
        # Negative: the number of tokens to remove. A new length, as earlier releases of transformers took, is refused.
        self._cache.crop(-count)

    def _for_attention(self, seen: Tensor) -> Tensor:
        if _attention(self._model) == "sdpa":
            return seen
        # Eager attention adds its mask to the scores.
        low = torch.finfo(self._dtype).min
        return torch.zeros(seen.shape, dtype=self._dtype, device=self._device).masked_fill(~seen, low)


def check_attention(model: nn.Module, longest: int) -> None:
    """Refuse a model that cannot attend as a tree needs it, with sequences of up to `longest` tokens.

    Raises:
        ConfigError: it can not.
    """
    config: Any = model.config
    if _attention(model) not in _ATTENTIONS:
        raise ConfigError(
            f"branches of a prompt need a model with {' or '.join(_ATTENTIONS)} attention, not {_attention(model)!r}"
        )
    other = sorted(set(getattr(config, "layer_types", None) or ()) - set(_LAYERS))
    if other:
        raise ConfigError(
            f"branches of a prompt need attention in every layer, but the model has {', '.join(other)}"
        )
    window = getattr(config, "sliding_window", None)
    if window is not None and getattr(config, "use_sliding_window", True) and longest > window:
        raise ConfigError(
            f"the model's attention reaches {window} tokens back, but prompt and item take {longest}: lower max_tokens"
        )


def _attention(model: Any) -> str:
    return str(model.config._attn_implementation)  # noqa: SLF001  # transformers offers no other way to ask
