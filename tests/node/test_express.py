"""The express queue: order, window, what is known of an inbox of any length. protocols/stream.md."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from liaison.node.express import LANE_ROWS, OLDEST_EVERY, START, Express, Position, position_of
from liaison.rules.inbox import InboxRow
from liaison.words.precedence import Precedence

MEMBER = "dora.dunn@mod.example"
LEVELS = st.sampled_from(list(Precedence))


def row_at(pos: int, level: Precedence, note_index: int = 0) -> InboxRow:
    return InboxRow(MEMBER, pos, note_index, "note", level.value)


def fill(queue: Express, store: list[InboxRow], limit: int = LANE_ROWS) -> None:
    """Answer what the queue wants out of ``store``."""
    while (wanted := queue.wanted()) is not None:
        level, after = wanted
        found = [r for r in store if r.precedence == level.value and position_of(r) > after]
        queue.refill(level, found[:limit], is_last=len(found) <= limit)


def queue_of(**said: object) -> Express:
    members: dict[str, object] = {"after": START, "reached": {}, "had": (), "window": 64, **said}
    return Express(**members)  # type: ignore[arg-type]


@given(st.lists(LEVELS, max_size=200), st.lists(LEVELS, max_size=100))
def test_each_item_comes_once_the_urgent_first_and_every_16th_is_the_oldest(stored, published):
    store = [row_at(pos, level) for pos, level in enumerate(stored)]
    queue = queue_of()
    fill(queue, store)
    later = [row_at(len(store) + n, level) for n, level in enumerate(published)]
    queue.offer(later)
    store += later
    left = list(store)
    for turn in range(1, len(store) + 1):
        fill(queue, store)
        row = queue.take()
        assert row is not None
        if turn % OLDEST_EVERY == 0:
            expected = left[0]
        else:
            expected = max(left, key=lambda r: (Precedence(r.precedence).rank, -r.pos))
        assert row == expected
        left.remove(row)
        queue.got([position_of(row)])
    assert queue.take() is None
    assert not queue.has_more


@given(st.lists(LEVELS, min_size=1, max_size=80), st.integers(1, 8))
def test_what_is_under_way_never_exceeds_the_window(levels, window):
    store = [row_at(pos, level) for pos, level in enumerate(levels)]
    queue = queue_of(window=window)
    fill(queue, store)
    taken = []
    while (row := queue.take()) is not None:
        taken.append(position_of(row))
    assert len(taken) == min(window, len(store))
    assert queue.is_shut == (len(store) > window)
    queue.got([(9999, 0), taken[0], taken[0]])  # unknown, and said twice
    assert queue.under_way == len(taken) - 1


@given(st.data())
def test_a_device_that_comes_back_gets_exactly_what_it_has_not(data):
    levels = data.draw(st.lists(LEVELS, max_size=150))
    store = [row_at(pos, level) for pos, level in enumerate(levels)]
    first, seen = queue_of(window=7), []
    for _ in range(data.draw(st.integers(0, len(store)))):
        fill(first, store)
        row = first.take()
        assert row is not None
        seen.append(row)
        first.got([position_of(row)])
    reached: dict[Precedence, Position] = {}
    for row in seen:
        level = Precedence(row.precedence)
        assert position_of(row) > reached.get(level, START), "each precedence comes in order"
        reached[level] = position_of(row)
    kept = data.draw(st.sets(st.sampled_from(store), max_size=5)) if store else set()
    second = queue_of(reached=reached, had=[position_of(row) for row in kept], window=1000)
    again = []
    while True:
        fill(second, store)
        row = second.take()
        if row is None:
            break
        again.append(row)
    assert sorted(again, key=position_of) == [r for r in store if r not in seen and r not in kept]


class Published(RuleBasedStateMachine):
    """Rows are published while the store is being asked, whose answer may or may not have them."""

    def __init__(self) -> None:
        super().__init__()
        self.store: list[InboxRow] = []
        self.queue = queue_of(window=10_000)
        self.asked: tuple[Precedence, Position, list[InboxRow]] | None = None
        self.taken: list[InboxRow] = []

    @rule(levels=st.lists(LEVELS, min_size=1, max_size=2 * LANE_ROWS))
    def publish(self, levels):
        rows = [row_at(len(self.store) + n, level) for n, level in enumerate(levels)]
        self.store += rows
        self.queue.offer(rows)

    @precondition(lambda self: self.asked is None)
    @rule()
    def ask(self):
        wanted = self.queue.wanted()
        if wanted is not None:
            self.asked = (*wanted, list(self.store))

    @precondition(lambda self: self.asked is not None)
    @rule(is_late=st.booleans())
    def answer(self, is_late):
        assert self.asked is not None
        level, after, before = self.asked
        read = self.store if is_late else before
        found = [r for r in read if r.precedence == level.value and position_of(r) > after]
        self.queue.refill(level, found[:LANE_ROWS], is_last=len(found) <= LANE_ROWS)
        self.asked = None

    @precondition(lambda self: self.asked is None)
    @rule()
    def take(self):
        if self.queue.wanted() is None and (row := self.queue.take()) is not None:
            self.taken.append(row)

    @invariant()
    def is_bounded_and_gives_each_once(self):
        assert self.queue.waiting <= LANE_ROWS * len(Precedence)
        assert len(set(self.taken)) == len(self.taken)

    def teardown(self):
        if self.asked is not None:
            self.answer(is_late=False)
        while True:
            fill(self.queue, self.store)
            row = self.queue.take()
            if row is None:
                break
            self.taken.append(row)
        assert sorted(self.taken, key=position_of) == self.store


Published.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestPublished = Published.TestCase
