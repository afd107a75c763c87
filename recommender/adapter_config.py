"""The complete configuration of a plain LoRA adapter: all that a re-fit needs to make an adapter of the same kind."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from peft import LoraConfig

from recommender.adapters import Adapter
from recommender.errors import AdapterMismatch, ConfigError
from recommender.plain_lora import pattern_problem, plain_lora
from recommender.trained_rows import NO_ROWS, TrainedRows

# PEFT's "all-linear" leaves out the output layer. A base that was not trained on the service's users predicts most of
# the catalogue badly, and without the output layer an adapter cannot correct the items themselves.
LLAMA_LINEAR_LAYERS = (
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head",
)  # fmt: skip

# All of PEFT's options that change the shape, the scale or the initial weights of plain LoRA, with our defaults.
_OPTIONS: Mapping[str, Any] = {
    "alpha_pattern": {},
    "ensure_weight_tying": False,
    "exclude_modules": None,
    "fan_in_fan_out": False,
    "init_lora_weights": True,
    "layers_pattern": None,
    "layers_to_transform": None,
    "rank_pattern": {},
    "task_type": "CAUSAL_LM",
    "use_rslora": False,
}
# Initialisations that need nothing but a generator. EVA also needs activations, by which it distributes the ranks.
_REPEATABLE_STARTS = (True, False, "gaussian", "orthogonal")


@dataclass(frozen=True)
class AdapterConfig:
    """Shape of a LoRA adapter (Hu et al., 2021): rank `r`, scale `alpha / r`, PEFT's `target_modules`.

    `dropout` acts on the adapter's input, in training only. `options` holds the other options of PEFT's `LoraConfig`
    that differ from their defaults, as JSON: `use_rslora`, `rank_pattern`, `alpha_pattern`, `exclude_modules`,
    `layers_to_transform`, `layers_pattern`, `fan_in_fan_out`, `init_lora_weights`, `ensure_weight_tying`,
    `task_type`. `rows` are the rows of the embedding and the output layer that are trained beside the LoRA tensors.

    Raises:
        ConfigError: a value out of range, or an option that is not one of plain LoRA.
    """

    r: int = 32
    alpha: float = 64
    target_modules: str | tuple[str, ...] = LLAMA_LINEAR_LAYERS
    dropout: float = 0.05
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    rows: TrainedRows = NO_ROWS

    def __post_init__(self) -> None:
        if not (self.r >= 1 and 0 < self.alpha < math.inf):
            raise ConfigError(f"r must be at least 1 and alpha positive, got {self.r} and {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")
        if not self.target_modules:
            raise ConfigError("target_modules names no module")
        object.__setattr__(self, "options", _plain_options(self.options))
        try:
            self.to_peft()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the options do not fit together: {error}") from error

    @classmethod
    def of(cls, adapter: Adapter) -> "AdapterConfig":
        """The configuration of an adapter that was made elsewhere.

        Raises:
            AdapterMismatch: it is not plain LoRA, or a re-fit cannot repeat its initialisation; the message names the
                option.
        """
        lora, start = plain_lora(adapter.config), adapter.config.get("init_lora_weights", True)
        if start not in _REPEATABLE_STARTS:
            raise AdapterMismatch(f"init_lora_weights={start!r} is a start that a re-fit cannot repeat")
        modules = lora.target_modules
        assert modules is not None  # plain_lora requires them
        return cls(
            r=lora.r,
            alpha=lora.lora_alpha,
            target_modules=modules if isinstance(modules, str) else tuple(sorted(modules)),
            dropout=lora.lora_dropout,
            options={name: getattr(lora, name) for name in _OPTIONS} | {"init_lora_weights": start},
            rows=adapter.rows,
        )

    def to_peft(self) -> LoraConfig:
        """The equivalent `LoraConfig` of PEFT; `rows` are not in it, see `recommender.adapters.trainable`."""
        modules = self.target_modules
        options = {"task_type": _OPTIONS["task_type"], **copy.deepcopy(dict(self.options))}
        return LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # any number to PEFT, but for its annotation
            target_modules=modules if isinstance(modules, str) else list(modules),
            lora_dropout=self.dropout,
            **options,
        )

    def to_plain(self) -> dict[str, Any]:
        """The JSON form; without options and rows it is the form of the first releases."""
        modules = self.target_modules
        plain: dict[str, Any] = {
            "r": self.r,
            "alpha": self.alpha,
            "target_modules": modules if isinstance(modules, str) else list(modules),
            "dropout": self.dropout,
        }
        if self.options:
            plain["options"] = copy.deepcopy(dict(self.options))
        if self.rows:
            plain["rows"] = self.rows.to_plain()
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "AdapterConfig":
        """Read the output of `to_plain`, of this release or an earlier one.

        Raises:
            ConfigError: a value out of range.
        """
        modules, rows = plain["target_modules"], TrainedRows.from_plain(plain.get("rows"))
        modules = modules if isinstance(modules, str) else tuple(modules)
        return cls(**{**plain, "target_modules": modules, "rows": rows})


def _plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options in JSON types, sorted, without those at their default, so that equal configurations compare equal."""
    unknown = sorted(options.keys() - _OPTIONS.keys())
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: not an option of plain LoRA")
    found = {}
    for name in sorted(options):
        value = options[name]
        if isinstance(value, set | frozenset):
            value = sorted(value)
        elif isinstance(value, tuple):
            value = list(value)
        if name in ("rank_pattern", "alpha_pattern") and value:
            if problem := pattern_problem(name, value):
                raise ConfigError(problem)
            value = {key: value[key] for key in sorted(value)}
        if name == "init_lora_weights" and value not in _REPEATABLE_STARTS:
            raise ConfigError(f"init_lora_weights must be one of {_REPEATABLE_STARTS}, got {value!r}")
        if value != _OPTIONS[name] and not (value is None and _OPTIONS[name] == {}):
            found[name] = value
    return found
