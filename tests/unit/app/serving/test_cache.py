import threading

from app.serving.cache import CacheKey, ResultCache, history_digest
from app.serving.recommendation import RankedItem

ITEMS = (RankedItem(0, "i0", "Item 0", 1.0),)


def key(
    subject: str = "s", *, version: str = "v1", history: tuple[int, ...] = (1, 2), k: int = 5
) -> CacheKey:
    return CacheKey(version, "catalogue", subject, history_digest(history), k)


def cache_of(version: str | None, max_entries: int = 10) -> ResultCache:
    cache = ResultCache(max_entries)
    cache.enter(version)
    return cache


def test_every_part_of_the_key_counts() -> None:
    cache = cache_of("v1")
    cache.put(key(), ITEMS)
    assert cache.get(key()) == ITEMS
    for other in (
        key("t"),
        key(version="v2"),
        key(history=(2, 1)),
        key(history=(1, 2, 3)),
        key(k=6),
        key()._replace(catalogue_digest="other"),
    ):
        assert cache.get(other) is None


def test_history_digest_tells_order_and_boundaries_apart() -> None:
    histories = [(), (0,), (0, 0), (1,), (1, 2), (2, 1), (12,), (256,), (2**40,)]
    assert len({history_digest(history) for history in histories}) == len(histories)


def test_the_least_recently_used_goes_first() -> None:
    cache = cache_of("v1", max_entries=2)
    cache.put(key("a"), ITEMS)
    cache.put(key("b"), ITEMS)
    cache.get(key("a"))
    cache.put(key("c"), ITEMS)
    assert cache.get(key("b")) is None
    assert cache.get(key("a")) == cache.get(key("c")) == ITEMS
    assert len(cache) == 2


def test_purge_takes_every_answer_of_one_subject_and_of_no_other() -> None:
    cache = cache_of("v1")
    cache.put(key("a", k=1), ITEMS)
    cache.put(key("a", k=2), ITEMS)
    cache.put(key("b"), ITEMS)
    assert cache.purge("a") == 2
    assert cache.purge("a") == 0
    assert cache.get(key("a", k=1)) is None
    assert cache.get(key("b")) == ITEMS


def test_purge_after_eviction_finds_nothing_left_over() -> None:
    cache = cache_of("v1", max_entries=1)
    cache.put(key("a"), ITEMS)
    cache.put(key("b"), ITEMS)
    assert cache.purge("a") == 0
    assert cache.purge("b") == 1
    assert len(cache) == 0


def test_a_swap_empties_it_and_late_answers_of_the_old_version_do_not_enter() -> None:
    cache = cache_of("v1")
    cache.put(key(), ITEMS)
    cache.enter("v2")
    assert len(cache) == 0
    cache.put(key(), ITEMS)
    assert len(cache) == 0
    cache.enter("v2")
    cache.put(key(version="v2"), ITEMS)
    cache.enter("v2")
    assert cache.get(key(version="v2")) == ITEMS
    cache.enter(None)
    assert len(cache) == 0


def test_zero_entries_turn_it_off() -> None:
    cache = cache_of("v1", max_entries=0)
    cache.put(key(), ITEMS)
    assert cache.get(key()) is None


def test_concurrent_use_keeps_it_consistent() -> None:
    cache = cache_of("v1", max_entries=20)

    def hammer(seed: int) -> None:
        for step in range(500):
            subject = str((seed * 7 + step) % 30)
            cache.put(key(subject, k=step % 3), ITEMS)
            cache.get(key(subject, k=step % 2))
            if step % 5 == 0:
                cache.purge(subject)
            if step % 97 == 0:
                cache.enter("v1" if step % 2 else "v2")
                cache.enter("v1")

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) <= 20
    for subject in range(30):
        cache.purge(str(subject))
    assert len(cache) == 0
    assert not cache._keys_of
