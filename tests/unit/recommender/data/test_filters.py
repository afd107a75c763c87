from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender import Catalogue, ConfigError, DataError, Event, InteractionData, k_core, split_panel


def data_of(histories: dict[str, list[int]], items: int = 8) -> InteractionData:
    catalogue = Catalogue(tuple(f"i{n}" for n in range(items)), tuple(f"T{n}" for n in range(items)))
    return InteractionData(
        catalogue,
        {user: tuple(Event(item, time) for time, item in enumerate(h)) for user, h in histories.items()},
    )


def ids(data: InteractionData) -> dict[str, list[str]]:
    return {user: [data.catalogue.item_ids[event.item] for event in h] for user, h in data.histories.items()}


def test_dropping_a_user_can_drop_an_item_and_the_reverse():
    # Item 7 has one user, so "c" keeps one event and goes; then item 3 has one user and goes.
    data = data_of({"a": [5, 4, 3], "b": [4, 5], "c": [3, 7]})
    core = k_core(data, 2)
    assert ids(core) == {"a": ["i5", "i4"], "b": ["i4", "i5"]}
    assert core.catalogue.titles == ("T4", "T5")
    assert core.histories["a"] == (Event(1, 0), Event(0, 1))


def test_nothing_left_is_an_error():
    with pytest.raises(DataError, match="nothing is left of the data after the 3-core filter"):
        k_core(data_of({"a": [0, 1], "b": [0, 1]}), 3)


def test_k_is_at_least_one():
    with pytest.raises(ConfigError):
        k_core(data_of({"a": [0]}), 0)


HISTORIES = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2),
    st.lists(st.integers(0, 7), unique=True, min_size=1),
    min_size=1,
)


def _largest_core(histories: dict[str, list[int]], k: int) -> dict[str, set[int]]:
    """One offender at a time until none is left; the result does not depend on the order."""
    core = {user: set(items) for user, items in histories.items()}
    while True:
        users_of = Counter(item for items in core.values() for item in items)
        rare = next((item for item, users in users_of.items() if users < k), None)
        idle = next((user for user, items in core.items() if len(items) < k), None)
        if idle is not None:
            del core[idle]
        elif rare is not None:
            core = {user: items - {rare} for user, items in core.items()}
        else:
            return core


@settings(deadline=None)
@given(histories=HISTORIES, k=st.integers(1, 3))
def test_the_result_is_the_largest_core_and_a_fixed_point(histories: dict[str, list[int]], k: int):
    expected = _largest_core(histories, k)
    try:
        core = k_core(data_of(histories), k)
    except DataError:
        assert expected == {}
        return
    assert {user: {int(item[1:]) for item in items} for user, items in ids(core).items()} == expected
    assert k_core(core, k) == core


def test_panel_and_service_share_no_user():
    data = data_of({f"u{n}": [0] for n in range(40)})
    panel, service = split_panel(data, share=0.1, seed=1)
    assert len(panel) == 4
    assert sorted(panel + service) == sorted(data.histories)
    assert (panel, service) == split_panel(data, share=0.1, seed=1)
    assert panel != split_panel(data, share=0.1, seed=2)[0]


def test_the_split_does_not_depend_on_the_order_of_users():
    histories = {f"u{n}": [0] for n in range(10)}
    backwards = dict(reversed(list(histories.items())))
    assert split_panel(data_of(histories)) == split_panel(data_of(backwards))


@pytest.mark.parametrize(("share", "panel"), [(0.01, 1), (0.5, 2), (0.99, 2)])
def test_neither_side_is_empty(share: float, panel: int):
    first, second = split_panel(data_of({"a": [0], "b": [0], "c": [0]}), share)
    assert len(first) == panel
    assert second


def test_bad_splits_are_refused():
    with pytest.raises(ConfigError, match="share"):
        split_panel(data_of({"a": [0], "b": [0]}), 1.0)
    with pytest.raises(DataError, match="two users"):
        split_panel(data_of({"a": [0]}))
