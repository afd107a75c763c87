"""What a model says after many prompts with a common beginning: it is read once, and each prompt's rest is a branch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from recommender.errors import ConfigError
from recommender.styles.prompt_cache import PromptCache, check_attention


def common_beginning(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; at least one of each is left over."""
    shortest = min(map(len, prompts)) - 1
    for place in range(shortest):
        if any(prompt[place] != prompts[0][place] for prompt in prompts):
            return place
    return shortest


def may_branch(model: nn.Module, longest: int) -> bool:
    """Whether the model's attention allows it for prompts of up to `longest` tokens."""
    try:
        check_attention(model, longest)
    except ConfigError:
        return False
    return True


@torch.inference_mode()
def last_logits(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    beginning: int,
    columns: Sequence[int],
    *,
    pad: int,
    token_budget: int,
) -> Tensor:
    """Logits of the tokens `columns` after each prompt, float32 [prompts, columns] on the CPU.

    Args:
        beginning: number of tokens that all prompts begin with, see `common_beginning`; at least one.
        token_budget: most tokens in one forward pass, but at least one branch.
    """
    branches = [list(prompt[beginning:]) for prompt in prompts]
    cache = PromptCache(model, [prompts[0][:beginning]], pad, longest=max(map(len, branches)))
    found = []
    for chosen in _chunks(branches, token_budget - beginning):
        lengths = torch.tensor([len(branch) for branch in chosen])
        owner = torch.repeat_interleave(torch.arange(len(chosen)), lengths)
        depths = torch.cat([torch.arange(1, int(length) + 1) for length in lengths])
        # Of its own branch, each token descends from those before it and from itself.
        together = (owner.unsqueeze(1) == owner) & (depths.unsqueeze(1) >= depths)
        logits = cache.feed(
            torch.tensor([token for branch in chosen for token in branch]),
            depths,
            torch.zeros(len(owner), 0, dtype=torch.bool),
            together=together,
            wanted=lengths.cumsum(0) - 1,
        )
        found.append(logits[0][:, list(columns)].float().cpu())
        cache.drop(len(owner))
    return torch.cat(found)


def _chunks(branches: Sequence[list[int]], room: int) -> Iterator[list[list[int]]]:
    """The branches in their order, as many at once as fit into `room` tokens, but at least one."""
    chosen: list[list[int]] = []
    taken = 0
    for branch in branches:
        if chosen and taken + len(branch) > room:
            yield chosen
            chosen, taken = [], 0
        chosen.append(branch)
        taken += len(branch)
    if chosen:
        yield chosen
