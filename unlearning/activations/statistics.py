"""Activation sums of an adapter, additive over sequences.

For each LoRA module m and each site, the statistics hold the sums over tokens of |v| and v^2, where v is

* `bottleneck`: z_m = A_m x, one value per rank channel [r];
* `output`: s * B_m z_m, the adapter's own contribution to each output row [d_out];
* `input`: x, one value per input column [d_in].

For some sites they also hold the sum of v vᵀ, the second moments. These give the mean square along any direction,
not only along the adapter's own channels.

Sums add and subtract: the retained users' sums are all users' sums minus the subjects' (methods of U-CAN 1.5,
"cached retain sums"; our reconstruction). The sums are derived personal data: keep them no longer than the adapter
version they belong to.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from unlearning.errors import InvalidStatistics, StatisticsMismatch

Site = Literal["bottleneck", "output", "input"]
TokenScope = Literal["all", "last"]

_SCHEMA = "activation-statistics/2"
# The first schema had no second moments; such files are still read.
_READABLE = ("activation-statistics/1", _SCHEMA)
# float32 partial sums per batch round at about 1e-7; a larger difference means other users.
_NEGATIVE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class UnitSums:
    """Sums over tokens for every unit of one site: `absolute` = sum |v|, `squares` = sum v^2, float64 [units].

    `moments` = sum v vᵀ, float64 [units, units], or None where it was not collected.
    """

    absolute: Tensor
    squares: Tensor
    moments: Tensor | None = None

    def __add__(self, other: UnitSums) -> UnitSums:
        """Sums over the tokens of both operands."""
        return UnitSums(
            self.absolute + other.absolute,
            self.squares + other.squares,
            None if self.moments is None or other.moments is None else self.moments + other.moments,
        )

    def __sub__(self, other: UnitSums) -> UnitSums:
        """Sums over the tokens of `self` that are not in `other`; see `ActivationStatistics.__sub__`."""
        return UnitSums(
            _difference(self.absolute, other.absolute),
            _difference(self.squares, other.squares),
            # The diagonal equals `squares`, which is checked above. Off the diagonal, either sign is possible.
            None if self.moments is None or other.moments is None else self.moments - other.moments,
        )


@dataclass(frozen=True)
class ActivationStatistics:
    """Sums of |v| and v^2 over `tokens` tokens of `sequences` sequences, for each module and site.

    `adapter_digest` names the adapter that the activations belong to; sums of different adapters are never combined.
    """

    adapter_digest: str
    token_scope: TokenScope
    sequences: int
    tokens: int
    sums: Mapping[str, Mapping[Site, UnitSums]]

    @property
    def sites(self) -> tuple[Site, ...]:
        """The collected sites, the same in every module."""
        return tuple(sorted(next(iter(self.sums.values()))))

    @property
    def moments(self) -> tuple[Site, ...]:
        """The sites whose second moments were collected, the same in every module."""
        held = next(iter(self.sums.values()))
        return tuple(site for site in self.sites if held[site].moments is not None)

    def mean_absolute(self, module: str, site: Site) -> Tensor:
        """Mean |v| per unit, float64 [units]."""
        return self._of(module, site).absolute / self.tokens

    def root_mean_square(self, module: str, site: Site) -> Tensor:
        """sqrt(mean v^2) per unit, float64 [units]."""
        return (self._of(module, site).squares / self.tokens).sqrt()

    def norm(self, module: str, site: Site) -> Tensor:
        """sqrt(sum v^2) per unit, float64 [units]: the activation norm of the Wanda score."""
        return self._of(module, site).squares.sqrt()

    def deviation_absolute(self, module: str, site: Site) -> Tensor:
        """Standard deviation of |v| per unit, float64 [units]."""
        sums = self._of(module, site)
        variance = sums.squares / self.tokens - (sums.absolute / self.tokens) ** 2
        return variance.clamp_min(0).sqrt()

    def second_moments(self, module: str, site: Site) -> Tensor:
        """Mean v vᵀ, float64 [units, units]. Raises StatisticsMismatch if it was not collected."""
        sums = self._of(module, site)
        if sums.moments is None:
            raise StatisticsMismatch(
                f"the statistics hold no second moments of {site}; collect them with moments=({site!r},)"
            )
        return sums.moments / self.tokens

    def restricted_to(self, sites: Sequence[Site], moments: Sequence[Site] = ()) -> ActivationStatistics:
        """The same statistics with these sites only, and with second moments of `moments` only.

        Raises:
            StatisticsMismatch: one of these sites or moments was not collected.
        """
        first = next(iter(self.sums))
        for site in sites:
            self._of(first, site)
        for site in moments:
            self.second_moments(first, site)
        sums: dict[str, dict[Site, UnitSums]] = {
            module: {
                site: held[site] if site in moments else replace(held[site], moments=None) for site in sites
            }
            for module, held in self.sums.items()
        }
        return replace(self, sums=sums)

    def __add__(self, other: ActivationStatistics) -> ActivationStatistics:
        """Sums over the sequences of both."""
        self._check_same_source(other)
        return self._combined(other, operator.add)

    def __sub__(self, other: ActivationStatistics) -> ActivationStatistics:
        """Sums over the sequences of `self` that are not in `other`.

        Raises StatisticsMismatch where `other` cannot be a part of `self`: no token would be left, or a sum
        of non-negative values would become negative by more than rounding.
        """
        self._check_same_source(other)
        if self.tokens <= other.tokens or self.sequences <= other.sequences:
            raise StatisticsMismatch(
                f"cannot take {other.sequences} sequences ({other.tokens} tokens) out of {self.sequences} "
                f"({self.tokens} tokens): collect the cached statistics over all training users of this version"
            )
        return self._combined(other, operator.sub)

    def to_bytes(self) -> bytes:
        """A safetensors file; `from_bytes` reads it back."""
        tensors = {
            f"{module}|{site}|{kind}": getattr(sums, kind).contiguous()
            for module, sites in self.sums.items()
            for site, sums in sites.items()
            for kind in ("absolute", "squares", "moments")
            if getattr(sums, kind) is not None
        }
        header = {
            "schema": _SCHEMA,
            "adapter_digest": self.adapter_digest,
            "token_scope": self.token_scope,
            "sequences": self.sequences,
            "tokens": self.tokens,
        }
        return save_tensors(tensors, metadata={"statistics": json.dumps(header, sort_keys=True)})

    @classmethod
    def from_bytes(cls, data: bytes) -> ActivationStatistics:
        """Read `to_bytes` output. Raises InvalidStatistics for anything else."""
        try:
            header = _read_header(data)
            tensors = load_tensors(data)
            sums: dict[str, dict[Site, UnitSums]] = {}
            for name in tensors:
                module, site, kind = name.split("|")
                if kind == "absolute":
                    sums.setdefault(module, {})[cast(Site, site)] = UnitSums(
                        tensors[name],
                        tensors[f"{module}|{site}|squares"],
                        tensors.get(f"{module}|{site}|moments"),
                    )
            statistics = cls(
                adapter_digest=str(header["adapter_digest"]),
                token_scope=cast(TokenScope, header["token_scope"]),
                sequences=int(cast(int, header["sequences"])),
                tokens=int(cast(int, header["tokens"])),
                sums=sums,
            )
        except (SafetensorError, KeyError, ValueError, TypeError) as problem:
            raise InvalidStatistics(
                f"these are not readable activation statistics ({problem}); collect them again"
            ) from problem
        _check_values(statistics, len(tensors))
        return statistics

    def _of(self, module: str, site: Site) -> UnitSums:
        if module not in self.sums:
            raise StatisticsMismatch(f"no statistics for module {module}; collect them with this adapter")
        if site not in self.sums[module]:
            raise StatisticsMismatch(
                f"the statistics hold {', '.join(self.sites)} but this configuration needs {site}; "
                f"collect them with sites=({site!r},)"
            )
        return self.sums[module][site]

    def _check_same_source(self, other: ActivationStatistics) -> None:
        if self.adapter_digest != other.adapter_digest:
            raise StatisticsMismatch("the statistics belong to different adapter versions")
        if self.token_scope != other.token_scope:
            raise StatisticsMismatch(
                f"one set of statistics covers {self.token_scope} tokens, the other {other.token_scope}"
            )
        if (self.sums.keys(), self.sites, self.moments) != (other.sums.keys(), other.sites, other.moments):
            raise StatisticsMismatch("the statistics cover different modules or sites")

    def _combined(
        self, other: ActivationStatistics, operation: Callable[[Any, Any], Any]
    ) -> ActivationStatistics:
        sums: dict[str, dict[Site, UnitSums]] = {
            module: {site: operation(sites[site], other.sums[module][site]) for site in sites}
            for module, sites in self.sums.items()
        }
        return ActivationStatistics(
            self.adapter_digest,
            self.token_scope,
            operation(self.sequences, other.sequences),
            operation(self.tokens, other.tokens),
            sums,
        )


def _difference(whole: Tensor, part: Tensor) -> Tensor:
    remainder = whole - part
    if bool((remainder < -_NEGATIVE_TOLERANCE * whole).any()):
        raise StatisticsMismatch(
            "the subjects' sums exceed the cached sums: these users are not in the cache"
        )
    return remainder.clamp_min(0)


def _read_header(data: bytes) -> dict[str, object]:
    # safe_open wants a file; the header is at the front of the bytes: 8 bytes of length, then JSON.
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    header = json.loads(metadata["statistics"])
    if header["schema"] not in _READABLE:
        raise ValueError(f"schema {header['schema']}, expected one of {', '.join(_READABLE)}")
    return cast(dict[str, object], header)


def _check_values(statistics: ActivationStatistics, tensors: int) -> None:
    records = [sums for sites in statistics.sums.values() for sums in sites.values()]
    squared = [sums for sums in records if sums.moments is not None]
    kinds = {
        tuple(sorted((site, sums.moments is not None) for site, sums in sites.items()))
        for sites in statistics.sums.values()
    }
    complete = 2 * len(records) + len(squared) == tensors and len(kinds) == 1
    valid = all(
        kind.dtype == torch.float64 and bool(torch.isfinite(kind).all()) and bool((kind >= 0).all())
        for sums in records
        for kind in (sums.absolute, sums.squares)
    ) and all(_are_moments(sums) for sums in squared)
    if not (records and complete and valid and statistics.tokens > 0 and statistics.sequences > 0):
        raise InvalidStatistics("the activation statistics hold impossible values; collect them again")
    if statistics.token_scope not in ("all", "last"):
        raise InvalidStatistics(f"unknown token scope {statistics.token_scope!r}")


def _are_moments(sums: UnitSums) -> bool:
    """Whether `moments` can be a sum of v vᵀ: square, symmetric, finite, with the squares on its diagonal."""
    moments = sums.moments
    assert moments is not None
    units = len(sums.squares)
    return (
        moments.dtype == torch.float64
        and moments.shape == (units, units)
        and bool(torch.isfinite(moments).all())
        and bool(torch.equal(moments, moments.T))
        and torch.allclose(moments.diagonal(), sums.squares, rtol=_NEGATIVE_TOLERANCE, atol=0.0)
    )
