"""The cost of exact scores and of the exact best items with semantic ids: `lethe bench semantic-ids`.

The scores of all items are compared with the least that any exact method costs: the same model reads the prompt once
and each inner level of the trie once, and the output is discarded. Best-first search is compared with beam search,
which is not exact. The model is a small Llama that is trained on generated users for some epochs, because the number of
prefixes that a search reads depends on how sure the model is. Seconds are processor time on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from recommender import (
    SyntheticConfig,
    TrainingConfig,
    generate_synthetic,
    leave_two_out,
    top_k,
    use_processor,
)
from recommender.styles import SemanticIdsStyle
from recommender.styles.trie_scores import catalogue_scores
from recommender.text_base import TextBaseConfig, balanced_index, build_text_base, semantic_ids_style

ITEMS, TASTES, USERS, ASKED, REPETITIONS, EPOCHS = 3700, 256, 400, 12, 5, 3
WANTED = (10, 20, 50)
_BRUTE_FORCE_USERS, _AT_ONCE, _TOKENS, _SEED = 2, 256, 8192, 0


@dataclass(frozen=True)
class Size:
    """The size of the measurement."""

    items: int = ITEMS
    tastes: int = TASTES
    users: int = USERS
    asked: int = ASKED
    repetitions: int = REPETITIONS
    epochs: int = EPOCHS


def run(size: Size = Size()) -> dict[str, Any]:  # frozen
    """Make the catalogue and the model, and measure; returns JSON values."""
    header = environment()
    use_processor(1)
    with bars() as bar:
        move = bar("parts")
        style, model, histories = _world(size)
        move(Reached(1, 4))
        exact = [style.scores(model, [history]) for history in histories]
        brute = max(
            float((_one_by_one(model, style, history) - scores[0]).abs().max())
            for history, scores in zip(histories[:_BRUTE_FORCE_USERS], exact, strict=False)
        )
        move(Reached(2, 4))
        cost = _cost(style, model, histories, size.repetitions)
        move(Reached(3, 4))
        found = [row for k in WANTED for row in _searches(style, model, histories, exact, k)]
        move(Reached(4, 4))
    return {
        "benchmark": "semantic-ids",
        "environment": header,
        "data": {
            "items": size.items,
            "tuples": style.trie.leaves,
            "tokens_of_an_item": style.trie.depth,
            "inner_nodes": style.trie.fed,
            "users": len(histories),
            "prompt_tokens": round(fmean(len(_prompt(style, history)) for history in histories)),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "epochs": size.epochs,
            "seed": _SEED,
        },
        "exact": {"users_by_brute_force": _BRUTE_FORCE_USERS, "largest_difference": brute, **cost},
        "rows": found,
    }


def _world(size: Size) -> tuple[SemanticIdsStyle, nn.Module, list[list[int]]]:
    data = generate_synthetic(
        SyntheticConfig(users=size.users, items=size.items, tastes=size.tastes, seed=_SEED)
    )
    style = semantic_ids_style(data.catalogue, balanced_index(data.catalogue, tastes=size.tastes))
    users = [leave_two_out(data.items(user)).train for user in data.histories]
    training = TrainingConfig(epochs=size.epochs, lr=3e-3, patience=None, seed=_SEED)
    model = build_text_base(style, users, TextBaseConfig(), training)
    return style, model.eval(), [list(items) for items in users[: size.asked]]


def _prompt(style: SemanticIdsStyle, history: Sequence[int]) -> list[int]:
    return style.writer.prompt(style.writer.past(history), {})


@torch.inference_mode()
def _one_by_one(model: Any, style: SemanticIdsStyle, history: Sequence[int]) -> Tensor:
    """Scores of all items, float32 [items]. Each item is read in full after the prompt, without any cache."""
    prompt, found = _prompt(style, history), []
    paths = torch.tensor(style.paths)
    for some in paths.split(_AT_ONCE):
        tokens = torch.cat([torch.tensor(prompt).expand(len(some), -1), some], dim=1)
        kept = some.shape[1] + 1
        logits = model(input_ids=tokens, use_cache=False, logits_to_keep=kept).logits[:, :-1]
        steps = torch.log_softmax(logits.float(), dim=-1).gather(-1, some.unsqueeze(-1))
        found.append(steps.squeeze(-1).sum(-1))
    return torch.cat(found)


def _cost(
    style: SemanticIdsStyle, model: nn.Module, histories: Sequence[Sequence[int]], repetitions: int
) -> dict[str, Any]:
    """Seconds of exact scores and of the least forwards, one history at a time, in alternating order."""
    seconds: dict[str, list[float]] = {"exact": [], "least": []}
    ratios = []
    for repetition in range(repetitions + 1):
        for number, history in enumerate(histories):
            prompt = _prompt(style, history)
            work: dict[str, Callable[[], object]] = {
                "exact": partial(
                    catalogue_scores,
                    model,
                    style.trie,
                    [prompt],
                    score=style.score,
                    pad=style.pad_token,
                    token_budget=_TOKENS,
                ),
                "least": partial(_least, model, style, prompt),
            }
            took = {}
            for name in sorted(work, reverse=bool((repetition + number) % 2)):
                took[name] = _seconds(work[name])
            # The first repetition warms up.
            if repetition:
                ratios.append(took["exact"] / took["least"])
                for name, value in took.items():
                    seconds[name].append(value)
    return {
        "forwards": style.trie.depth,
        "seconds": median(seconds["exact"]),
        "least_seconds": median(seconds["least"]),
        "ratio": median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


@torch.inference_mode()
def _least(model: Any, style: SemanticIdsStyle, prompt: Sequence[int]) -> None:
    """Read the prompt, then each inner level, with one cache. Every node gets the logits of the whole vocabulary."""
    trie, cache = style.trie, DynamicCache()
    model(input_ids=torch.tensor([list(prompt)]), past_key_values=cache, use_cache=True, logits_to_keep=1)
    seen = torch.ones(1, len(prompt), dtype=torch.bool)
    for depth, level in enumerate(trie.levels[:-1]):
        seen = torch.cat([seen[level.parents], torch.eye(len(level), dtype=torch.bool)], dim=1)
        model(
            input_ids=level.tokens.unsqueeze(0),
            attention_mask=seen[None, None],
            position_ids=torch.full((1, len(level)), len(prompt) + depth),
            past_key_values=cache,
            use_cache=True,
        )


def _searches(
    style: SemanticIdsStyle,
    model: nn.Module,
    histories: Sequence[Sequence[int]],
    exact: Sequence[Tensor],
    k: int,
) -> list[dict[str, Any]]:
    """Best-first and beam search for the best `k` items, compared with the top of the exact scores."""
    truth = [top_k(scores, k)[0].tolist() for scores in exact]
    best, took = [], []
    for history in histories:
        start = time.process_time()
        best.append(style.top_k(model, history, k))
        took.append(time.process_time() - start)
    rows = [
        {
            "search": "best-first",
            "k": k,
            "nodes": fmean(one.nodes for one in best),
            "forwards": fmean(one.forwards for one in best),
            "seconds": median(took),
            "found": _shared(truth, [list(one.items) for one in best]),
            "same_order": all(list(one.items) == items for one, items in zip(best, truth, strict=True)),
        }
    ]
    for width in (k, 2 * k, 5 * k):
        beams = [_beam(model, style, _prompt(style, history), width) for history in histories]
        rows.append(
            {
                "search": f"beam {width}",
                "k": k,
                "nodes": fmean(nodes for _, nodes in beams),
                "forwards": style.trie.depth,
                "seconds": None,
                "found": _shared(truth, [items[:k] for items, _ in beams]),
                "same_order": all(items[:k] == true for (items, _), true in zip(beams, truth, strict=True)),
            }
        )
    return rows


def _shared(truth: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> float:
    return fmean(len(set(one) & set(other)) / len(one) for one, other in zip(truth, found, strict=True))


@torch.inference_mode()
def _beam(model: Any, style: SemanticIdsStyle, prompt: Sequence[int], width: int) -> tuple[list[int], int]:
    """The items that beam search finds in the trie, best first, and the number of nodes that it read."""
    trie = style.trie
    beams: list[tuple[float, int]] = [(0.0, 0)]
    lines: list[list[int]] = [[]]
    nodes = 0
    for depth in range(trie.depth):
        tokens = torch.tensor([[*prompt, *line] for line in lines])
        logits = torch.log_softmax(model(input_ids=tokens, logits_to_keep=1).logits[:, -1].float(), dim=-1)
        nodes += len(lines) if depth else 0
        grown = []
        for (score, node), line, row in zip(beams, lines, logits, strict=True):
            start = trie.starts[depth][node]
            for place, token in enumerate(trie.options[depth][node].tokens):
                grown.append((score + float(row[token]), start + place, [*line, token]))
        grown.sort(key=lambda one: -one[0])
        beams = [(score, node) for score, node, _ in grown[:width]]
        lines = [line for *_, line in grown[:width]]
    return [item for _, leaf in beams for item in trie.items_of[leaf]], nodes
