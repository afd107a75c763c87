"""Tiny worlds whose items are tuples of tokens: 26 items of 4 tastes, two pairs of which share a tuple."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor, nn

from recommender import Catalogue
from recommender.styles import SemanticIdsStyle
from recommender.text_base import balanced_index, semantic_ids_style

TASTES = 4
CATALOGUE = Catalogue(
    item_ids=tuple(f"i{item}" for item in range(26)), titles=tuple(f"Title {item}" for item in range(26))
)
FRAME: list[dict[str, Any]] = [
    {"text": "Met:"},
    {"slot": "history", "item": "{sid}", "sep": " ", "max": 4},
    {"text": "\n"},
    {"slot": "answer"},
]


def style_of(*, levels: int = 3, **changes: Any) -> SemanticIdsStyle:
    index = balanced_index(CATALOGUE, tastes=TASTES, levels=levels)
    return semantic_ids_style(CATALOGUE, index, **{"frames": [FRAME], "max_tokens": 64, **changes})


def histories(users: int, *, seed: int) -> list[list[int]]:
    """Three items of four are of the user's taste."""
    draw = random.Random(seed)
    found = []
    for user in range(users):
        taste = [item for item in range(len(CATALOGUE)) if item % TASTES == user % TASTES]
        others = [item for item in range(len(CATALOGUE)) if item % TASTES != user % TASTES]
        items = [*draw.sample(taste, 5), *draw.sample(others, 2)]
        draw.shuffle(items)
        found.append(items[: draw.choice((5, 6, 7))])
    return found


@torch.no_grad()
def one_by_one(model: nn.Module, style: SemanticIdsStyle, history: list[int]) -> Tensor:
    """Scores of all items, each in a forward of its own: float64 [items]."""
    prompt = style.writer.prompt(style.writer.past(history), {})
    found = []
    for item, path in enumerate(style.paths):
        logits = model(input_ids=torch.tensor([[*prompt, *path]]), use_cache=False).logits[0].double()
        total = 0.0
        _, sets = style.trie.choices(item)
        for step, (token, options) in enumerate(zip(path, sets, strict=True)):
            after = logits[len(prompt) - 1 + step]
            allowed = after if style.score == "vocabulary" else after[list(options.tokens)]
            total += float(after[token] - allowed.logsumexp(-1))
        found.append(total)
    return torch.tensor(found, dtype=torch.float64)
