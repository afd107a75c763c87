"""Catalogue scores and per-item likelihoods of a model, batched by tokens."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from recommender.batching import by_token_budget, pad_left, pad_right
from recommender.errors import ConfigError, DataError
from recommender.prompts import PromptStyle

# Likelihoods need logits at every position. This bound keeps them small for a large catalogue.
_MAX_LOGITS = 2**25


class Scorer:
    """Computes scores and likelihoods of a model without changing it. The model must be in eval mode on one device.

    Args:
        model: a causal language model, with or without an adapter attached.
        style: how histories become tokens.
        token_budget: most tokens, padding included, in one forward pass, but at least one sequence.
    """

    def __init__(self, model: nn.Module, style: PromptStyle, *, token_budget: int = 8192) -> None:
        if token_budget < 1:
            raise ConfigError(f"token_budget must be at least 1, got {token_budget}")
        self.style = style
        self._model = model
        self._token_budget = token_budget
        self._device = next(model.parameters()).device

    def scores(self, histories: Sequence[Sequence[int]], *, mask_seen: bool = True) -> Tensor:
        """Logits `[len(histories), items]`, float32 on the CPU; with `mask_seen`, items of the history are -inf.

        An empty history is allowed: the model then reads the beginning-of-sequence token only. The mask covers the
        whole history, also the part older than the window.

        Raises:
            DataError: an item outside the catalogue.
        """
        scores = torch.empty(len(histories), self.style.catalogue_size)
        prompts = [self.style.encode(history) for history in histories]
        for batch in by_token_budget([len(prompt) for prompt in prompts], self._token_budget):
            scores[batch] = self._last_logits([prompts[row] for row in batch])
        if mask_seen:
            for row, history in enumerate(histories):
                scores[row, self._seen(history, scores.shape[1])] = -torch.inf
        return scores

    def item_log_probs(self, histories: Sequence[Sequence[int]]) -> Tensor:
        """Log-probabilities `[len(histories), items]` of the next item, softmax over item tokens, nothing masked."""
        return torch.log_softmax(self.scores(histories, mask_seen=False), dim=-1)

    def item_nll(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """Per sequence, float32 `[len(sequence)]`: negative log-likelihood of each item given those before it.

        The softmax is over item tokens only. Sequences longer than the window are divided as in training
        (`PromptStyle.windows`), so each value is exactly the quantity that training minimised.
        """
        nll = [torch.empty(len(sequence)) for sequence in sequences]
        windows = [
            (row, start, tokens, targets)
            for row, sequence in enumerate(sequences)
            for start, tokens, targets in self._windows(sequence)
        ]
        token_budget = min(self._token_budget, max(1, _MAX_LOGITS // self.style.catalogue_size))
        for batch in by_token_budget([len(tokens) for _, _, tokens, _ in windows], token_budget):
            log_probs = self._log_probs([windows[index][2] for index in batch])
            for position, index in enumerate(batch):
                row, start, _, targets = windows[index]
                target = torch.as_tensor(targets).unsqueeze(-1)
                chosen = log_probs[position, : len(targets)].gather(-1, target).squeeze(-1)
                nll[row][start : start + len(targets)] = -chosen
        return nll

    def _windows(self, sequence: Sequence[int]) -> Iterator[tuple[int, list[int], Sequence[int]]]:
        start = 0
        for tokens, targets in self.style.windows(sequence):
            yield start, tokens, targets
            start += len(targets)

    @torch.inference_mode()
    def _last_logits(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        # With padding on the left, the last column holds every prompt's last token; only that column needs logits.
        tokens, mask = pad_left(prompts, self.style.pad_token)
        tokens, mask = tokens.to(self._device), mask.to(self._device)
        logits: Tensor = self._model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            logits_to_keep=1,
            use_cache=False,
        ).logits
        return logits[:, -1, self.style.item_token_slice].float().cpu()

    @torch.inference_mode()
    def _log_probs(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        # Right padding needs no attention mask: under causal attention no real token sees what follows it.
        tokens, _ = pad_right(prompts, self.style.pad_token)
        logits: Tensor = self._model(input_ids=tokens.to(self._device), use_cache=False).logits
        return torch.log_softmax(logits[..., self.style.item_token_slice].float(), dim=-1).cpu()

    @staticmethod
    def _seen(history: Sequence[int], items: int) -> list[int]:
        if history and not 0 <= min(history) <= max(history) < items:
            raise DataError(f"a history holds an item outside the catalogue of {items}")
        return list(history)
