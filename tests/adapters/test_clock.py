"""The machine's clocks."""

from __future__ import annotations

import time

import pytest

from liaison.adapters.clock import ExerciseClock, SystemClock


def test_both_clocks_count_microseconds():
    clock = SystemClock()
    before = time.time()
    assert before - 1 < clock.now() / 1_000_000 < time.time() + 1
    start = clock.since_boot()
    time.sleep(0.01)
    assert 10_000 <= clock.since_boot() - start < 5_000_000


def test_exercise_time_runs_ahead_on_both_clocks_and_never_back():
    class Hand:
        def now(self) -> int:
            return 1_000

        def since_boot(self) -> int:
            return 10

    clock = ExerciseClock(Hand(), 5)
    assert (clock.now(), clock.since_boot()) == (1_005, 15)
    clock.advance_to(60)
    clock.advance_to(60)
    assert (clock.now(), clock.since_boot()) == (1_060, 70)
    with pytest.raises(ValueError, match="not to go back to 59"):
        clock.advance_to(59)
    assert clock.now() == 1_060
