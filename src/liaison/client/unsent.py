"""Texts that somebody wrote and that were never sealed in a note: kept in boxes of the keystore.

It asks for no lock of the home: each is a file of its own, and nothing else rests on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

from liaison.client.home import Home
from liaison.sealing.content import Content
from liaison.sealing.keystore import Keystore
from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.times import to_dtg

UNSENT: Final = "unsent"
"""The label of such boxes, and the folder of the home that they are in."""


def keep_unsent(home: Home, keystore: Keystore, content: Content, now: int) -> Path:
    """Keep a text, and return its file; ``now`` in microseconds names it."""
    stem = f"{UNSENT}/{to_dtg(now, exact=True).replace(' ', '-')}"
    name = home.unused(stem, ".text")
    data = format_canonical({"body": content.body, "subject": content.subject})
    return home.write(name, keystore.box(data, UNSENT))


def read_unsent(keystore: Keystore, path: Path) -> Content:
    """Return a text that was kept.

    Raises:
        Unreadable: it doesn't open with this keystore.
    """
    said = cast("dict[str, str]", parse_canonical(keystore.unbox(path.read_bytes(), UNSENT)))
    return Content.text(said["subject"], said["body"])
