from collections import Counter

from benchmarks.styles.hashed_index import hashed_index
from recommender import Catalogue

CATALOGUE = Catalogue(tuple(str(number) for number in range(50)), tuple(f"Title {n}" for n in range(50)))


def test_every_item_has_tokens_of_its_own_and_prefixes_are_shared_out_evenly() -> None:
    index = hashed_index(CATALOGUE)
    assert tuple(index) == CATALOGUE.item_ids
    assert len({tuple(tokens) for tokens in index.values()}) == 50
    # 4 ** 3 is the least cube of at least 50.
    first = Counter(tokens[0] for tokens in index.values())
    assert set(first) == {f"<a_{digit}>" for digit in range(4)}
    assert max(first.values()) - min(first.values()) <= 1


def test_an_items_tokens_do_not_follow_the_catalogues_order() -> None:
    index = hashed_index(CATALOGUE)
    backwards = Catalogue(CATALOGUE.item_ids[::-1], CATALOGUE.titles[::-1])
    assert hashed_index(backwards) == index
    places = [sum(int(t[3:-1]) * 4**level for level, t in enumerate(own)) for own in index.values()]
    assert places != sorted(places)
