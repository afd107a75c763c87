import random
from collections import Counter

from benchmarks.styles.panel_index import panel_index
from recommender import Catalogue

ITEMS = 50
CATALOGUE = Catalogue(tuple(map(str, range(ITEMS))), tuple(f"Title {n}" for n in range(ITEMS)))
# Half of the panel watches even items, the other half odd ones; nobody watches the last ten.
PANEL = [
    [item for item in random.Random(user).sample(range(40), 25) if item % 2 == user % 2] for user in range(30)
]


def test_every_item_has_tokens_of_its_own_and_prefixes_are_shared_out_evenly() -> None:
    index = panel_index(CATALOGUE, PANEL)
    assert tuple(index) == CATALOGUE.item_ids
    assert len({tuple(tokens) for tokens in index.values()}) == ITEMS
    assert {len(tokens) for tokens in index.values()} == {3}
    # 4 ** 3 is the least cube of at least 50.
    for level in (1, 2):
        sizes = Counter(tuple(tokens[:level]) for tokens in index.values())
        assert len(sizes) == 4**level
        assert max(sizes.values()) - min(sizes.values()) <= 1


def test_items_that_the_same_people_watch_share_their_second_token() -> None:
    index = panel_index(CATALOGUE, PANEL)
    parities: dict[tuple[str, ...], set[int]] = {}
    for item in range(40):
        parities.setdefault(tuple(index[str(item)][:2]), set()).add(item % 2)
    mixed = sum(len(found) == 2 for found in parities.values())
    # A part's ends are of one parity each; at most its middle is of both.
    assert mixed <= len(parities) // 4


def test_the_catalogues_order_is_of_no_matter() -> None:
    backwards = Catalogue(CATALOGUE.item_ids[::-1], CATALOGUE.titles[::-1])
    panel = [[ITEMS - 1 - item for item in history] for history in PANEL]
    assert panel_index(backwards, panel) == panel_index(CATALOGUE, PANEL)
