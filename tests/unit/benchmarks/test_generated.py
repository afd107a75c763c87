from pathlib import Path
from statistics import median

import pytest

from benchmarks.generated import as_folder, generated, is_generated
from benchmarks.population import load_population
from recommender import load_interactions
from recommender.errors import DataError


def test_a_sparse_service_is_sparse_and_stays_so() -> None:
    population = load_population(Path("generated:sparse:200"))
    users = [*population.service, *population.outsiders]
    lengths = [len(split.train) + 2 for split in users]
    assert 5 <= median(lengths) <= 7
    assert min(lengths) >= 3
    assert max(lengths) > 20
    assert len(population.catalogue) == 800
    # No filter took away the items that hardly anybody met.
    met = {item for split in users for item in split.train}
    assert len(met) < len(population.catalogue)
    assert population.source == "generated:sparse:200"
    assert load_population(Path("generated:sparse:200")) == population


def test_a_dense_service_is_dense() -> None:
    data = generated(Path("generated:dense:60"))
    lengths = [len(history) for history in data.histories.values()]
    assert 80 <= median(lengths) <= 125
    assert 0.03 < data.events / len(lengths) / len(data.catalogue) < 0.06
    assert all(len({event.item for event in history}) == len(history) for history in data.histories.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("generated:thick", "sparse, dense"),
        ("generated:", "no generated data ''"),
        ("generated:sparse:few", "a number of users of at least 40"),
        ("generated:sparse:39", "a number of users of at least 40"),
    ],
)
def test_what_nobody_generates_is_an_error(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        generated(Path(name))


def test_files_are_not_generated(tmp_path: Path) -> None:
    assert is_generated(Path("generated:sparse"))
    assert not is_generated(tmp_path)


def test_a_service_reads_generated_data_from_a_folder() -> None:
    with as_folder(Path("generated:sparse:60")) as folder:
        assert folder is not None
        assert folder.name == "generated-sparse-60"
        read, made = load_interactions(folder), generated(Path("generated:sparse:60"))
        assert {user: len(history) for user, history in read.histories.items()} == {
            user: len(history) for user, history in made.histories.items()
        }
    assert not folder.exists()
    with as_folder(None) as nothing:
        assert nothing is None
