"""The layers below an adapter, computed once for each prompt and kept on disk.

An adapter on the last layers of a deep model does not change the layers below. A study reads the same prompts under
dozens of adapters and over several epochs, so it would repeat most of its computation.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, apply_rotary_pos_emb

# A prompt of letters needs the output at its last two tokens only: the answer, which is one token, and the one before.
_ASKED = 2


class FrozenLayers(nn.Module):
    """Replaces the embedding of a Llama: it maps token ids to the hidden states above the frozen layers.

    Every row is computed alone and without padding, so that a prompt has the same bits in every batch, whether computed
    now or read from disk. The layers are no submodules, so no adapter or optimiser sees them.
    """

    def __init__(self, model: LlamaForCausalLM, layers: int, pad: int, folder: Path) -> None:
        super().__init__()
        trunk = model.model
        self._below = (trunk.embed_tokens, tuple(trunk.layers[:layers]), trunk.rotary_emb)
        self._pad, self._folder = pad, folder
        self.lengths = torch.zeros(0, dtype=torch.int64)
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def weight(self) -> Tensor:
        """The token embeddings, for callers that read a model's vocabulary from them."""
        weight: Tensor = self._below[0].weight
        return weight

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenLayers:
        # Attaching an adapter copies the module tree, but the frozen layers and their cache can be shared.
        return self

    def forward(self, tokens: Tensor) -> Tensor:
        """Hidden states `[rows, positions, width]` of token ids `[rows, positions]`; 0 at the padding on the right.

        `lengths`, int64 `[rows]`, then holds the lengths of these rows without their padding.
        """
        lengths = [self._length(row) for row in tokens]
        self.lengths = torch.tensor(lengths)
        found = torch.zeros(*tokens.shape, self.weight.shape[1])
        for row, length in enumerate(lengths):
            found[row, :length] = self._states(tokens[row, :length])
        return found

    def _length(self, row: Tensor) -> int:
        real = (row != self._pad).nonzero()
        return int(real[-1]) + 1 if len(real) else len(row)

    def _states(self, tokens: Tensor) -> Tensor:
        name = hashlib.sha256(tokens.to(torch.int32).numpy().tobytes()).hexdigest()[:32]
        path = self._folder / name[:2] / f"{name}.npy"
        if path.is_file():
            return torch.from_numpy(np.load(path, allow_pickle=False))
        states = self._computed(tokens)
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            np.save(file, states.numpy(), allow_pickle=False)
        Path(file.name).replace(path)
        return states

    @torch.no_grad()
    def _computed(self, tokens: Tensor) -> Tensor:
        embed, layers, rotary = self._below
        places = torch.arange(len(tokens)).unsqueeze(0)
        states = embed(tokens.unsqueeze(0))
        rotated = rotary(states, places)
        for layer in layers:
            states = layer(states, attention_mask=None, position_ids=places, position_embeddings=rotated)
        return states[0].clone()


class AskedLayer(nn.Module):
    """The last layer, computed only where needed: its output at the last two tokens of each row, its input elsewhere.

    Keys and values are computed for all tokens, and so are queries, which methods read that use activations. Attention,
    its output and the feed-forward part, which are most of the layer's cost, are computed at the last two tokens only.
    """

    def __init__(self, layer: LlamaDecoderLayer, below: FrozenLayers) -> None:
        super().__init__()
        self.self_attn, self.mlp = layer.self_attn, layer.mlp
        self.input_layernorm = layer.input_layernorm
        self.post_attention_layernorm = layer.post_attention_layernorm
        self._below = (below,)

    def forward(
        self, hidden_states: Tensor, *, position_embeddings: tuple[Tensor, Tensor], **_: Any
    ) -> Tensor:
        """The forward pass of a Llama's decoder layer, without a cache."""
        attention, rows = self.self_attn, len(hidden_states)
        states = self.input_layernorm(hidden_states)
        queries, keys, values = (
            projection(states).view(rows, states.shape[1], -1, attention.head_dim).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        queries, keys = apply_rotary_pos_emb(queries, keys, *position_embeddings)
        asked = (self._below[0].lengths.unsqueeze(1) - torch.arange(_ASKED, 0, -1)).clamp(min=0)
        queries = queries.gather(
            2, asked[:, None, :, None].expand(-1, queries.shape[1], -1, queries.shape[3])
        )
        before = torch.arange(states.shape[1]) <= asked.unsqueeze(-1)
        found = nn.functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=before.unsqueeze(1), enable_gqa=True
        )
        places = asked.unsqueeze(-1).expand(-1, -1, hidden_states.shape[2])
        own = hidden_states.gather(1, places)
        own = own + attention.o_proj(found.transpose(1, 2).reshape(rows, _ASKED, -1))
        own = own + self.mlp(self.post_attention_layernorm(own))
        return hidden_states.scatter(1, places, own)


def with_frozen_layers(model: PreTrainedModel, pad: int, folder: Path) -> LlamaForCausalLM:
    """A Llama with only the last layer of `model`; its embedding stands for all layers below.

    It shares every tensor with `model`, and gives the same logits at the last two tokens of each row. An adapter can
    change `q_proj`, `k_proj` and `v_proj`. `folder` stores hidden states, which are derived from users' prompts.

    Raises:
        ValueError: `model` is no Llama, or has fewer than two layers.
    """
    if not isinstance(model, LlamaForCausalLM) or len(model.model.layers) < 2:
        raise ValueError("only a Llama of at least two layers can have frozen ones")
    frozen = len(model.model.layers) - 1
    below = FrozenLayers(model, frozen, pad, folder)
    config = type(model.config).from_dict(
        {**model.config.to_dict(), "num_hidden_layers": 1, "tie_word_embeddings": False}
    )
    with torch.device("meta"):
        short = LlamaForCausalLM(config)
    short.model.layers = nn.ModuleList([AskedLayer(model.model.layers[frozen], below)])
    short.model.norm, short.model.rotary_emb = model.model.norm, model.model.rotary_emb
    short.model.embed_tokens, short.lm_head = below, model.lm_head
    return short.requires_grad_(False).eval()
