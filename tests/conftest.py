"""What every test runs under: in CI Hypothesis tries the same cases each time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgresql import Server, running

# No deadline: two workers on two busy cores make any time limit a coin toss.
settings.register_profile("here", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server of this worker's own, started by the first test that asks."""
    with running() as server:
        yield server
