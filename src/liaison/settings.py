"""Settings of a node: every path and address, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """``home`` holds everything but what is put elsewhere on purpose."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 8470
    guard_path: Path | None = None
    """Where the guard is, if not in ``home``: outside the database's backups (design.md 5)."""

    @property
    def database(self) -> str:
        return f"sqlite:///{self.home / 'node.db'}"

    @property
    def guard(self) -> Path:
        return self.guard_path or self.home / "guard"

    @property
    def card(self) -> Path:
        """What others are handed to know the node by: origin and three public keys."""
        return self.home / "node.liaison"

    @property
    def retired(self) -> Path:
        """The mark of a node that was given up; its presence keeps it from serving."""
        return self.home / "retired"

    def key(self, purpose: str) -> Path:
        return self.home / "keys" / f"{purpose}.key"
