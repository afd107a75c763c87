"""Regimes of the other prompt styles: small enough for a processor, with something to forget.

In these styles each event is a prompt of about a hundred tokens. Item tokens read a user in one forward pass; here it
takes one pass per event. So these studies use a part of the users, and only the latest events of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.fits import OnStep, Regime
from benchmarks.population import DEVELOPMENT_SHARE, Population, load_population
from benchmarks.study.summary import Terms
from benchmarks.styles.frozen_layers import with_frozen_layers
from benchmarks.styles.panel_index import panel_index
from benchmarks.styles.smollm2 import convert, gguf_file
from recommender import AdapterConfig, Base, ConfigError, Split, TrainingConfig, load_base, save_base
from recommender.catalogue import CATALOGUE_FILE
from recommender.choices import Window
from recommender.styles.files import save_style
from recommender.styles.letters import LettersStyle
from recommender.styles.semantic_ids import SemanticIdsStyle
from recommender.styles.text import load_tokenizer
from recommender.text_base import LETTERS, TextBaseConfig, build_text_base, semantic_ids_style
from unlearning import Policy, default_policy
from unlearning.records import to_plain

_ADAPTED = ("q_proj", "k_proj", "v_proj")
ALL_LAYERS = (*_ADAPTED, "o_proj", "gate_proj", "up_proj", "down_proj")
_LETTERS = "ABCDEFGHIJ"
_LETTER_FRAME: list[dict[str, Any]] = [
    {"text": "Watched:\n"},
    {"slot": "history", "item": "{title}", "sep": "\n", "max": 5, "title_tokens": 5},
    {"text": "\nNext:\n"},
    {"slot": "candidates", "item": "{title} ={label}", "sep": "\n", "title_tokens": 5},
    {"text": "\nThe next one is ="},
    {"slot": "answer"},
]
_SID_FRAME: list[dict[str, Any]] = [
    {"slot": "history", "item": "{sid}", "sep": "", "max": 10},
    {"text": "\n"},
    {"slot": "answer"},
]


@dataclass(frozen=True)
class SmallRegime(Regime):
    """A part of the population.

    Attributes:
        users, outsiders, panel_users: how many users of each group take part: the first ones of their random order.
        events: how many of each user's latest training events are used.
        retained: the most retained users on whom a candidate is measured.
    """

    users: int = 60
    outsiders: int = 12
    panel_users: int = 40
    events: int = 20
    retained: int = 60

    def population(self, data: Path) -> Population:
        """The first users of each group, with their latest events."""
        whole = self.whole(data)
        service = tuple(self._latest(split) for split in whole.service[: self.users])
        return replace(
            whole,
            panel=tuple(history[-self.events :] for history in whole.panel[: self.panel_users]),
            service=service,
            development=round(DEVELOPMENT_SHARE * len(service)),
            outsiders=tuple(self._latest(split) for split in whole.outsiders[: self.outsiders]),
        )

    def whole(self, data: Path) -> Population:
        """The population of which a part is taken."""
        return load_population(data)

    @property
    def terms(self) -> Terms:
        """The adapter must beat the base on held-out events, and remember 1.5 times as much as a re-fit."""
        return Terms(held_out_ratio=1.0, own_tail_ratio=1.5)

    @property
    def light(self) -> bool:
        """True: with one prompt per event, an attack would cost as much as all fits together."""
        return True

    def _latest(self, split: Split) -> Split:
        return Split(split.train[-self.events :], split.validation, split.test)

    def policy(self) -> Policy:
        """The default policy, measured on fewer users and without the attack that needs training."""
        whole = default_policy()
        return replace(
            whole,
            evaluation=replace(
                whole.evaluation, max_retained=self.retained, neighbours=0, relearning_steps=0
            ),
        )


def with_events_of_panel(whole: Population, part: Population, events: int) -> Population:
    """The part of a population, with the panel users' latest `events` instead of as few as the service's users have."""
    panel = whole.panel[: len(part.panel)]
    return replace(part, panel=tuple(history[-events:] for history in panel))


@dataclass(frozen=True)
class SemanticIdsRegime(SmallRegime):
    """A small Llama of our own, trained on the panel, with an index of what the panel watched.

    Attributes:
        panel_events: how many of each panel user's latest events train the base.
    """

    users: int = 300
    panel_users: int = 200
    events: int = 10
    retained: int = 300
    panel_events: int = 100
    text_base: TextBaseConfig = field(default_factory=TextBaseConfig)
    base_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=15, lr=3e-3, patience=None)
    )
    adapter_config: AdapterConfig = field(
        default_factory=lambda: AdapterConfig(r=16, alpha=32, target_modules=ALL_LAYERS, dropout=0.0)
    )
    adapter_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=20, lr=1e-3, batch_size=16, patience=None)
    )

    @property
    def style(self) -> str:
        """Semantic ids."""
        return SemanticIdsStyle.name

    def population(self, data: Path) -> Population:
        """The population of a small regime, with more events of the panel's users."""
        return with_events_of_panel(self.whole(data), super().population(data), self.panel_events)

    def base_key(self, population: Population) -> dict[str, object]:
        """The panel, the shape, the frame and the training."""
        return {
            "panel": population.panel,
            "titles": population.catalogue.titles,
            "shape": to_plain(self.text_base),
            "frame": _SID_FRAME,
            "index": "panel",
            "training": self.base_training.to_plain(),
        }

    def write_base(self, population: Population, folder: Path, on_step: OnStep | None) -> None:
        """Train the Llama on the panel."""
        style = semantic_ids_style(
            population.catalogue,
            panel_index(population.catalogue, population.panel),
            frames=[_SID_FRAME],
            max_tokens=128,
            supervise="answer",
        )
        model = build_text_base(style, population.panel, self.text_base, self.base_training, on_step=on_step)
        save_base(model, population.catalogue, style, folder)


@dataclass(frozen=True, eq=False)
class FewDraws(LettersStyle):
    """Letters whose training repeats its negatives after `training_draws` draws.

    Each draw is another prompt, whose frozen layers have to be computed. Methods see the first draw.
    """

    training_draws: int = 2

    def windows(self, sequence: Sequence[int], *, draw: int = 0) -> Iterator[Window]:
        """As `LettersStyle.windows`. Draws below 0, which are for measuring, stay unchanged."""
        own = draw if draw < 0 else 1 + (max(draw, 1) - 1) % self.training_draws
        return super().windows(sequence, draw=own)


@dataclass(frozen=True)
class LettersRegime(SmallRegime):
    """SmolLM2's first layers. The adapter is on the last of them; the layers below are computed once per prompt.

    Attributes:
        layers: how many layers of the language model are kept.
        training_draws: see `FewDraws`.
        measured_draws: the number of draws over which a loss is averaged.
    """

    users: int = 20
    outsiders: int = 4
    panel_users: int = 0
    events: int = 8
    retained: int = 20
    layers: int = 6
    training_draws: int = 5
    measured_draws: int = 1
    adapter_config: AdapterConfig = field(
        default_factory=lambda: AdapterConfig(r=32, alpha=64, target_modules=_ADAPTED, dropout=0.0)
    )
    adapter_training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=20, lr=3e-3, batch_size=4, patience=None)
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
        """The population of a small regime.

        Raises:
            MissingTextBase: the language model is not installed. Raised before anything is read.
        """
        self.require_language_model()
        return super().population(data)

    def require_language_model(self) -> None:
        """
        Raises:
            MissingTextBase: the language model is not installed.
        """
        gguf_file()

    def write_language_model(self, folder: Path) -> None:
        """Put the first layers of the language model, and its tokenizer, into `folder`."""
        convert(folder, self.layers)

    def base_key(self, population: Population) -> dict[str, object]:
        """The model's size and its prompts. No user of the population was used to train it."""
        return {"layers": self.layers, "titles": population.catalogue.titles, "style": self._content()}

    def write_base(self, population: Population, folder: Path, on_step: OnStep | None) -> None:
        """Convert the language model."""
        self.write_language_model(folder)
        population.catalogue.save(folder / CATALOGUE_FILE)
        style = LettersStyle.from_json(self._content(), load_tokenizer(folder), population.catalogue.titles)
        save_style(style, folder)

    def open_base(self, folder: Path) -> Base:
        """The model with its lower layers computed once, and few training draws."""
        base = load_base(folder)
        style = base.style
        if not isinstance(style, LettersStyle):
            raise ConfigError(f"{folder} holds no base of letters")
        own = {one.name: getattr(style, one.name) for one in fields(LettersStyle) if one.init}
        few = FewDraws(**own, training_draws=self.training_draws)
        kept = folder.parent / f"hidden-{base.digest[:24]}"
        short = with_frozen_layers(base.model, few.pad_token, kept)
        return replace(base, model=short, style=few)

    def _content(self) -> dict[str, Any]:
        return {
            **LETTERS,
            "frames": [_LETTER_FRAME],
            "labels": _LETTERS,
            "supervise": "answer",
            "draws": self.measured_draws,
        }
