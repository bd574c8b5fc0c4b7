"""The service manager: telling systemd that the node is ready, alive, stopping. sd_notify(3).

One datagram of ``NAME=value`` lines to the socket that NOTIFY_SOCKET names. Our own, for it is the
whole protocol: of the libraries that there are, one has had no release since 2017 and the others
compile against libsystemd, which a container doesn't have.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SECOND_US: Final = 1_000_000


@dataclass(frozen=True)
class ServiceManager:
    """Tells the manager that started this process, if one did; else every call does nothing."""

    address: str = ""
    watchdog_us: int = 0
    """How often the manager wants a sign of life, in microseconds; 0: never."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ServiceManager:
        """Return the manager that the environment names."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls()
        # An environment is inherited: the watchdog may be meant for a process further up.
        meant_for = environment.get("WATCHDOG_PID", str(os.getpid()))
        wanted = environment.get("WATCHDOG_USEC", "")
        is_ours = meant_for == str(os.getpid()) and wanted.isascii() and wanted.isdecimal()
        return cls(address, int(wanted) if is_ours else 0)

    def ready(self, status: str) -> None:
        """Say that the node serves; ``status`` is one line for ``systemctl status``."""
        self._tell(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    async def watch(self) -> None:
        """Give signs of life, twice as often as wanted, until cancelled.

        They come out of the node's event loop: one that is stuck gives none, and is started anew.
        """
        while self.watchdog_us:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_us / _SECOND_US / 2)

    def _tell(self, text: str) -> None:
        if not self.address:
            return
        path = self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)  # a manager that doesn't listen must not stop a node
            try:
                channel.sendto(text.encode(), "\0" + path[1:] if path[0] == "@" else path)
            except OSError:
                # Nobody hears it. The manager draws its own conclusion from the silence.
                return
