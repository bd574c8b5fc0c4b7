"""The machine's clocks."""

from __future__ import annotations

import time

from liaison.adapters.clock import SystemClock


def test_both_clocks_count_microseconds():
    clock = SystemClock()
    before = time.time()
    assert before - 1 < clock.now() / 1_000_000 < time.time() + 1
    start = clock.since_boot()
    time.sleep(0.01)
    assert 10_000 <= clock.since_boot() - start < 5_000_000
