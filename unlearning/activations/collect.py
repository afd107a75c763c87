"""Collect activation sums of an adapter in one forward pass. Hooks add them up; no activation is kept.

Attribution: this implements part 1 of the U-CAN reconstruction (arXiv 2602.23400 publishes no equations in what we
could read); the sites and token scopes are the reconstruction's choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from peft import PeftModel
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from recommender import Adapter, Base, attach
from recommender.batching import by_token_budget, pad_right
from recommender.styles.style import METHODS_DRAW
from unlearning.activations.statistics import ActivationStatistics, Site, TokenScope, UnitSums
from unlearning.errors import InvalidTask, StatisticsMismatch
from unlearning.progress import OnStep, Progress, ShouldStop, check_stop
from unlearning.records import canonical_json, sha256_hex

_ADAPTER, _PREFIX = "default", "base_model.model."


def adapter_digest(adapter: Adapter) -> str:
    """SHA-256 hex over the adapter's configuration and tensors: the key under which statistics are cached."""
    return sha256_hex(canonical_json(dict(adapter.config)) + adapter.to_bytes())


def without_activations(adapter: Adapter) -> str | None:
    """Why activations do not show all that `adapter` has learnt, as a sentence (`the adapter has …`); None if they do.

    Trained rows are added to an embedding or a logit directly, and LoRA on an embedding looks its row up: neither has a
    bottleneck whose activation could be read.
    """
    rows = adapter.rows
    if rows:
        layers = ("embedding layer",) * bool(rows.embed) + ("output layer",) * bool(rows.head or rows.tied)
        return f"the adapter has trained rows of the {' and the '.join(layers)}, which have no activation"
    if any(".lora_embedding_" in name for name in adapter.tensors):
        return "the adapter has LoRA on the embedding layer, which has no activation"
    return None


def collect_statistics(
    base: Base,
    adapter: Adapter,
    sequences: Sequence[Sequence[int]],
    *,
    counted: Sequence[Sequence[bool]] | None = None,
    sites: Sequence[Site] = ("bottleneck",),
    moments: Sequence[Site] = ("bottleneck",),
    token_scope: TokenScope = "all",
    token_budget: int = 8192,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> ActivationStatistics:
    """Sum the activations of `adapter` over the training windows of `sequences`.

    The function changes neither `base` nor any model attached earlier. Padding never counts. Beyond one forward pass
    it holds the accumulators alone: two float64 vectors per module and site, and one float64 matrix where moments are
    collected.

    Args:
        counted: which items of each sequence count; None for all. The token that predicts an item is the one counted.
        sites: what to sum; see `unlearning.activations.statistics`.
        moments: the sites among `sites` whose second moments are collected too. A bottleneck's are small, an input's
            are as large as the square of the model's width.
        token_scope: `all` real tokens, or `last`: the last counted token of each window.
        token_budget: most tokens, padding included, in one forward.

    Raises:
        InvalidTask: there is no sequence, a sequence is empty, or `counted` does not mark each item of each sequence
            with at least one true; or `adapter` has trained rows, of which the statistics would say nothing.
        Interrupted: `should_stop` answered yes between two batches.
    """
    if not sequences or not all(len(sequence) for sequence in sequences):
        raise InvalidTask("activation statistics need at least one sequence, and none may be empty")
    lengths = [len(sequence) for sequence in sequences]
    if counted is None:
        counted = [[True] * length for length in lengths]
    if [len(marks) for marks in counted] != lengths or not any(map(any, counted)):
        raise InvalidTask("counted must mark each item of each sequence, at least one of them true")
    if adapter.rows:
        raise InvalidTask(f"activation statistics would not cover it: {without_activations(adapter)}")
    model = attach(base, adapter)
    collector = _Collector(model, tuple(sites), token_scope, moments)
    windows = [
        window
        for sequence, marks in zip(sequences, counted, strict=True)
        for window in _windows(base, sequence, marks)
    ]
    batches = by_token_budget([len(tokens) for tokens, _ in windows], token_budget)
    device = base.model.device
    # Logits are not needed, so the output layer computes one position only. If the adapter covers the output layer,
    # the layer must receive all positions; the collector reads them and passes one on.
    positions = 1 if collector.head is None else 0
    with torch.inference_mode(), collector.hooked():
        for step, batch in enumerate(batches, start=1):
            check_stop(should_stop)
            tokens, _ = pad_right([windows[index][0] for index in batch], base.style.pad_token)
            mask, _ = pad_right([windows[index][1] for index in batch], 0)
            collector.start_batch(mask.to(device))
            # Right padding needs no attention mask: under causal attention no real token sees what follows it.
            model(input_ids=tokens.to(device), use_cache=False, logits_to_keep=positions)
            if on_step is not None:
                on_step(Progress("activations", step, len(batches)))
    return collector.result(adapter_digest(adapter), len(sequences))


def _windows(
    base: Base, sequence: Sequence[int], marks: Sequence[bool]
) -> Iterator[tuple[Sequence[int], list[int]]]:
    """Tokens of each window, and 1 where a token predicts a counted item; windows without one are left out."""
    for window in base.style.windows(sequence, draw=METHODS_DRAW):
        chosen = [0] * len(window.tokens)
        for position, event in zip(window.positions, window.events, strict=True):
            chosen[position] = int(marks[event])
        if any(chosen):
            yield window.tokens, chosen


class _Collector:
    """Adds up |v| and v^2 per module and site while its hooks are installed, and v vᵀ for the sites in `moments`."""

    def __init__(
        self,
        model: PeftModel,
        sites: tuple[Site, ...],
        token_scope: TokenScope,
        moments: Sequence[Site] = (),
    ) -> None:
        self._model = model
        self._layers = lora_layers(model)
        self.head = _adapted_head(model, self._layers)
        self._sites = sites
        self._token_scope = token_scope
        self._weights: Tensor | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._tokens = 0
        self._with_moments = frozenset(moments)
        self._sums: dict[tuple[str, Site], Tensor] = {}
        self._moments: dict[tuple[str, Site], Tensor] = {}

    def start_batch(self, mask: Tensor) -> None:
        """Take `mask` [batch, length], 1 on counted tokens; of these, keep those in the token scope."""
        if self._token_scope == "last":
            last = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).argmax(-1, keepdim=True)
            mask = torch.zeros_like(mask).scatter_(-1, last, 1)  # the last counted token of each row
        self._tokens += int(mask.sum())
        self._shape = (mask.shape[0], mask.shape[1])
        self._weights = None if bool(mask.all()) else mask.flatten().bool()

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Install one hook per module and site, and remove all of them at the end, also after an error."""
        handles: list[RemovableHandle] = []
        try:
            for name, layer in self._layers.items():
                if name == self.head and "output" not in self._sites:
                    handles.append(self._install_on_head(name, layer))
                else:
                    handles.extend(self._install(name, layer, site) for site in self._sites)
            yield
        finally:
            for handle in handles:
                handle.remove()

    def result(self, digest: str, sequences: int) -> ActivationStatistics:
        sums: dict[str, dict[Site, UnitSums]] = {}
        for (name, site), pair in self._sums.items():
            absolute, squares = pair.cpu().unbind()
            moments = self._moments.get((name, site))
            if moments is not None:
                # Rounding can leave a product of matrices asymmetric in the last bit.
                moments = ((moments + moments.T) / 2).cpu()
            sums.setdefault(name, {})[site] = UnitSums(absolute, squares, moments)
        return ActivationStatistics(digest, self._token_scope, sequences, self._tokens, sums)

    def _install(self, name: str, layer: LoraLayer, site: Site) -> RemovableHandle:
        if _ADAPTER not in layer.lora_A:
            raise InvalidTask(
                f"module {name} is an adapted embedding; U-CAN has no activation to contrast there"
            )
        down, up = layer.lora_A[_ADAPTER], layer.lora_B[_ADAPTER]
        scale = float(layer.scaling[_ADAPTER])

        def on_bottleneck(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._add(name, site, output)

        def on_input(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._add(name, site, inputs[0])

        def on_output(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._add(name, site, output * scale)

        if site == "output":
            return up.register_forward_hook(on_output)
        return down.register_forward_hook(on_input if site == "input" else on_bottleneck)

    def _install_on_head(self, name: str, layer: LoraLayer) -> RemovableHandle:
        down = layer.lora_A[_ADAPTER]
        head = self._model.get_submodule(_PREFIX + name)

        def on_head(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            hidden = inputs[0]
            # PEFT casts the input likewise: A computes in float32, also on a base in half precision.
            entering = hidden.to(next(down.parameters()).dtype)
            for site in self._sites:
                self._add(name, site, entering if site == "input" else down(entering))
            return (hidden[:, -1:], *inputs[1:])

        return head.register_forward_pre_hook(on_head)

    def _add(self, name: str, site: Site, values: Tensor) -> None:
        if values.shape[:-1] != self._shape:
            raise StatisticsMismatch(
                f"module {name} saw activations of shape {tuple(values.shape)}, not [batch, length, units]; "
                "U-CAN cannot attribute them to tokens"
            )
        flat = values.flatten(0, 1).float()
        if self._weights is not None:
            flat = flat[self._weights]
        absolute = flat.abs().sum(0, dtype=torch.float64)
        squares = flat.square().sum(0, dtype=torch.float64)
        pair = torch.stack([absolute, squares])
        key = (name, site)
        self._sums[key] = self._sums[key] + pair if key in self._sums else pair
        if site in self._with_moments:
            # Double precision, because the moments have to distinguish directions with hardly any activation.
            wide = flat.double()
            moments = wide.T @ wide
            self._moments[key] = self._moments[key] + moments if key in self._moments else moments


def _adapted_head(model: PeftModel, layers: Mapping[str, LoraLayer]) -> str | None:
    """The output layer's path if the adapter covers it, else None."""
    base_model: nn.Module = model.get_base_model()
    if not isinstance(base_model, PreTrainedModel):
        return None
    head: object = base_model.get_output_embeddings()  # type: ignore[no-untyped-call]  # not annotated upstream
    return next((name for name, layer in layers.items() if layer is head), None)


def lora_layers(model: PeftModel) -> dict[str, LoraLayer]:
    """Every LoRA layer of an attached model by module path, without PEFT's prefix."""
    return {
        name.removeprefix(_PREFIX): module
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }
