"""Listening: where a node takes connections, and how many wait to be taken."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

HANDSHAKE_S: Final = 10.0
BACKLOG: Final = 1024


@dataclass
class Listening:
    """A server that takes connections at ``url`` until it is closed."""

    url: str
    _server: asyncio.Server

    @classmethod
    async def at(
        cls,
        host: str,
        port: int,
        protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None,
    ) -> Listening:
        """Serve ``protocol`` at an address, under TLS if there is a context.

        Raises:
            OSError: the address can't be had.
        """
        server = await asyncio.get_running_loop().create_server(
            protocol,
            host,
            port,
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_S if context else None,
        )
        at, number = server.sockets[0].getsockname()[:2]
        scheme = "http" if context is None else "https"
        return cls(f"{scheme}://{f'[{at}]' if ':' in at else at}:{number}", server)

    def close(self) -> None:
        """Take no new connections; those that stand go on."""
        self._server.close()
