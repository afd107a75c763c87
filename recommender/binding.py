"""First weights of a small Llama that find the letter beside a title, so that training needs to learn only which title.

A small Llama drawn at random stays at chance on prompts of letters: nothing tells it that the letter before a title
names it, and until it knows, no example teaches it which title to choose. In larger models, attention heads of two
layers do this together (arXiv 2209.11895): one looks at the token before and writes it beside its own, the other one
looks for a token and copies what stands beside it. Here such heads are drawn, as others draw attention that begins as
it ends (arXiv 2305.09828). They know no title and no user: everything about titles is learnt.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from recommender.errors import ConfigError

# Chosen on MovieLens-100K's development users: with more, the first losses are above chance, and training unlearns it.
_SPREAD, _COMMON, _BEFORE, _AVERAGE, _COPY = 0.05, 0.1, 2.0, 5.0, 2.0
_SHARP, _MATCH, _ASK, _CERTAIN, _SILENT = 150.0, 0.3, 0.3, 2.0, -4.0
# Rotations slower than this, in radians a token, cannot tell a token from the one before.
_SLOWEST = 0.1


@torch.no_grad()
def draw_binding_heads(model: LlamaForCausalLM, labels: Sequence[int]) -> None:
    """Draw first weights for a Llama of two layers or more, from torch's global generator; `labels` are token ids.

    Embeddings share one channel, and those of labels have a subspace of their own, as wide as a head. In the first
    layer, one head looks at the token before, and the others average what came so far. In the second layer, all heads
    but the first look for what was averaged, and copy the label that is beside it.

    Raises:
        ConfigError: the model has one layer, one head in a layer, fewer key heads than heads, or more labels than a
            head has channels.
    """
    config = model.config
    heads = int(config.num_attention_heads)
    width = int(config.hidden_size) // heads
    if (
        config.num_hidden_layers < 2
        or heads < 2
        or config.num_key_value_heads != heads
        or len(labels) > width
    ):
        raise ConfigError(
            f"letters are bound by two layers of two heads or more, each as wide as the {len(labels)} labels: "
            f"got {config.num_hidden_layers} layers, {heads} heads of {width} channels"
        )
    subspaces = _subspaces(int(config.hidden_size), heads)
    own = subspaces[0]
    embeddings = model.model.embed_tokens.weight
    embeddings.normal_(0, _SPREAD)
    embeddings.sub_(embeddings @ own.T @ own)
    embeddings[list(labels)] = own[: len(labels)] * _SPREAD * config.hidden_size**0.5
    embeddings[:, 0] = _COMMON
    # Only labels are ever said: whatever shares the common channel with the position that answers.
    output = model.lm_head.weight
    output.zero_()
    output[:, 0] = _SILENT
    output[list(labels)] = embeddings[list(labels)]
    model.model.norm.weight.fill_(_CERTAIN)

    first, second = (layer.self_attn for layer in model.model.layers[:2])
    _look_before(first, width, model.model.rotary_emb.inv_freq)
    for head in range(heads):
        rows, part = slice(head * width, (head + 1) * width), subspaces[head]
        first.v_proj.weight[rows] = part
        first.o_proj.weight[:, rows] = part.T * _SPREAD * (_AVERAGE if head else _BEFORE)
        if head:
            second.q_proj.weight[rows] = part * _MATCH
            second.q_proj.weight[rows, 0].normal_(0, _ASK)
            second.k_proj.weight[rows] = part * _MATCH
            second.v_proj.weight[rows] = own
            second.o_proj.weight[:, rows] = own.T * _SPREAD * _COPY


def _subspaces(width: int, heads: int) -> Tensor:
    """Orthonormal rows `[heads, width of a head, width]`; the last row of all is channel 0, the common one."""
    drawn = torch.randn(width, width)
    drawn[0], drawn[:, 0] = 0, 0
    drawn[0, 0] = 1
    rows: Tensor = torch.linalg.qr(drawn).Q.T.roll(-1, 0)
    return rows.reshape(heads, width // heads, width)


def _look_before(attention: object, width: int, speeds: Tensor) -> None:
    """Make the first head look at the token before: its keys are turned as if they stood one token later."""
    query, key = attention.q_proj.weight, attention.k_proj.weight  # type: ignore[attr-defined]
    share = _COMMON / (_SPREAD**2 + _COMMON**2 / query.shape[1]) ** 0.5
    size = _SHARP**0.5 / share * (speeds > _SLOWEST)
    half = width // 2
    query[:width], key[:width] = 0, 0
    query[:half, 0] = size
    key[:half, 0], key[half:width, 0] = size * speeds.cos(), size * speeds.sin()
