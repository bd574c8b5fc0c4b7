"""What every test runs under: in CI Hypothesis tries the same cases each time, and nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from liaison.cli.failure import tell
from liaison.words.errors import LiaisonError
from tests.errors_page import rows, spelled
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that was skipped has failed: what it needs is installed, or it says why it can't be."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture
def documented(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[[LiaisonError | str], None]]:
    """Compare an error as it is printed, or a line of a screen, with docs/errors.md beside this test.

    Each text that the page has there must have been said at the end.
    """
    file = request.path.relative_to(Path(__file__).parent)
    wanted = {spelled(text) for text in rows()[f"{file}::{request.function.__name__}"]}
    said = set()

    def check(told: LiaisonError | str) -> None:
        if isinstance(told, LiaisonError):
            capsys.readouterr()
            tell(told)
            told = capsys.readouterr().err
        text = spelled(told.replace(f"{tmp_path}/", ""))
        assert text in wanted, f"docs/errors.md has this not beside {file}: {text}"
        said.add(text)

    yield check
    assert said == wanted


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server of this worker's own, started by the first test that asks."""
    with running() as server:
        yield server
