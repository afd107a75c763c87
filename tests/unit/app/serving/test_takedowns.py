"""An item that was taken down is named by no answer: not by a version, a fallback, a cache or a caller's candidates."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db.base import utc_now
from app.db.models import ItemTakedown, Ledger
from app.serving import ControlState, PopularityFallback
from app.serving.ranker import RankingRequest
from app.serving.suppression import SuppressionSet
from app.serving.takedowns import TakenItems
from tests.unit.app.serving.marker_world import (
    ITEMS,
    PATIENCE_SECONDS,
    ControlDatabase,
    World,
    eventually,
    held,
)
from tests.unit.app.serving.replica_rig import ALICE, BOB, HISTORY, LEASE_SECONDS, Replica, reason

Start = Callable[..., Replica]


def items(replica: Replica, user: str = ALICE, k: int = 5) -> list[int]:
    return replica.ask(user, HISTORY, k)[0]


def take_down(control: ControlDatabase, item: int) -> int:
    """What another replica's 202 has committed."""
    with control.database.unit_of_work() as session:
        ledger = session.get_one(Ledger, 1)
        ledger.epoch += 1
        session.add(
            ItemTakedown(
                id=f"td_{ledger.epoch:032x}",
                item_id=f"i{item}",
                epoch=ledger.epoch,
                requested_by="tests",
                taken_down_at=utc_now(),
            )
        )
        return ledger.epoch


def test_the_answer_is_exactly_the_best_of_the_others(world: World, replica: Replica) -> None:
    unseen = world.offline(world.low, HISTORY, ITEMS - len(set(HISTORY)))
    for taken in (unseen[0], unseen[3], unseen[1]):
        replica.engine.take_down(taken + 1, f"i{taken}")
        left = [item for item in unseen if item not in replica.engine.taken_down]
        assert items(replica) == left[:5]
        # All there are, and no more.
        assert items(replica, k=ITEMS) == left


def test_an_answer_in_the_cache_is_never_given_again(replica: Replica) -> None:
    first = items(replica)
    assert items(replica) == first
    assert replica.value("cache_lookups_total", result="hit") == 1
    replica.engine.take_down(1, f"i{first[0]}")
    assert items(replica) != first
    assert first[0] not in items(replica)


def test_the_fallback_keeps_its_order_without_the_item_and_has_another_name(replica: Replica) -> None:
    before = replica.engine.fall_back(3, "draining")
    assert [item.item for item in before.items] == [29, 28, 27]
    replica.engine.take_down(1, "i28")
    after = replica.engine.fall_back(3, "draining")
    assert [item.item for item in after.items] == [29, 27, 26]
    assert after.version != before.version
    # A list that was counted while the item was popular does not bring it back.
    replica.engine.replace_fallback(PopularityFallback(replica.loader.catalogue, (28, 3)))
    assert [item.item for item in replica.engine.fall_back(ITEMS, "draining").items][:2] == [3, 0]
    assert len(replica.engine.fall_back(ITEMS, "draining").items) == ITEMS - 1


def test_a_takedown_of_another_replica_arrives_by_the_feed(
    control: ControlDatabase, replica: Replica
) -> None:
    first = items(replica)
    epoch = take_down(control, first[0])
    eventually(lambda: first[0] not in items(replica))
    eventually(lambda: (row := control.replica("replica-1")) is not None and row.epoch == epoch)
    # It is no suppression: everybody stays personalised.
    assert reason(replica) is None


def test_a_stale_replica_falls_back_and_names_nothing_that_it_knows_to_be_taken_down(
    control: ControlDatabase, replica: Replica
) -> None:
    take_down(control, 29)
    replica.looked()
    replica.line.cut = True
    replica.engine.take_down(99, "i28")
    replica.clock.jumped = LEASE_SECONDS + 1
    answer = replica.engine.recommend(ALICE, HISTORY, 3)
    assert answer.fallback_reason == "stale_feed"
    assert [item.item for item in answer.items] == [27, 26, 25]


def test_an_item_that_is_taken_down_while_a_batch_runs_is_not_named_and_the_answer_is_full(
    world: World, replica: Replica
) -> None:
    best = world.offline(world.low, HISTORY, 6)
    with ThreadPoolExecutor(1) as callers, held(replica.engine) as gate:
        answer = callers.submit(items, replica, BOB)
        assert gate.entered.wait(PATIENCE_SECONDS)
        replica.engine.take_down(1, f"i{best[0]}")
        gate.open()
        assert answer.result(PATIENCE_SECONDS) == best[1:]


def test_an_answer_that_waited_to_be_sent_loses_the_item(replica: Replica) -> None:
    answer = replica.engine.recommend(ALICE, HISTORY, 3)
    popular = replica.engine.fall_back(3, "draining")
    assert replica.engine.still_holds(ALICE, answer, 3) is answer
    replica.engine.take_down(1, answer.items[1].item_id)
    replica.engine.take_down(2, "i29")
    holds = replica.engine.still_holds(ALICE, answer, 3)
    assert holds.items == (answer.items[0], answer.items[2])
    assert replica.engine.still_holds(ALICE, popular, 3).items == popular.items[1:]


def test_candidates_are_ranked_without_the_item(replica: Replica) -> None:
    replica.engine.take_down(1, "i5")
    found = replica.engine.recommend(ALICE, HISTORY, 5, candidates=(5, 2))
    assert [item.item for item in found.items] == [2]
    none = replica.engine.recommend(ALICE, HISTORY, 5, candidates=(5,))
    assert none.fallback_reason == "no_candidates"
    assert 5 not in [item.item for item in none.items]


def test_a_ranker_is_not_shown_a_candidate_that_was_taken_down() -> None:
    request = RankingRequest((1,), 3, (4, 5, 6)).without(frozenset({5, 9}))
    assert request == RankingRequest((1,), 3, (4, 6), frozenset({5, 9}))


def test_a_replica_that_starts_knows_what_was_taken_down_before(
    control: ControlDatabase, start: Start, low: str
) -> None:
    take_down(control, 3)
    control.suppress(ALICE)
    replica = start()
    replica.serves(low)
    assert 3 not in items(replica, BOB, ITEMS)


@pytest.mark.parametrize("vouched", [True, False])
def test_any_feed_adds_and_none_takes_away(world: World, vouched: bool) -> None:
    taken = TakenItems(world.base.catalogue)
    state = ControlState(1, None, 0, None, 4, (), "t", vouched, (), ((2, "i7"), (4, "of no catalogue")))
    assert taken.add(state.taken_down)
    assert not taken.add(state.taken_down)
    assert not taken.add(())
    assert taken.indices == frozenset({7})
    assert taken.epochs() == {"i7": 2, "of no catalogue": 4}
    # Another spelling is the same item.
    assert taken.add([(9, " i8 ")])
    assert taken.indices == frozenset({7, 8})


def test_the_feed_goes_on_behind_a_takedown_but_skips_no_suppression() -> None:
    suppression = SuppressionSet()

    def read(epoch: int, suppressed: tuple[tuple[int, str], ...], *taken: tuple[int, str]) -> None:
        state = ControlState(1, None, 0, None, epoch, suppressed, None, True, (), taken)
        suppression.catch_up(suppression.cursor, state, read_started=0.0)

    read(3, (), (2, "x"), (3, "y"))
    assert suppression.cursor == 3
    # Takedown 5 was committed after the suppressions had been read, of which 4 is one.
    read(3, (), (5, "z"))
    assert suppression.cursor == 3
    read(5, ((4, "a"),), (5, "z"))
    assert (suppression.cursor, "a" in suppression) == (5, True)
