"""A node has a descriptor for each connection that it takes; tests/faults/test_sockets.py opens them."""

from __future__ import annotations

import resource

import pytest

from liaison.adapters.descriptors import OTHERS, room_for

BURST = 1_024


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "raised"),
    [
        (65_536, 65_536, 4_096, 65_536),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4_096, resource.RLIM_INFINITY),
        (1_024, resource.RLIM_INFINITY, 4_096, 4_096 + BURST + OTHERS),
        (1_024, 65_536, 4_096, 4_096 + BURST + OTHERS),
        (1_024, 4_096, 4_096 - OTHERS, 4_096),
        (256, 256, 256 - OTHERS, 256),
        (64, 64, 1, 64),
    ],
)
def test_the_limit_is_raised_as_far_as_it_goes_and_connections_fit_below_it(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, connections: int, raised: int
) -> None:
    limit = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limit))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limit.__setitem__(slice(None), pair))
    assert room_for(4_096, BURST) == connections
    assert limit == [raised, hard]


def test_a_system_that_allows_less_than_it_says_is_taken_at_its_deed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert room_for(4_096, BURST) == 256 - OTHERS
