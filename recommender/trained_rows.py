"""Rows of the embedding and of the output layer that an adapter has trained, as parts beside its LoRA tensors.

A row belongs to one token. What an adapter has learnt in it is kept as its difference from the base's row, so that a
difference of 0 is the base, as with a LoRA whose B is 0. The base's matrices are shared and never copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from recommender.errors import AdapterMismatch

# In `Adapter.tensors` and `Adapter.config`.
EMBED_ROWS, HEAD_ROWS = "embed_rows", "head_rows"
ROW_TENSORS = (EMBED_ROWS, HEAD_ROWS)
ROWS_OPTION = "lethe_trained_rows"

_CHANGES = "row_changes"

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class TrainedRows:
    """Which rows are trained, as spans `(first, past the last)` of token ids in rising order.

    `tied`: the output layer adds the changes of `embed` too, as one tensor, where the base shares its matrix.

    Raises:
        AdapterMismatch: spans that are empty, overlap, or are out of order; `tied` without `embed` or beside `head`.
    """

    embed: Spans = ()
    head: Spans = ()
    tied: bool = False

    def __post_init__(self) -> None:
        for spans in (self.embed, self.head):
            edges = [edge for span in spans for edge in span]
            if any(len(span) != 2 or span[0] >= span[1] for span in spans) or any(
                before > after for before, after in pairwise(edges)
            ):
                raise AdapterMismatch(f"{ROWS_OPTION} needs spans of rows in rising order, got {spans}")
            if edges and edges[0] < 0:
                raise AdapterMismatch(f"{ROWS_OPTION} names a row below 0: {spans}")
        if self.tied and (self.head or not self.embed):
            raise AdapterMismatch(f"{ROWS_OPTION} is tied, and then it names rows of the embedding alone")

    def __bool__(self) -> bool:
        return bool(self.embed or self.head)

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows in each tensor there is."""
        found = {EMBED_ROWS: _count(self.embed), HEAD_ROWS: _count(self.head)}
        return {name: count for name, count in found.items() if count}

    def to_plain(self) -> dict[str, Any]:
        """The JSON form."""
        return {"embed": [*map(list, self.embed)], "head": [*map(list, self.head)], "tied": self.tied}

    @classmethod
    def from_plain(cls, plain: Any) -> TrainedRows:
        """Read the output of `to_plain`; no rows where there is nothing.

        Raises:
            AdapterMismatch: it is something else.
        """
        if plain is None:
            return cls()
        try:
            spans = {name: _spans(plain.get(name, [])) for name in ("embed", "head")}
            if plain.keys() - {"embed", "head", "tied"} or not isinstance(plain.get("tied", False), bool):
                raise ValueError
        except (AttributeError, TypeError, ValueError) as error:
            raise AdapterMismatch(f"{ROWS_OPTION} is not of the form that Lethe writes: {plain!r}") from error
        return cls(**spans, tied=plain.get("tied", False))


# What plain LoRA has.
NO_ROWS = TrainedRows()


def spans_of(rows: Iterable[int]) -> Spans:
    """The spans of these row numbers, which are in rising order."""
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and found[-1][1] == row:
            found[-1] = (found[-1][0], row + 1)
        else:
            found.append((row, row + 1))
    return tuple(found)


def indices_of(spans: Spans) -> Tensor:
    """The row numbers, int64 [rows]."""
    return torch.cat([torch.arange(*span) for span in spans]) if spans else torch.empty(0, dtype=torch.int64)


class EmbeddingWithRows(nn.Embedding):
    """`base(x)` plus the change of the row of x; `row_changes` is float32 [rows, width]."""

    def __init__(self, base: nn.Embedding, rows: Spans, changes: nn.Parameter) -> None:
        nn.Module.__init__(self)  # nn.Embedding's would draw a matrix
        self.num_embeddings, self.embedding_dim = base.num_embeddings, base.embedding_dim
        self.padding_idx, self.max_norm, self.norm_type = base.padding_idx, base.max_norm, base.norm_type
        self.scale_grad_by_freq, self.sparse = base.scale_grad_by_freq, base.sparse
        self.weight = base.weight
        self.row_changes = changes
        self.spans = rows
        place = torch.full((len(base.weight),), -1, dtype=torch.int64)
        place[indices_of(rows)] = torch.arange(_count(rows))
        self.place: Tensor
        self.register_buffer("place", place.to(base.weight.device), persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # nn.Embedding calls it so
        """[..., width] in the base's precision, for token ids [...]."""
        found = super().forward(input)
        place = self.place[input]
        changes = functional.embedding(place.clamp_min(0), self.row_changes)
        changes = changes * (place >= 0).unsqueeze(-1)
        # Added in float32: a small change is lost in half precision, and so would be what undoes it.
        return (found.to(changes.dtype) + changes).to(found.dtype)


class HeadWithRows(nn.Linear):
    """`base(h)` plus `h · change` in the logits of the rows; `row_changes` is float32 [rows, width]."""

    def __init__(self, base: nn.Linear, rows: Spans, changes: nn.Parameter) -> None:
        nn.Module.__init__(self)  # nn.Linear's would draw a matrix
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.row_changes = changes
        self.spans = rows
        self.rows: Tensor
        self.register_buffer("rows", indices_of(rows).to(base.weight.device), persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # nn.Linear calls it so
        """Logits [..., vocabulary] in the base's precision, for hidden states [..., width]."""
        found = super().forward(input)
        changes = functional.linear(input.to(self.row_changes.dtype), self.row_changes)
        return found.to(changes.dtype).index_add(-1, self.rows, changes).to(found.dtype)


def put_rows(model: PeftModel, rows: TrainedRows, changes: Mapping[str, Tensor]) -> None:
    """Let `model`, whose modules nobody else uses, add `changes` (by tensor name, [rows, width]) to its rows.

    The tensors become parameters that do not require gradients.

    Raises:
        AdapterMismatch: see `row_shapes`.
    """
    row_shapes(base_of(model), rows)
    parameters = {name: nn.Parameter(changes[name], requires_grad=False) for name in rows.counts}
    if rows.embed:
        place, embedding = embedding_of(base_of(model))
        _put(model, place, EmbeddingWithRows(embedding, rows.embed, parameters[EMBED_ROWS]))
    if rows.head or rows.tied:
        place, head = head_of(base_of(model))
        changed = parameters[EMBED_ROWS if rows.tied else HEAD_ROWS]
        _put(model, place, HeadWithRows(head, rows.head or rows.embed, changed))


def row_parameters(model: PeftModel) -> dict[str, nn.Parameter]:
    """The parameters by tensor name, and by the name within `model`: `row_changes` there."""
    found: dict[str, nn.Parameter] = {}
    for module in model.modules():
        if isinstance(module, EmbeddingWithRows):
            found[EMBED_ROWS] = module.row_changes
        elif isinstance(module, HeadWithRows):
            found[HEAD_ROWS] = module.row_changes
    if found.get(HEAD_ROWS) is found.get(EMBED_ROWS):
        found.pop(HEAD_ROWS, None)
    return found


def rows_of(model: PeftModel) -> TrainedRows:
    """The rows that `put_rows` has put there; none where it has not."""
    embedding = next((one for one in model.modules() if isinstance(one, EmbeddingWithRows)), None)
    head = next((one for one in model.modules() if isinstance(one, HeadWithRows)), None)
    tied = embedding is not None and head is not None and head.row_changes is embedding.row_changes
    return TrainedRows(
        embed=() if embedding is None else embedding.spans,
        head=() if head is None or tied else head.spans,
        tied=tied,
    )


def row_shapes(model: PreTrainedModel, rows: TrainedRows) -> dict[str, tuple[int, int]]:
    """The shape of each tensor that belongs to `rows` on `model`, [rows, width].

    Raises:
        AdapterMismatch: the model has fewer rows, its layers are of a kind of their own, or rows are tied that are not
            tied in the model.
    """
    shapes: dict[str, tuple[int, int]] = {}
    for name, spans, find in ((EMBED_ROWS, rows.embed, embedding_of), (HEAD_ROWS, rows.head, head_of)):
        if not spans:
            continue
        weight = find(model)[1].weight
        if spans[-1][1] > len(weight):
            raise AdapterMismatch(
                f"the adapter has trained row {spans[-1][1] - 1}, and this base has {len(weight)} tokens"
            )
        shapes[name] = (_count(spans), weight.shape[1])
    if rows.tied and head_of(model)[1].weight is not embedding_of(model)[1].weight:
        raise AdapterMismatch("the adapter's rows are tied, and this base does not tie its output layer")
    return shapes


def embedding_of(model: PreTrainedModel) -> tuple[str, nn.Embedding]:
    """The embedding layer below any LoRA, and its name within `model`.

    Raises:
        AdapterMismatch: it is none of torch's own, so that a row's change would mean something else.
    """
    place, layer = _innermost(model, model.get_input_embeddings())
    if type(layer) not in (nn.Embedding, EmbeddingWithRows):
        raise AdapterMismatch(f"trained rows need a plain embedding layer, and {place} is a {_kind(layer)}")
    assert isinstance(layer, nn.Embedding)
    return place, layer


def head_of(model: PreTrainedModel) -> tuple[str, nn.Linear]:
    """The output layer below any LoRA, and its name within `model`.

    Raises:
        AdapterMismatch: there is none, or it is no plain linear layer.
    """
    head: object = model.get_output_embeddings()  # type: ignore[no-untyped-call]  # not annotated upstream
    if not isinstance(head, nn.Module):
        raise AdapterMismatch("trained rows need an output layer, and this base has none of its own")
    place, layer = _innermost(model, head)
    if type(layer) not in (nn.Linear, HeadWithRows):
        raise AdapterMismatch(f"trained rows need a plain output layer, and {place} is a {_kind(layer)}")
    assert isinstance(layer, nn.Linear)
    return place, layer


def base_of(model: PeftModel) -> PreTrainedModel:
    """The transformers model within."""
    base: object = model.get_base_model()
    assert isinstance(base, PreTrainedModel)  # see `recommender.Base`
    return base


def _innermost(model: PreTrainedModel, layer: nn.Module) -> tuple[str, nn.Module]:
    place = next(name for name, module in model.named_modules() if module is layer)
    # LoRA wraps a layer and keeps it below this name.
    while isinstance(below := getattr(layer, "base_layer", None), nn.Module):
        place, layer = f"{place}.base_layer", below
    return place, layer


def _put(model: PeftModel, place: str, layer: nn.Module) -> None:
    parent, _, name = place.rpartition(".")
    setattr(base_of(model).get_submodule(parent), name, layer)


def _count(spans: Spans) -> int:
    return sum(past - first for first, past in spans)


def _kind(layer: nn.Module) -> str:
    return type(layer).__name__


def _spans(plain: Any) -> Spans:
    found = tuple(tuple(span) for span in plain)
    if any(type(edge) is not int for span in found for edge in span):
        raise ValueError
    return found
