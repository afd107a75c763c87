"""The end of a suppression in the feed of a replica: late, repeated, rewound, or of another timeline."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.serving import ControlState
from app.serving.suppression import SuppressionSet

Pairs = tuple[tuple[int, str], ...]


def feed(
    epoch: int,
    suppressed: Pairs = (),
    lifted: Pairs = (),
    *,
    timeline: str | None = None,
    vouched: bool = True,
) -> ControlState:
    return ControlState(1, None, 0, None, epoch, suppressed, timeline, vouched, lifted)


def read(suppression: SuppressionSet, state: ControlState, after: int | None = None) -> frozenset[str]:
    return suppression.catch_up(suppression.cursor if after is None else after, state, read_started=0.0)


def test_a_lift_ends_the_suppression_before_it_and_no_later_one() -> None:
    suppression = SuppressionSet()
    read(suppression, feed(1, ((1, "a"),)))
    read(suppression, feed(2, (), ((2, "a"),)))
    assert "a" not in suppression
    assert (suppression.cursor, suppression.epoch) == (2, 2)
    assert read(suppression, feed(3, ((3, "a"),))) == {"a"}
    read(suppression, feed(3, (), ((2, "a"),)))
    assert "a" in suppression


def test_a_whole_life_in_one_read_ends_as_the_last_entry_says() -> None:
    suppression = SuppressionSet()
    read(suppression, feed(5, ((1, "a"), (2, "b"), (4, "b")), ((3, "b"), (5, "a"))))
    assert set(suppression.epochs()) == {"b"}


def test_an_older_entry_that_comes_late_does_not_suppress_again() -> None:
    suppression = SuppressionSet()
    read(suppression, feed(2, ((1, "a"),), ((2, "a"),)))
    assert read(suppression, feed(1, ((1, "a"),)), after=0) == frozenset()
    assert "a" not in suppression


def test_a_lift_does_not_reach_who_was_accepted_here_meanwhile() -> None:
    suppression = SuppressionSet()
    read(suppression, feed(1, ((1, "a"),)))
    suppression.apply(3, "a")
    read(suppression, feed(2, (), ((2, "a"),)))
    assert "a" in suppression


def test_a_lift_counts_only_in_a_feed_that_is_vouched_for_and_not_from_beyond_the_cursor() -> None:
    suppression = SuppressionSet()
    read(suppression, feed(1, ((1, "a"),)))
    read(suppression, feed(2, (), ((2, "a"),), vouched=False))
    assert "a" in suppression
    read(suppression, feed(2, (), ((2, "a"),)), after=7)
    assert "a" in suppression
    read(suppression, feed(2, (), ((2, "a"),)))
    assert "a" not in suppression


def test_a_database_that_was_set_back_lifts_nobody_until_it_is_read_from_the_start() -> None:
    suppression = SuppressionSet()
    read(suppression, feed(5, ((1, "a"), (5, "a")), ((2, "a"),)))
    suppression.catch_up(5, feed(3, (), ((3, "a"),)), read_started=1.0)
    assert "a" in suppression
    # The restored database knows the lift, and not the request that came after it.
    suppression.catch_up(0, feed(3, ((1, "a"),), ((3, "a"),)), read_started=2.0)
    assert "a" in suppression


def test_in_another_timeline_a_lift_that_was_undone_does_not_keep_a_suppression_away() -> None:
    suppression = SuppressionSet()
    read(suppression, feed(9, ((1, "a"),), ((9, "a"),), timeline="one"))
    assert "a" not in suppression
    read(suppression, feed(5, ((4, "a"),), timeline="two"))
    read(suppression, feed(5, ((4, "a"),), timeline="two"))
    assert "a" in suppression


class Feed(RuleBasedStateMachine):
    """One database, one replica. Reads get lost, are late, and are repeated."""

    @initialize()
    def start(self) -> None:
        self.suppression = SuppressionSet(lambda: 0.0)
        self.epoch = 0
        self.rows: list[tuple[int, str, int | None]] = []
        self.under_way: list[tuple[int, ControlState]] = []
        self.whole = False

    @rule(number=st.integers(0, 3), local=st.booleans())
    def accept(self, number: int, local: bool) -> None:
        subject = f"s{number}"
        if any(name == subject and lifted is None for _, name, lifted in self.rows):
            return
        self.epoch += 1
        self.rows.append((self.epoch, subject, None))
        if local:
            self.suppression.apply(self.epoch, subject)
        self.whole = False

    @rule(number=st.integers(0, 3))
    def lift(self, number: int) -> None:
        for place, (epoch, name, lifted) in enumerate(self.rows):
            if name == f"s{number}" and lifted is None:
                self.epoch += 1
                self.rows[place] = (epoch, name, self.epoch)
                self.whole = False

    @rule()
    def ask(self) -> None:
        after = self.suppression.cursor
        rows = [row for row in self.rows if row[0] > after or (row[2] or 0) > after]
        state = feed(
            self.epoch,
            tuple((epoch, name) for epoch, name, _ in rows),
            tuple((lifted, name) for _, name, lifted in rows if lifted is not None),
        )
        self.under_way.append((after, state))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.under_way) - 1))
        after, state = self.under_way[place]
        if data.draw(st.booleans()):
            del self.under_way[place]
        self.suppression.catch_up(after, state, read_started=0.0)
        self.whole = after == 0 and state.epoch == self.epoch

    @invariant()
    def nobody_is_let_go_whom_the_replica_should_know(self) -> None:
        for epoch, name, lifted in self.rows:
            if lifted is None and epoch <= self.suppression.epoch:
                assert name in self.suppression

    @invariant()
    def a_whole_read_leaves_what_the_database_says(self) -> None:
        if self.whole:
            assert set(self.suppression.epochs()) == {name for _, name, lifted in self.rows if lifted is None}


TestFeed = Feed.TestCase
TestFeed.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
