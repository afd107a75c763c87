"""The regime of each prompt style that has a study; letters have two, by what reads them."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.fits import Regime
from benchmarks.styles.bound_letters import BoundLettersRegime
from benchmarks.styles.regimes import LettersRegime, SemanticIdsRegime
from benchmarks.styles.yes_no import YesNoRegime
from recommender import ConfigError, ItemTokenStyle
from recommender.styles.letters import LettersStyle
from recommender.styles.semantic_ids import SemanticIdsStyle
from recommender.styles.yes_no import YesNoStyle

# Letters on a pretrained model, which takes a package and hours.
PRETRAINED_LETTERS = "letters_smollm2"
REGIMES: Mapping[str, type[Regime]] = {
    ItemTokenStyle.name: Regime,
    LettersStyle.name: BoundLettersRegime,
    PRETRAINED_LETTERS: LettersRegime,
    SemanticIdsStyle.name: SemanticIdsRegime,
    YesNoStyle.name: YesNoRegime,
}


class UnknownStyle(ConfigError):
    """There is no study for a prompt style of this name; the message lists the known ones."""


def regime_of_style(name: str) -> Regime:
    """The regime of a prompt style.

    Raises:
        UnknownStyle: there is no regime for this style.
    """
    if name not in REGIMES:
        raise UnknownStyle(f"no study of the style {name!r}; choose from {', '.join(REGIMES)}")
    return REGIMES[name]()
