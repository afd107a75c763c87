"""CURE's discovery: which LoRA layers cause the predictions for the subjects and for the retained users. Our
reconstruction.

A node is one LoRA layer on a linear map. Its activation is its contribution to that map's output, scale * B A x.
Patching a node replaces its activation on a window x by its activation on a counterfactual x~. The effect on the loss
is computed to first order (attribution patching), at x or averaged along the line from x~ to x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from recommender.choices import IGNORED, Batch
from unlearning.activations.collect import lora_layers
from unlearning.methods.compared.cure.counterfactuals import Counterfactual
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel

_ADAPTER = "default"


@dataclass(frozen=True)
class Circuits:
    """The nodes to update, by module path: for the subjects only, for the retained users only, for both."""

    forget: tuple[str, ...]
    retain: tuple[str, ...]
    shared: tuple[str, ...]


def circuits(forget: Mapping[str, float], retain: Mapping[str, float], share: float) -> Circuits:
    """Take the `share` of nodes with the largest |effect| on each side, at least one, and compare the two sets.

    Ties go to the first node. Some node always moves for the subjects: one of theirs alone or a shared one.
    """
    of_forget, of_retain = _strongest(forget, share), _strongest(retain, share)
    return Circuits(
        forget=tuple(node for node in forget if node in of_forget - of_retain),
        retain=tuple(node for node in forget if node in of_retain - of_forget),
        shared=tuple(node for node in forget if node in of_forget & of_retain),
    )


def node_effects(
    model: ChoiceModel,
    batches: Sequence[Batch],
    counterfactual: Counterfactual,
    *,
    points: int = 1,
    before_batch: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """|mean (a(x~) - a(x)) . dL/da| of every node, per predicted item; L is the negative log-likelihood.

    With one point the gradient is taken at x (attribution patching, Nanda 2023). With m points it is the mean gradient
    at the input embeddings e(x~) + k / m (e(x) - e(x~)), k = 1 to m (arXiv 2403.17806, EAP-IG), so the last is at x.
    It costs 1 + m forwards and m backwards per window.

    Args:
        model: must be trainable; its parameters' gradients are not changed.
        batches: on the CPU.
        counterfactual: makes x~ from the tokens of x.
        points: m, at least 1.
        before_batch: called before each batch; it may raise to end the computation.
    """
    recorder = _Recorder(model)
    totals = dict.fromkeys(recorder.nodes, 0.0)
    predicted = 0
    for batch in batches:
        before_batch()
        predicted += int((batch.targets != IGNORED).sum())
        for node, effect in _summed_effects(model, recorder, batch, counterfactual, points).items():
            totals[node] += effect
    return {node: abs(total) / predicted for node, total in totals.items()}


def _summed_effects(
    model: ChoiceModel, recorder: _Recorder, batch: Batch, counterfactual: Counterfactual, points: int
) -> dict[str, float]:
    other = replace(batch, tokens=counterfactual(batch.tokens))
    with recorder.recording() as patched, torch.no_grad():
        model.logits(other)
    clean, slopes = _activations_and_slopes(model, recorder, batch, other, 1.0)
    for point in range(1, points):
        _, more = _activations_and_slopes(model, recorder, batch, other, point / points)
        slopes = {node: slope + more[node] for node, slope in slopes.items()}
    return {
        node: float(((patched[node] - clean[node]).double() * slope.double()).sum()) / points
        for node, slope in slopes.items()
    }


def _activations_and_slopes(
    model: ChoiceModel, recorder: _Recorder, batch: Batch, start: Batch, share: float
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Activation a and dL/da of every node, with the embeddings at `share` of the way from `start` to `batch`."""
    with recorder.recording() as activations, _towards(model, start.tokens, share):
        logits = model.logits(batch)
    loss = -losses.log_likelihoods(logits, batch.targets.to(logits.device), "item").sum()
    slopes = torch.autograd.grad(loss, list(activations.values()))
    return (
        {node: value.detach() for node, value in activations.items()},
        dict(zip(activations, slopes, strict=True)),
    )


class _Recorder:
    """Records the output of B in each node. The scale that follows cancels in the product with the gradient."""

    def __init__(self, model: ChoiceModel) -> None:
        # An adapted embedding has no such B and is not a node.
        self._layers: dict[str, LoraLayer] = {
            node: layer for node, layer in lora_layers(model.model).items() if _ADAPTER in layer.lora_B
        }

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes by module path, in the model's order."""
        return tuple(self._layers)

    @contextmanager
    def recording(self) -> Iterator[dict[str, Tensor]]:
        """Activations [rows, positions, units] of the forward pass inside, in order of computation."""
        kept: dict[str, Tensor] = {}

        def keeper(node: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
            def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
                kept[node] = output

            return keep

        handles = [
            layer.lora_B[_ADAPTER].register_forward_hook(keeper(node)) for node, layer in self._layers.items()
        ]
        try:
            yield kept
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def _towards(model: ChoiceModel, start: Tensor, share: float) -> Iterator[None]:
    """Let the forward pass inside start at `share` of the way from the embeddings of `start` to its own."""
    if share == 1:
        yield
        return
    base_model: nn.Module = model.model.get_base_model()
    assert isinstance(base_model, PreTrainedModel)  # see `recommender.Base`
    embedding: nn.Module = base_model.get_input_embeddings()
    with torch.no_grad():
        origin: Tensor = embedding(start.to(model.model.device))

    def move(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return origin + share * (output - origin)

    handle = embedding.register_forward_hook(move)
    try:
        yield
    finally:
        handle.remove()


def _strongest(effects: Mapping[str, float], share: float) -> frozenset[str]:
    count = max(1, round(share * len(effects)))
    return frozenset(sorted(effects, key=lambda node: -effects[node])[:count])
