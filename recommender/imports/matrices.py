"""An embedding or output layer in an adapter folder: what of it is the base's, and what has been trained.

PEFT saves such a layer in several ways: whole where the vocabulary grew, trained or not; with a copy of what it was
(`original_module`, `base_layer`) beside what it has become (`modules_to_save`); or as the rows of some tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recommender.errors import AdapterMismatch
from recommender.imports.report import Report
from recommender.operators_adapter import differing

_WHOLE, _TRAINED, _ROWS = "weight", "modules_to_save.weight", "token_adapter.trainable_tokens_delta"
_ORIGINALS = ("original_module.weight", "base_layer.weight", "token_adapter.base_layer.weight")
# The least cosine of a trained matrix and what it was. Unrelated ones have 0.00 even where they are small. One that
# began near zero may be trained to several times its length, so the distance says nothing.
_LEAST_COSINE = 0.2


@dataclass(frozen=True)
class Matrix:
    """What the folder holds of one layer. All whole tensors are [tokens, width], `values` [len(tokens), width].

    `whole` may have been trained or not, `trained` has been, `original` has not. `tokens` are the ids whose rows are
    trained one by one, in rising order.
    """

    what: str
    whole: Tensor | None = None
    trained: Tensor | None = None
    original: Tensor | None = None
    tokens: tuple[int, ...] = ()
    values: Tensor | None = None

    @property
    def size(self) -> int:
        """How many tokens the whole tensors have; 0 where there are none."""
        return next((len(one) for one in (self.original, self.trained, self.whole) if one is not None), 0)

    @property
    def is_saved(self) -> bool:
        """Whether the folder holds anything of the layer."""
        return self.size > 0 or self.values is not None


@dataclass(frozen=True)
class Resolved:
    """What the base must hold, [tokens, width], and what the layer was trained to, of the same shape; None: nothing.

    `named` are the rows that are trained whether they differ or not.
    """

    start: Tensor
    trained: Tensor | None
    named: tuple[int, ...] = ()


def names_of(place: str) -> tuple[str, ...]:
    """All names under which a folder may hold the weight of the layer at `place`."""
    return tuple(f"{place}.{end}" for end in (_WHOLE, _TRAINED, _ROWS, *_ORIGINALS))


def find_matrix(place: str, what: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Matrix:
    """What the folder holds of the layer at `place`.

    Raises:
        AdapterMismatch: the tensors contradict each other or the config.
    """
    whole, trained = tensors.get(f"{place}.{_WHOLE}"), tensors.get(f"{place}.{_TRAINED}")
    originals = [tensors[name] for end in _ORIGINALS if (name := f"{place}.{end}") in tensors]
    if trained is None and is_named(place, config.get("modules_to_save")):
        # Without a grown vocabulary PEFT writes the trained copy under the layer's own name.
        whole, trained = None, whole
        if trained is None:
            raise AdapterMismatch(f"the adapter lacks the {what}, which modules_to_save says it has trained")
    if trained is not None and whole is not None:
        if not torch.equal(trained, whole):
            raise AdapterMismatch(f"the adapter folder holds two {what}s that differ")
        whole = None
    original = originals[0] if originals else None
    tokens, values = _tokens(place, what, config, tensors.get(f"{place}.{_ROWS}"))
    shapes = {tuple(one.shape) for one in (whole, trained, original) if one is not None}
    if len(shapes) > 1:
        raise AdapterMismatch(f"the adapter folder holds the {what} in several shapes: {sorted(shapes)}")
    return Matrix(what, whole, trained, original, tokens, values)


def resolve(matrix: Matrix, base: Tensor, report: Report, *, added_untrained: bool = False) -> Resolved:
    """Tell what is the base's from what was trained; `base` is the layer as it is, [tokens, width].

    Args:
        added_untrained: the operator says that rows of added tokens were not trained. The folder does not show it where
            it holds the layer whole and no copy of what it was.

    Raises:
        AdapterMismatch: the layer is of another base.
    """
    what, size = matrix.what, max(matrix.size, len(base))
    for one in (matrix.original, matrix.trained, matrix.whole, matrix.values):
        if one is not None and (one.ndim != 2 or one.shape[1] != base.shape[1]):
            raise AdapterMismatch(
                f"the adapter is of another base: its {what} has shape {tuple(one.shape)}, this base's"
                f" {tuple(base.shape)}"
            )
    if 0 < matrix.size < len(base):
        raise AdapterMismatch(
            f"the adapter is of another base: its {what} has {matrix.size} tokens, this base's {len(base)}"
        )
    if matrix.tokens and matrix.tokens[-1] >= size:
        raise AdapterMismatch(
            f"the adapter has trained token {matrix.tokens[-1]}, and base and folder hold {size}: bring the base as it"
            " was when its vocabulary had grown"
        )
    if matrix.original is not None:
        start = _frozen(matrix.original, base, what, report)
        trained = matrix.trained if matrix.trained is not None else matrix.whole
    else:
        start, trained = _without_original(matrix, base, report, added_untrained=added_untrained)
    if matrix.values is not None:
        trained = start.to(torch.promote_types(start.dtype, matrix.values.dtype), copy=True)
        trained[list(matrix.tokens)] = matrix.values.to(trained.dtype)
    return Resolved(start, trained, matrix.tokens)


def is_named(place: str, modules: Any) -> bool:
    """Whether PEFT's list of modules names the one at `place`."""
    return isinstance(modules, list | tuple) and any(
        place == name or place.endswith(f".{name}") for name in modules
    )


def indices_named(place: str, what: str, config: Mapping[str, Any]) -> list[int]:
    """The token ids in `trainable_token_indices` for the layer at `place`, in PEFT's order."""
    given = config.get("trainable_token_indices") or {}
    if isinstance(given, list):
        given = {place: given} if what.startswith("embedding") else {}
    found = [ids for name, ids in given.items() if is_named(place, [name])]
    return list(found[0]) if found else []


def _tokens(
    place: str, what: str, config: Mapping[str, Any], values: Tensor | None
) -> tuple[tuple[int, ...], Tensor | None]:
    indices = indices_named(place, what, config)
    if values is None and indices:
        raise AdapterMismatch(f"the adapter lacks the rows of the {what} that trainable_token_indices names")
    if values is None:
        return (), None
    if not indices:
        # A tied output layer has no indices of its own, and shares the embedding's.
        return (), None
    if len(indices) != len(values) or len(set(indices)) != len(indices) or min(indices) < 0:
        raise AdapterMismatch(f"trainable_token_indices and the saved rows of the {what} do not fit together")
    order = sorted(range(len(indices)), key=indices.__getitem__)
    return tuple(indices[place] for place in order), values[order]


def _frozen(original: Tensor, base: Tensor, what: str, report: Report) -> Tensor:
    """The base's rows by the copy that PEFT kept and did not train; most of them must be this base's."""
    changed = differing(base, original[: len(base)]).any(1).nonzero().flatten().tolist()
    if 2 * len(changed) > len(base):
        raise AdapterMismatch(
            f"the adapter is of another base: {len(changed)} of {len(base)} rows of its original {what} differ from"
            " this base's"
        )
    if changed:
        report.add(
            what,
            "base",
            f"{len(changed)} rows of the original copy differ from the base's (first {changed[0]}): they were changed"
            " before training and kept still, and are the new base's",
        )
    else:
        report.add(what, "dropped", "the original copy is equal to the base's")
    start = original.to(torch.promote_types(base.dtype, original.dtype), copy=True)
    same = torch.ones(len(base), dtype=torch.bool)
    same[changed] = False
    start[: len(base)][same] = base[same].to(start.dtype)
    return start


def _without_original(
    matrix: Matrix, base: Tensor, report: Report, *, added_untrained: bool
) -> tuple[Tensor, Tensor | None]:
    found = matrix.trained if matrix.trained is not None else matrix.whole
    if found is None:
        return base, None
    old = found[: len(base)]
    rows = differing(base, old).any(1)
    alike = float(torch.cosine_similarity(old.float().flatten(), base.float().flatten(), dim=0))
    if bool(rows.any()) and not alike >= _LEAST_COSINE:
        raise AdapterMismatch(
            f"the adapter is of another base: its {matrix.what} is as unlike this base's as an unrelated one (cosine"
            f" {alike:.2f}); bring the base that it was trained on"
        )
    grown = len(found) - len(base)
    if matrix.trained is None and not bool(rows.any()) and (added_untrained or not grown):
        report.add(matrix.what, "dropped", f"its first {len(base)} rows are equal to the base's")
        start = torch.cat([base, found[len(base) :].to(base.dtype)]) if grown else base
        return start, None
    if matrix.trained is None and bool(rows.any()):
        report.add(
            matrix.what,
            "note",
            "modules_to_save does not name it, and it differs from the base's: it was trained",
        )
    if not grown:
        return base, found
    report.add(
        matrix.what,
        "base",
        f"what the {grown} added rows were before training is not in the folder: in the base they are the mean row, and"
        " all that they hold counts as trained (--added-rows-untrained, if you know that they were not)",
    )
    mean = base.float().mean(0, keepdim=True).to(base.dtype)
    return torch.cat([base, mean.expand(grown, -1)]), found
