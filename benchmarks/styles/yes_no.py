"""The regime of yes and no: a small Llama of our own that says whether a user will like one more item.

An event is an item with the user's rating, of which the style keeps whether it is above 3. Events without a rating are
left out. Each event has one prompt: no candidates are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.fits import OnStep
from benchmarks.population import Population, load_population
from benchmarks.study.summary import Terms
from benchmarks.styles.regimes import SmallRegime
from recommender import AdapterConfig, Catalogue, DataError, InteractionData, TrainingConfig, save_base
from recommender.styles.yes_no import YesNoStyle
from recommender.text_base import TextBaseConfig, build_text_base, yes_no_style
from unlearning.records import to_plain

# E2URec asks about no event with fewer than five events before it, and shows the latest ten.
_FIRST_TARGET, _SHOWN, _TITLE_TOKENS = 5, 10, 3
_FRAME: list[dict[str, Any]] = [
    {"text": "Liked: "},
    {
        "slot": "history",
        "where": "liked",
        "item": "{title}",
        "sep": "; ",
        "max": _SHOWN,
        "title_tokens": _TITLE_TOKENS,
    },
    {"text": "\nDisliked: "},
    {
        "slot": "history",
        "where": "disliked",
        "item": "{title}",
        "sep": "; ",
        "max": _SHOWN,
        "title_tokens": _TITLE_TOKENS,
    },
    {"text": "\nAnd "},
    {"slot": "target", "item": "{title}", "title_tokens": _TITLE_TOKENS},
    {"text": "?\n"},
    {"slot": "answer"},
]


@dataclass(frozen=True)
class YesNoRegime(SmallRegime):
    """A small Llama of our own, trained on the panel's labels."""

    users: int = 60
    outsiders: int = 20
    panel_users: int = 60
    events: int = 13
    retained: int = 60
    text_base: TextBaseConfig = field(default_factory=TextBaseConfig)
    base_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=3, lr=2e-3, patience=None)
    )
    adapter_config: AdapterConfig = field(default_factory=lambda: AdapterConfig(dropout=0.0))
    adapter_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=20, lr=2e-3, batch_size=8, patience=None)
    )

    @property
    def style(self) -> str:
        """Yes and no."""
        return YesNoStyle.name

    @property
    def terms(self) -> Terms:
        """As for other small regimes, by how far the area under the curve lies above chance."""
        return Terms(
            "held_out_auc_above_chance", "forget_auc_above_chance", held_out_ratio=1.0, own_tail_ratio=1.5
        )

    def whole(self, data: Path) -> Population:
        """Everybody's rated events; who has too few to be asked about one is left out.

        Raises:
            DataError: the data has no ratings.
        """
        found, asked = load_population(data, _rated), _FIRST_TARGET + 1
        service = tuple(split for split in found.service if len(split.train) >= asked)
        return replace(
            found,
            panel=tuple(history for history in found.panel if len(history) >= asked),
            service=service,
            outsiders=tuple(split for split in found.outsiders if len(split.train) >= asked),
        )

    def base_key(self, population: Population) -> dict[str, object]:
        """The panel, the shape, the frame and the training."""
        return {
            "panel": population.panel,
            "titles": population.catalogue.titles,
            "shape": to_plain(self.text_base),
            "frame": _FRAME,
            "training": self.base_training.to_plain(),
        }

    def write_base(self, population: Population, folder: Path, on_step: OnStep | None) -> None:
        """Train the Llama on the panel."""
        style = _style(population.catalogue)
        model = build_text_base(style, population.panel, self.text_base, self.base_training, on_step=on_step)
        save_base(model, population.catalogue, style, folder)


@lru_cache(maxsize=1)
def _style(catalogue: Catalogue) -> YesNoStyle:
    return yes_no_style(
        catalogue, frames=[_FRAME], max_tokens=256, supervise="answer", first_target=_FIRST_TARGET
    )


def _rated(data: InteractionData, user_id: str) -> tuple[int, ...]:
    """The rated events of one user in time order, as the style numbers them."""
    if not data.ratings:
        raise DataError(f"{YesNoStyle.name} needs ratings, and the data has none")
    style = _style(data.catalogue)
    rated = zip(data.items(user_id), data.ratings[user_id], strict=True)
    return tuple(style.event(item, rating) for item, rating in rated if rating is not None)
