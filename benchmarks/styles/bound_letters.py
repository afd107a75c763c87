"""The regime of letters: a small Llama of our own, which finds the letter beside a title before it knows any title.

The titles are one token each, so a prompt has about 35 tokens, and thousands of prompts can be fitted on a processor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fits import OnStep
from benchmarks.population import Population
from benchmarks.study.summary import Terms
from benchmarks.styles.regimes import ALL_LAYERS, SmallRegime, with_events_of_panel
from recommender import AdapterConfig, TrainingConfig, save_base
from recommender.styles.letters import LettersStyle
from recommender.text_base import SHORT_LETTERS, TextBaseConfig, build_letters_base, short_letters_style
from unlearning.records import to_plain


@dataclass(frozen=True)
class BoundLettersRegime(SmallRegime):
    """Ten candidates an event, from a Llama that is trained on the panel.

    Attributes:
        panel_events: how many of each panel user's latest events train the base.
        draws: the number of draws of candidates over which a loss is averaged.
    """

    users: int = 80
    outsiders: int = 20
    panel_users: int = 94
    events: int = 8
    retained: int = 80
    panel_events: int = 60
    draws: int = 2
    text_base: TextBaseConfig = field(default_factory=TextBaseConfig)
    base_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=10, lr=1e-3, batch_size=64, schedule="constant", patience=None
        )
    )
    adapter_config: AdapterConfig = field(
        default_factory=lambda: AdapterConfig(r=32, alpha=64, target_modules=ALL_LAYERS, dropout=0.0)
    )
    adapter_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=20, lr=3e-3, batch_size=16, patience=None)
    )

    @property
    def style(self) -> str:
        """Letters."""
        return LettersStyle.name

    @property
    def terms(self) -> Terms:
        """As for other small regimes, but with recall at 1: a prompt offers ten candidates, so recall at 10 is 1."""
        return Terms("held_out_recall@1", "forget_recall@1", held_out_ratio=1.0, own_tail_ratio=1.5)

    def population(self, data: Path) -> Population:
        """The population of a small regime, with more events of the panel's users."""
        return with_events_of_panel(self.whole(data), super().population(data), self.panel_events)

    def base_key(self, population: Population) -> dict[str, object]:
        """The panel, the shape, the frame and the training."""
        return {
            "panel": population.panel,
            "titles": population.catalogue.titles,
            "shape": to_plain(self.text_base),
            "frame": SHORT_LETTERS,
            "draws": self.draws,
            "binding": 1,
            "training": self.base_training.to_plain(),
        }

    def write_base(self, population: Population, folder: Path, on_step: OnStep | None) -> None:
        """Train the Llama on the panel."""
        style = short_letters_style(population.catalogue, draws=self.draws)
        model = build_letters_base(
            style, population.panel, self.text_base, self.base_training, on_step=on_step
        )
        save_base(model, population.catalogue, style, folder)
