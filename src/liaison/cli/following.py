"""``inbox --follow``: what comes stands on the screen as it comes, and the home is free for others.

One process at a time works in a home. Who follows gives it back as soon as another command waits for
it, and takes it again after that one: what came meanwhile is shown then.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Final

import typer

from liaison.cli import desk
from liaison.cli.context import say
from liaison.cli.failure import warn
from liaison.cli.stopping import until_stopped
from liaison.client import Client, Home, Item
from liaison.client.home import HomeTaken
from liaison.sealing.keystore import StretchedKey
from liaison.words.errors import LiaisonError

LOOK_S: Final = 0.2
"""So often is looked whether another waits for the home, or has given it back."""
LOOKS_TOLD: Final = 25
"""After so many: who has the home for long keeps what comes from being shown."""


def follow(context: typer.Context, show: Callable[[Item], None]) -> None:
    """Show what comes until a signal ends it."""
    home = desk.members_home(context)
    opens, url = desk.opener(context), desk.url_of(context)
    screen = _Screen(show)

    async def keep_following() -> None:
        key: str | StretchedKey = opens
        while True:
            with suppress(HomeTaken):
                key = await desk.visit(home, key, url, screen.follow)
            await _given_back(home)

    with home.followed():
        asyncio.run(until_stopped(keep_following()))


class _Screen:
    def __init__(self, show: Callable[[Item], None]) -> None:
        self._show = show
        self._nothing = "Nothing waits for you. Ctrl-C ends this."
        """What is to be said once nothing waits."""

    async def follow(self, client: Client) -> StretchedKey:
        """Show what comes until another command waits for the home; return what opens it again."""
        showing = asyncio.create_task(self._all(client))
        wanted = asyncio.create_task(_wanted(client.home))
        try:
            await asyncio.wait((showing, wanted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (showing, wanted):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await showing
        return client.device.keystore.key

    async def _all(self, client: Client) -> None:
        async with aclosing(client.follow(idle=self._idle, lost=self._lost)) as items:
            async for item in items:
                self._nothing = self._nothing if self._nothing.startswith("The node") else ""
                self._show(item)

    def _idle(self) -> None:
        if self._nothing:
            say(self._nothing)
            sys.stdout.flush()
        self._nothing = ""

    def _lost(self, exc: LiaisonError) -> None:
        # Who sees nothing come must be able to tell that from nothing being there.
        self._nothing = "The node answers again, and nothing else waits for you."
        warn(f"{exc.happened}. It is tried again until it answers ({exc.code})")


async def _wanted(home: Home) -> None:
    is_wanted = False
    while not is_wanted:
        await asyncio.sleep(LOOK_S)
        is_wanted = home.is_wanted()


async def _given_back(home: Home) -> None:
    """Return once nobody has the home, or waits for it."""
    looks = 0
    while home.is_wanted() or home.is_taken():
        looks += 1
        if looks == LOOKS_TOLD:
            warn("Another command works in this home: what comes is shown when that ends")
        await asyncio.sleep(LOOK_S)
