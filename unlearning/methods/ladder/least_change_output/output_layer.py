"""The adapted output layer, extracted from a model: its inputs and its logits.

When only the output layer changes, its inputs do not. They are therefore read once, by a forward pass without the
layer; everything else is arithmetic on a few small matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from peft import PeftModel
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from recommender import Adapter, Base, ItemTokenStyle, attach
from recommender.choices import IGNORED, Batch, choice_logits
from unlearning.errors import InvalidTask
from unlearning.progress import ShouldStop, check_stop

_ADAPTER, _PREFIX = "default", "base_model.model."
# Singular values of A below this share of the largest count as 0.
_RANK_TOLERANCE = 1e-6
# If the recomputed logits differ by more than this share of their range, the model transforms them after the layer.
_LOGIT_TOLERANCE = 0.02


def output_layer_requirement(base: Base, adapter: Adapter) -> str | None:
    """Why the output layer of `base` cannot be edited through `adapter`, in one sentence; None if it can."""
    if not isinstance(base.style, ItemTokenStyle):
        return (
            f"it edits the items' rows of the output layer, and {base.style.name} has no token for each item"
        )
    name = _head_name(base.model)
    if name is None:
        return "it edits the adapted output layer, and this base has no output layer of its own"
    if f"{_PREFIX}{name}.lora_A.weight" not in adapter.tensors:
        return f"it edits the adapted output layer, and this adapter does not cover it ({name})"
    if adapter.rows.head or adapter.rows.tied:
        return "it edits the output layer's LoRA alone, and this adapter has trained rows of that layer beside it"
    head = base.model.get_submodule(name)
    if not (isinstance(head, nn.Linear) and _is_plain(head)):
        return (
            f"it edits the adapted output layer, and this one ({name}) is not a linear layer of plain numbers"
        )
    if adapter.config.get("ensure_weight_tying"):
        return f"it edits the adapted output layer, and this adapter ties it ({name}) to the embeddings"
    return None


def _head_name(model: PreTrainedModel) -> str | None:
    head: object = model.get_output_embeddings()  # type: ignore[no-untyped-call]  # not annotated upstream
    return next((name for name, module in model.named_modules() if module is head), None)


class OutputLayer:
    """The output layer of `base` with `adapter`, restricted to the catalogue: logits = W h + b + s B A h.

    It is kept as `weight` [items, width] and `bias` [items] or None, with the adapter in a canonical basis. With
    A = U S V', the columns of V span the inputs that A passes on. The layer's adapter sees z = V' h, and a change
    X [items, rank] changes the logits by X z. The pairs (A, B) and (Q A, B Q^-1) are the same adapter and give the same
    z up to a rotation.
    """

    def __init__(self, base: Base, adapter: Adapter) -> None:
        """
        Raises:
            InvalidTask: the adapter does not cover the output layer, or the layer is of another kind.
        """
        problem = output_layer_requirement(base, adapter)
        if problem is not None:
            raise InvalidTask(f"this method cannot work here: {problem}")
        self._base, self._adapter = base, adapter
        self._model: PeftModel = attach(base, adapter)
        name = _head_name(base.model)
        layer = self._model.get_submodule(f"{_PREFIX}{name}")
        plain = layer.get_base_layer() if isinstance(layer, LoraLayer) else None
        if not (isinstance(layer, LoraLayer) and isinstance(plain, nn.Linear) and _is_plain(plain)):
            raise InvalidTask(f"this method cannot work here: {name} is not a linear layer of plain numbers")
        self._layer: nn.Module = layer
        self._up_name = f"{_PREFIX}{name}.lora_B.weight"
        self.forwards = 0
        assert isinstance(base.style, ItemTokenStyle)
        self.style: ItemTokenStyle = base.style
        rows = base.style.item_rows
        self._first_row = rows.start
        down = layer.lora_A[_ADAPTER].get_parameter("weight").float()
        up = layer.lora_B[_ADAPTER].get_parameter("weight")[rows].float()
        scale = float(layer.scaling[_ADAPTER])
        left, values, right = torch.linalg.svd(down, full_matrices=False)
        kept = int((values > _RANK_TOLERANCE * values[0]).sum())
        self.input_basis: Tensor = right[:kept]
        # B changes by X times this matrix [rank of A, r], which leads back from the canonical basis.
        self._back = (left[:, :kept] / values[:kept]).T / scale
        self.weight = plain.weight[rows].float() + scale * up @ down
        self.bias = None if plain.bias is None else plain.bias[rows].float()

    @torch.no_grad()
    def read(self, tokens: Tensor, should_stop: ShouldStop | None = None) -> Tensor:
        """Inputs of the output layer, float32 [rows, positions, width], for tokens [rows, positions].

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        check_stop(should_stop)
        with self._caught() as caught:
            # Right padding needs no attention mask: under causal attention no real token sees what follows it.
            self._model(input_ids=tokens.to(self._model.device), use_cache=False)
        self.forwards += len(tokens)
        inputs: Tensor = caught[0].float()
        return inputs

    def read_targets(
        self, batches: Sequence[Batch], should_stop: ShouldStop | None = None
    ) -> tuple[Tensor, Tensor]:
        """Of the positions that predict an item: the layer's inputs [positions, width] and the items [positions].

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        hidden, targets = [], []
        for batch in batches:
            inputs = self.read(batch.tokens, should_stop)
            wanted = (batch.targets != IGNORED).to(inputs.device)
            hidden.append(inputs[wanted])
            targets.append(batch.targets.to(inputs.device)[wanted])
        return torch.cat(hidden), torch.cat(targets)

    def check(self, batch: Batch) -> None:
        """Compare this layer's logits with the model's, on one row of `batch`.

        Raises:
            InvalidTask: they differ: the model transforms its logits after the output layer.
        """
        first = batch.first_row()
        with torch.no_grad():
            wanted = choice_logits(self._model, first)
            self.forwards += 1
            difference = float((self.logits(self.read(first.tokens)) - wanted).abs().max())
        if not difference <= _LOGIT_TOLERANCE * float(wanted.max() - wanted.min()):
            raise InvalidTask(
                "this method cannot work here: the model changes its logits behind the output layer"
            )

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits over the catalogue, float32 [positions, items]."""
        found = hidden @ self.weight.T
        return found if self.bias is None else found + self.bias

    def adapter_inputs(self, hidden: Tensor) -> Tensor:
        """z, float32 [positions, rank]."""
        inputs: Tensor = hidden @ self.input_basis.T
        return inputs

    def changed(self, rows: Tensor, change: Tensor) -> Adapter:
        """The adapter with the logits of the items `rows` [n] changed by `change` [n, rank] times z."""
        up = self._adapter.tensors[self._up_name]
        edited = up.clone()
        moved = (change @ self._back).to(up.device, torch.float32)
        tokens = rows.to(up.device) + self._first_row
        edited[tokens] = (up[tokens].float() + moved).to(up.dtype)
        return self._adapter.replace({**self._adapter.tensors, self._up_name: edited})

    @contextmanager
    def _caught(self) -> Iterator[list[Tensor]]:
        """Record the inputs of the output layer, which then computes the last position only."""
        caught: list[Tensor] = []

        def on_head(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            caught.append(inputs[0])
            return (inputs[0][:, -1:], *inputs[1:])

        handle = self._layer.register_forward_pre_hook(on_head)
        try:
            yield caught
        finally:
            handle.remove()


def _is_plain(layer: nn.Linear) -> bool:
    return layer.weight.ndim == 2 and layer.weight.is_floating_point()
