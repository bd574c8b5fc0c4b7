"""Token buckets: how much somebody may do at once, and how much in a second from then on.

Our own, for it is thirty lines: the limiters that there are count in wall-clock time that they
read themselves, or keep their counts in a store of their own, and none takes a token back that was
spent in another's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from liaison.words.times import SECOND


@dataclass
class _Bucket:
    tokens: float
    at: int
    """In microseconds since boot."""


@dataclass
class Buckets:
    """A bucket for each key, of which only those that aren't full are kept."""

    at_once: float
    per_s: float
    kept_max: int = 4096
    _kept: dict[str, _Bucket] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: str, now: int) -> bool:
        """Take a token if there is one; ``now`` is in microseconds since boot."""
        bucket = self._filled(key, now)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def give_back(self, key: str) -> None:
        """Undo a ``take``: it was somebody else who did that."""
        bucket = self._kept.get(key)
        if bucket is not None:
            bucket.tokens = min(self.at_once, bucket.tokens + 1)

    def wait_s(self, key: str, now: int) -> float:
        """Return in how many seconds there will be a token."""
        return max(0.0, (1 - self._filled(key, now).tokens) / self.per_s)

    def _filled(self, key: str, now: int) -> _Bucket:
        bucket = self._kept.get(key)
        if bucket is None:
            if len(self._kept) >= self.kept_max:
                self._forget(now)
            bucket = self._kept[key] = _Bucket(self.at_once, now)
        self._fill(bucket, now)
        return bucket

    def _fill(self, bucket: _Bucket, now: int) -> None:
        bucket.tokens = min(self.at_once, bucket.tokens + (now - bucket.at) * self.per_s / SECOND)
        bucket.at = now

    def _forget(self, now: int) -> None:
        """Drop the buckets that are full: a new one is the same. Else the fullest half go."""
        for bucket in self._kept.values():
            self._fill(bucket, now)
        kept = {key: b for key, b in self._kept.items() if b.tokens < self.at_once}
        if len(kept) >= self.kept_max:
            emptiest = sorted(kept.items(), key=lambda each: each[1].tokens)
            kept = dict(emptiest[: self.kept_max // 2])
        self._kept = kept
