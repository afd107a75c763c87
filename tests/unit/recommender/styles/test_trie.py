import pytest

from recommender import ConfigError
from recommender.styles.trie import Trie, check_paths

# Items 1 and 3 share a tuple.
PATHS = [(5, 8), (4, 9), (5, 7), (4, 9)]


def test_a_trie_by_hand():
    trie = Trie.of(PATHS)
    assert (trie.depth, trie.leaves, trie.fed) == (2, 3, 2)
    assert [level.tokens.tolist() for level in trie.levels] == [[4, 5], [9, 7, 8]]
    assert [level.parents.tolist() for level in trie.levels] == [[0, 0], [0, 1, 1]]
    assert [[list(options.tokens) for options in level] for level in trie.options] == [
        [[4, 5]],
        [[9], [7, 8]],
    ]
    assert trie.starts == ((0, 2), (0, 1, 3))
    assert trie.leaf_of == (2, 0, 1, 0)
    assert trie.items_of == ((1, 3), (2,), (0,))
    assert trie.places.tolist() == [0, 0, 0, 1]


def test_the_choices_of_items_share_their_sets():
    trie = Trie.of(PATHS)
    targets, options = trie.choices(0)
    assert targets == (1, 1)
    assert [list(one.tokens) for one in options] == [[4, 5], [7, 8]]
    assert trie.choices(2) == ((1, 0), options)
    assert trie.choices(1)[1][0] is options[0]


def test_a_tuple_of_one_token_is_a_leaf_at_once():
    trie = Trie.of([(3,), (2,)])
    assert (trie.depth, trie.leaves, trie.fed) == (1, 2, 0)
    assert trie.choices(0)[0] == (1,)


def test_items_that_share_a_tuple_have_an_order():
    trie = Trie.of(PATHS, order=[0, -1, 0, -7])
    assert trie.items_of == ((3, 1), (2,), (0,))
    assert trie.places.tolist() == [0, 1, 0, 0]


IDS = ("a", "b", "c", "d")
STRINGS = [("<5>", "<8>"), ("<4>", "<9>"), ("<5>", "<7>"), ("<4>", "<9>")]


def test_two_items_on_one_leaf_are_refused_without_an_order():
    with pytest.raises(ConfigError, match=r"items 'b' and 'd' share the tuple <4><9>.*popularity"):
        check_paths(IDS, STRINGS, PATHS, collisions=False)
    check_paths(IDS, STRINGS, PATHS, collisions=True)


def test_tuples_are_of_one_length():
    with pytest.raises(ConfigError, match=r"item 'a' has 2 tokens, but item 'c' has 1: all tuples"):
        check_paths(IDS, STRINGS, [(5, 8), (4, 9), (5,), (4, 9)], collisions=True)
    with pytest.raises(ConfigError, match=r"item 'a' has no token"):
        check_paths(IDS[:1], [()], [()], collisions=True)
