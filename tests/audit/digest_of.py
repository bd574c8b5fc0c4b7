"""Print the replay digest of a log read from standard input: a line of eight base64 fields a record.

Run by test_determinism under other hash seeds and other interpreters.
"""

from __future__ import annotations

import sys

from liaison.audit.replay import Replay
from liaison.audit.source import Anchors
from liaison.words.encoding import from_base64


def main() -> None:
    origin, *keys = sys.stdin.readline().split()
    fold = Replay(Anchors(origin, *(from_base64(key) for key in keys)))
    for index, line in enumerate(sys.stdin):
        fold.take(index, [from_base64(value) for value in line.rstrip("\n").split(" ")])
    sys.stdout.write(fold.digest())


if __name__ == "__main__":
    main()
