"""Which of PEFT's configurations are plain LoRA: "W + scale * B A", on which every method relies."""

import math
from collections.abc import Mapping
from typing import Any

from peft import LoraConfig

from recommender.errors import AdapterMismatch
from recommender.trained_rows import ROWS_OPTION

# With any of these set, the adapter is not of the form "W + scale * B A", on which every method relies.
_REFUSED_WHEN_SET = (
    "use_dora", "lora_bias", "modules_to_save", "trainable_token_indices", "layer_replication",
    "target_parameters", "alora_invocation_tokens", "arrow_config", "use_qalora", "use_bdlora",
    "kasa_config", "monteclora_config", "velora_config", "megatron_config",
)  # fmt: skip

# Other initialisations (PiSSA, OLoRA, LoftQ, …) subtract the initial adapter from the base weights, which all versions
# share.
_HARMLESS_STARTS = (True, False, "gaussian", "orthogonal", "eva")

# Options that name a folder, a model or a release and have no effect on the tensors.
_NOT_OF_THE_SHAPE = ("auto_mapping", "peft_version", "runtime_config")


def plain_lora(config: Mapping[str, Any]) -> LoraConfig:
    """PEFT's configuration object for a saved `adapter_config.json`, for inference.

    Raises:
        AdapterMismatch: it is not plain LoRA, or an option is missing or not valid; the message names it.
    """
    if config.get("peft_type") != "LORA":
        raise AdapterMismatch(f"only LoRA adapters are supported, not peft_type {config.get('peft_type')!r}")
    for name, whole in (("r", True), ("lora_alpha", False)):
        # PEFT would use its default of 8 without a word, which is another model.
        if not _is_positive(config.get(name), whole=whole):
            raise AdapterMismatch(f"the adapter config needs a positive {name}, got {config.get(name)!r}")
    if not config.get("target_modules"):
        # Likewise, PEFT would choose modules by the kind of model.
        raise AdapterMismatch("the adapter config needs target_modules")
    if config.get("bias", "none") != "none":
        raise AdapterMismatch(f"adapters that train biases are not supported (bias={config['bias']!r})")
    start = config.get("init_lora_weights", True)
    if not isinstance(start, bool | str) or start not in _HARMLESS_STARTS:
        raise AdapterMismatch(f"init_lora_weights={start!r} changes the base weights")
    refused = [name for name in _REFUSED_WHEN_SET if config.get(name)]
    unknown = [
        name
        for name in config
        if name not in LoraConfig.__dataclass_fields__ and name != ROWS_OPTION and config[name]
    ]
    if refused or unknown:
        raise AdapterMismatch(f"the adapter is not plain LoRA: {', '.join(refused + unknown)} set")
    for name in ("rank_pattern", "alpha_pattern"):
        if problem := pattern_problem(name, config.get(name) or {}):
            raise AdapterMismatch(problem)
    # An option that is null counts as not set.
    fields: dict[str, Any] = {
        name: value
        for name, value in config.items()
        if name in LoraConfig.__dataclass_fields__ and name not in _NOT_OF_THE_SHAPE and value is not None
    }
    for name in ("rank_pattern", "alpha_pattern"):
        # PEFT takes the first name that matches; files and manifests keep names in sorted order.
        fields[name] = dict(sorted(fields.get(name, {}).items()))
    try:
        return LoraConfig(**{**fields, "inference_mode": True, "init_lora_weights": True})
    except (TypeError, ValueError) as error:
        raise AdapterMismatch(f"the adapter config is not valid: {error}") from error


def pattern_problem(name: str, pattern: Any) -> str | None:
    """What is wrong with a `rank_pattern` or `alpha_pattern` of PEFT; None if nothing is."""
    whole = name == "rank_pattern"
    if not isinstance(pattern, Mapping):
        return f"{name} must map names of modules to numbers, got {pattern!r}"
    for key, value in pattern.items():
        if not isinstance(key, str) or not _is_positive(value, whole=whole):
            return f"{name} needs a positive {'whole ' * whole}number per name, got {value!r} for {key!r}"
    return None


def _is_positive(value: Any, *, whole: bool) -> bool:
    kinds = int if whole else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf
