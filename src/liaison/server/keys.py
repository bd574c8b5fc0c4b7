"""Typed keys of what the handlers find in the application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from liaison.node.figures import Figures
from liaison.node.intake import Intake
from liaison.node.reading import Reading
from liaison.node.sequencer import Sequencer
from liaison.node.sessions import Sessions
from liaison.node.storage import Storage
from liaison.words.errors import Busy


@dataclass
class State:
    """Whether the process is on its way out."""

    stopping: bool = False


@dataclass
class Budget:
    """Bodies that are being taken in, in bytes: nobody's large notes may fill the memory.

    What is small always fits, so that an acknowledgement isn't kept out by somebody's archive.
    """

    left: int = 256 * 1024 * 1024
    small: int = 1024 * 1024

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Count ``size`` bytes while the context lasts.

        Raises:
            Busy: there is no room for them now.
        """
        if size > max(self.left, self.small):
            raise Busy(
                "the node is taking in too much at once",
                safe="nothing of it was taken",
                do="send the same again",
            )
        self.left -= size
        try:
            yield
        finally:
            self.left += size


BUDGET: Final = web.AppKey("budget", Budget)
FIGURES: Final = web.AppKey("figures", Figures)
INTAKE: Final = web.AppKey("intake", Intake)
METRICS_FOR: Final = web.AppKey("metrics_for", str)
"""Who may see the figures: loopback, anyone or nobody."""
READING: Final = web.AppKey("reading", Reading)
SEQUENCER: Final = web.AppKey("sequencer", Sequencer)
SESSIONS: Final = web.AppKey("sessions", Sessions)
STORAGE: Final = web.AppKey("storage", Storage)
STATE: Final = web.AppKey("state", State)
