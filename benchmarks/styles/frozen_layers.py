"""The layers below an adapter, computed once for each prompt and kept on disk.

An adapter on the last layers of a deep model leaves the layers below them as they are, whatever is fitted. A study
reads the same prompts under dozens of adapters and over several epochs, so most of its work would be the same sums.
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


class FrozenLayers(nn.Module):
    """Stands in for the embedding of a Llama: from token ids to what the layer above the frozen ones reads.

    Every row is computed alone and without its padding, so that a prompt has the same bits in every batch, whether it
    was computed now or read from disk. The layers are no submodules: no adapter or optimiser sees them.
    """

    def __init__(self, model: LlamaForCausalLM, layers: int, pad: int, folder: Path) -> None:
        super().__init__()
        trunk = model.model
        self._below = (trunk.embed_tokens, tuple(trunk.layers[:layers]), trunk.rotary_emb)
        self._pad, self._folder = pad, folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def weight(self) -> Tensor:
        """The token embeddings, for whoever asks a model about its vocabulary."""
        weight: Tensor = self._below[0].weight
        return weight

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenLayers:
        # Every attached adapter copies the tree of modules around the base's tensors.
        return self

    def forward(self, tokens: Tensor) -> Tensor:
        """Hidden states `[rows, positions, width]` of token ids `[rows, positions]`; 0 at the padding on the right."""
        lengths = [self._length(row) for row in tokens]
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


def with_frozen_layers(model: PreTrainedModel, adapted: int, pad: int, folder: Path) -> LlamaForCausalLM:
    """A Llama of the last `adapted` layers of `model`, whose embedding is all that lies below them.

    It shares every tensor with `model` and gives the same logits. `folder` keeps hidden states; they are of the users'
    prompts.

    Raises:
        ValueError: `model` is no Llama, or has no layer to freeze.
    """
    if not isinstance(model, LlamaForCausalLM) or not 0 < adapted < len(model.model.layers):
        raise ValueError("only a Llama with more layers than are adapted can have frozen ones")
    frozen = len(model.model.layers) - adapted
    below = FrozenLayers(model, frozen, pad, folder)
    config = type(model.config).from_dict(
        {**model.config.to_dict(), "num_hidden_layers": adapted, "tie_word_embeddings": False}
    )
    with torch.device("meta"):
        short = LlamaForCausalLM(config)
    short.model.layers = nn.ModuleList(model.model.layers[frozen:])
    for place, layer in enumerate(short.model.layers):
        layer.self_attn.layer_idx = place
    short.model.norm, short.model.rotary_emb, short.lm_head = (
        model.model.norm,
        model.model.rotary_emb,
        model.lm_head,
    )
    short.model.embed_tokens = below
    return short.requires_grad_(False).eval()
