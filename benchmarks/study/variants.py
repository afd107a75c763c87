"""The rows of the tables: each is a named method with the configuration found for it on development users."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from unlearning import METHODS, Method, build_method
from unlearning.records import to_plain

TUNED_FILE = Path(__file__).parent / "tuned.json"
CONTROLS = ("do_nothing", "uniform_shrink", "drop_adapter", "retain_only")
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "ucan_without_contrast": {"use_contrast": False},
    "ucan_without_utility": {"use_utility": False},
    "ucan_without_soft": {"hard_prune": True},
}
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class UnknownBenchmarkMethod(ValueError):
    """The method's name is unknown to the benchmark; the message lists the known names."""


@dataclass(frozen=True)
class Variant:
    """A row: its name, and the method with its configuration."""

    row: str
    name: str
    config: Mapping[str, Any]

    @cached_property
    def method(self) -> Method:
        """The method itself."""
        return build_method(self.name, self.config)

    def plain(self) -> dict[str, Any]:
        """The whole configuration, defaults included."""
        return dict(to_plain(self.method.config))


# A training that never looks at the subjects. It shows what a little more training on the retained users does alone.
RETAIN_ONLY = Variant("retain_only", "gradient_difference", {"forget_weight": 0.0})


@dataclass(frozen=True)
class Tuned:
    """Configurations by setting and method, from `lethe bench tune`. Methods without an entry keep their defaults."""

    chosen: Mapping[str, Mapping[str, Mapping[str, Any]]]

    @classmethod
    def load(cls, path: Path = TUNED_FILE) -> Tuned:
        """Read the file that `lethe bench tune --json` wrote. Without the file, every method keeps its defaults."""
        return cls(json.loads(path.read_text())["chosen"]) if path.is_file() else cls({})

    def variant(self, name: str, setting: str) -> Variant:
        """The method with the configuration found for this setting."""
        return Variant(name, name, self.chosen.get(setting, {}).get(name, {}))


def check_methods(names: Sequence[str]) -> None:
    """Check the names before anything is computed.

    Raises:
        UnknownBenchmarkMethod: no method is named, or an unknown one.
    """
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise UnknownBenchmarkMethod(
            f"unknown methods: {', '.join(unknown) or 'none given'}; choose from {', '.join(METHODS)}"
        )


def rows(names: Sequence[str], setting: str, tuned: Tuned) -> list[Variant]:
    """The methods of one scenario, in registry order. The controls are in every table."""
    wanted = {*names, *CONTROLS}
    return [*(tuned.variant(name, setting) for name in METHODS if name in wanted), RETAIN_ONLY]


def paper_rows(tuned: Tuned, *, sweep: bool = True) -> list[Variant]:
    """What the U-CAN paper's ablation and threshold sweep need: U-CAN with one thing changed at a time."""
    full = tuned.variant("ucan", "batch").config
    return [
        Variant("ucan_default", "ucan", {}),
        *(Variant(row, "ucan", {**full, **change}) for row, change in ABLATIONS.items()),
        *(
            Variant(f"ucan_threshold_{threshold:g}", "ucan", {**full, "threshold": threshold})
            for threshold in (THRESHOLDS if sweep else ())
        ),
    ]
