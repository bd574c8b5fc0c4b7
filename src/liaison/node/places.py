"""Places: so many are taken at once; who waits for one goes by precedence and in turns (queueing)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from liaison.node.queueing import NOBODY, Owner, Queue


@dataclass
class Places:
    most: int
    taken: int = 0
    queue: Queue[asyncio.Future[None]] = field(default_factory=Queue)

    async def take(
        self, band: int, owner: Owner = NOBODY, *, within_s: float | None = None
    ) -> None:
        """Return once a place was taken; give it back with ``leave``.

        Raises:
            TimeoutError: none became free in time.
        """
        if self.taken < self.most and not self.queue.waiting:
            self.taken += 1
            return
        let_in = asyncio.get_running_loop().create_future()
        place = self.queue.put(let_in, band, owner)
        try:
            async with asyncio.timeout(within_s):
                await let_in
        except BaseException:
            self.queue.leave(place)
            if let_in.done() and not let_in.cancelled():
                self.leave()  # let in at the moment at which it gave up
            raise

    def leave(self) -> None:
        """Give a place back, and let in whose turn it is."""
        self.taken -= 1
        while self.queue.waiting and self.taken < self.most:
            let_in = self.queue.take()
            if not let_in.done():
                self.taken += 1
                let_in.set_result(None)
