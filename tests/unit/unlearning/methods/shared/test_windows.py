import pytest

from recommender import ItemTokenStyle
from recommender.choices import IGNORED, Batch
from unlearning.errors import InvalidTask
from unlearning.methods.shared.windows import Windows

# Items are tokens 2 to 11 after pad 0 and bos 1; a window predicts at most four items.
STYLE = ItemTokenStyle(10, window=3)
F, T = False, True


def rows(batch: Batch) -> list[tuple[list[int], list[int]]]:
    return list(zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True))


def firsts(batch: Batch) -> list[int]:
    """The item each window predicts first, by which the tests below tell windows apart."""
    return batch.targets[:, 0].tolist()


def test_windows_are_those_of_the_training() -> None:
    windows = Windows(STYLE, [[0, 1, 2, 3, 4, 5], [9]], batch_size=8, seed=0)
    assert len(windows) == 3
    (batch,) = windows.once()
    # Six items: the oldest two, then the latest four; shorter windows are padded.
    assert rows(batch) == [
        ([1, 2, 0, 0], [0, 1, IGNORED, IGNORED]),
        ([1, 4, 5, 6], [2, 3, 4, 5]),
        ([1, 0, 0, 0], [9, IGNORED, IGNORED, IGNORED]),
    ]
    assert batch.rows == 3


def test_only_marked_items_are_targets_but_all_are_context() -> None:
    marks = [[T, F, F, T, F, F], [T]]
    (batch,) = Windows(STYLE, [[0, 1, 2, 3, 4, 5], [9]], marks, batch_size=8, seed=0).once()
    assert rows(batch) == [
        ([1, 2, 0, 0], [0, IGNORED, IGNORED, IGNORED]),
        ([1, 4, 5, 6], [IGNORED, 3, IGNORED, IGNORED]),
        ([1, 0, 0, 0], [9, IGNORED, IGNORED, IGNORED]),
    ]


def test_windows_that_predict_nothing_are_left_out() -> None:
    windows = Windows(STYLE, [[0, 1, 2, 3, 4, 5], [9]], [[F, F, F, F, F, T], [F]], batch_size=8, seed=0)
    (batch,) = windows.once()
    assert len(windows) == 1
    assert rows(batch) == [([1, 4, 5, 6], [IGNORED, IGNORED, IGNORED, 5])]


@pytest.mark.parametrize("marks", [[[T, T]], [[T, T, T, T]], [[T, T, T], [T]]])
def test_marks_that_do_not_fit_are_refused(marks: list[list[bool]]) -> None:
    with pytest.raises(InvalidTask, match="must mark each item"):
        Windows(STYLE, [[0, 1, 2]], marks, batch_size=8, seed=0)


def test_once_keeps_the_order_and_fills_batches() -> None:
    windows = Windows(STYLE, [[item] for item in range(5)], batch_size=2, seed=0)
    assert [firsts(batch) for batch in windows.once()] == [[0, 1], [2, 3], [4]]


def test_every_window_is_drawn_before_any_comes_again() -> None:
    windows = Windows(STYLE, [[item] for item in range(5)], batch_size=2, seed=0)
    for _ in range(3):
        batches = [firsts(windows.draw()) for _ in range(3)]
        assert [len(batch) for batch in batches] == [2, 2, 1]
        assert sorted(item for batch in batches for item in batch) == [0, 1, 2, 3, 4]


def test_the_seed_decides_the_order() -> None:
    def order(seed: int) -> list[int]:
        windows = Windows(STYLE, [[item] for item in range(10)], batch_size=3, seed=seed)
        return [item for _ in range(8) for item in firsts(windows.draw())]

    assert order(1) == order(1)
    assert order(1) != order(2)
    # A second permutation, not the first one again.
    assert order(1)[:10] != order(1)[10:20]


def test_reading_once_does_not_disturb_the_drawing() -> None:
    one, other = (Windows(STYLE, [[item] for item in range(6)], batch_size=2, seed=5) for _ in range(2))
    list(one.once())
    assert [firsts(one.draw()) for _ in range(6)] == [firsts(other.draw()) for _ in range(6)]


def test_a_sample_is_as_large_as_its_items_ask_for() -> None:
    short = [(number % 9, number % 9 + 1) for number in range(20)]
    windows = Windows(STYLE, short, batch_size=2, seed=0)
    assert sum(batch.rows for batch in windows.sample(3)) == 4
    assert sum(batch.rows for batch in windows.sample(3, items=15)) == 8
    assert sum(batch.rows for batch in windows.sample(3, items=1000)) == 20
