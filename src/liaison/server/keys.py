"""Typed keys of what the handlers find in the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from liaison.node.intake import Intake
from liaison.node.reading import Reading
from liaison.node.sequencer import Sequencer
from liaison.node.sessions import Sessions


@dataclass
class State:
    """Whether the process is on its way out."""

    stopping: bool = False


INTAKE: Final = web.AppKey("intake", Intake)
READING: Final = web.AppKey("reading", Reading)
SEQUENCER: Final = web.AppKey("sequencer", Sequencer)
SESSIONS: Final = web.AppKey("sessions", Sessions)
STATE: Final = web.AppKey("state", State)
