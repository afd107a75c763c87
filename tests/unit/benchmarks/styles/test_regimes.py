from pathlib import Path

import pytest

from benchmarks.fits import Fits, Regime
from benchmarks.population import load_population
from benchmarks.styles.by_name import UnknownStyle, regime_of_style
from benchmarks.styles.regimes import FewDraws, LettersRegime, SemanticIdsRegime
from recommender import Base
from recommender.scoring import reading_windows
from recommender.styles.semantic_ids import SemanticIdsStyle


@pytest.fixture(scope="module")
def letters_base(data: Path, letters: LettersRegime, tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Fits(tmp_path_factory.mktemp("letters"), letters).base(letters.population(data))


def test_a_small_regime_takes_the_first_users_and_their_latest_events(
    data: Path, letters: LettersRegime
) -> None:
    whole, part = load_population(data), letters.population(data)
    assert len(part.service) == 14
    assert len(part.outsiders) == 3
    assert part.development == 3
    for own, all_of_them in zip(part.service, whole.service, strict=False):
        assert own.train == all_of_them.train[-6:]
        assert (own.validation, own.test) == (all_of_them.validation, all_of_them.test)


def test_training_draws_the_same_few_times_and_never_what_is_measured(letters_base: Base) -> None:
    style = letters_base.style
    assert isinstance(style, FewDraws)
    history = (1, 2, 3, 4)

    def tokens(draw: int) -> list[list[int]]:
        return [list(window.tokens) for window in style.windows(history, draw=draw)]

    assert tokens(1) == tokens(3) == tokens(0)
    assert tokens(2) == tokens(4) != tokens(1)
    measured = [list(window.tokens) for _, window in reading_windows(style, history)]
    assert not [one for one in measured if one in tokens(1) + tokens(2)]


def test_the_base_of_letters_has_its_lower_layers_below_the_adapter(
    letters_base: Base,
) -> None:
    assert len(letters_base.model.model.layers) == 1
    assert letters_base.style.candidates == 10


def test_the_base_of_semantic_ids_is_trained_once(
    data: Path, semantic_ids: SemanticIdsRegime, tmp_path: Path
) -> None:
    fits, population = Fits(tmp_path, semantic_ids), semantic_ids.population(data)
    first, again = fits.base(population), fits.base(population)
    assert isinstance(first.style, SemanticIdsStyle)
    assert first.digest == again.digest
    assert len(list(tmp_path.glob("base-*"))) == 1


def test_every_style_with_a_study_has_a_regime() -> None:
    assert type(regime_of_style("item_tokens")) is Regime
    for name in ("letters", "semantic_ids", "yes_no"):
        regime = regime_of_style(name)
        assert regime.style == name
        assert regime.light
    with pytest.raises(
        UnknownStyle, match="choose from item_tokens, letters, letters_smollm2, semantic_ids, yes_no"
    ):
        regime_of_style("titles")
