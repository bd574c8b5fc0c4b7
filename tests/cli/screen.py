"""Commands typed in this process, against a node that serves in a thread: transcripts."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from liaison import cli
from liaison.client.handover import check_phrase
from liaison.main import run_node
from liaison.settings import Settings

PASSPHRASE = "correct horse"
CANARY = "The canary sings at dawn."

_SHOWN = (  # what differs from run to run
    (re.compile(r"[0-9]{6}(?:[0-9]{2})?Z [A-Z]{3} [0-9]{2}"), "DTG"),
    (re.compile(r"(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}"), "FINGERPRINT"),
    (re.compile(r"[A-Za-z0-9+/]{43}="), "DIGEST"),
    (re.compile(r"127\.0\.0\.1:[0-9]+"), "NODE"),
)


def last_groups(shown: str) -> str:
    """Return the last four groups of the fingerprint that a screen ends with, as they are read out."""
    return "-".join(shown.split()[-4:])


@dataclass
class Terminal:
    """A person at the terminal, who types this, or answers what they read; ``asked`` is all of that."""

    types: str | Callable[[str], str]
    asked: str = ""
    question: str = ""

    @contextlib.contextmanager
    def open(self, mode: str, encoding: str) -> Iterator[io.StringIO]:
        assert encoding == "utf-8"
        said = self.types if isinstance(self.types, str) else self.types(self.question)
        file = io.StringIO(f"{said}\n" if mode == "r" else "")
        yield file
        if mode == "w":
            self.question = file.getvalue()
            self.asked += self.question


@dataclass
class Screen:
    """``type`` runs a command line and returns what stood on the screen, and the exit code."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    url: str = ""
    said: list[str] = field(default_factory=list)

    def type(self, line: str, text: str = "") -> tuple[int, str]:
        words = line.split(" ")
        return self.run([word.replace("~", " ") for word in words], text)

    def run(self, words: list[str], text: str = "") -> tuple[int, str]:
        out = io.StringIO()
        stdin = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
        self.monkeypatch.setattr(sys, "argv", ["liaison", *words])
        self.monkeypatch.setattr(sys, "stdin", stdin)
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                cli.main()
            except SystemExit as exc:
                code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        shown = out.getvalue().replace(str(self.folder) + "/", "")
        self.said.append(shown)
        return code, shown

    def ok(self, line: str, text: str = "") -> str:
        """Run what must succeed; return what it showed, without what differs each time."""
        code, shown = self.type(line, text)
        assert code == 0, shown
        return steady(shown)

    def compared(self, line: str) -> str:
        """Return a line that takes a request, with the words that its device reads out."""
        (file,) = (word for word in line.split() if word.endswith("request.liaison"))
        return f"{line} --heard {'~'.join(check_phrase((self.folder / file).read_bytes()))}"

    def at(self, terminal: Terminal | Path, line: str) -> tuple[int, str]:
        """Type a line where somebody, or with a path nobody, answers at the terminal."""
        with self.monkeypatch.context() as patch:
            patch.setattr("liaison.cli.asking._TERMINAL", terminal)
            return self.type(line)

    def until(self, line: str, wanted: str) -> str:
        """Type a line until it shows ``wanted``: a timer fires in the node's own thread."""
        for _ in range(200):
            shown = self.ok(line)
            if wanted in shown:
                return shown
        raise AssertionError(f"{line} never showed {wanted!r}")


def steady(shown: str) -> str:
    for pattern, name in _SHOWN:
        shown = pattern.sub(name, shown)
    return shown


@contextlib.contextmanager
def serving(home: Path) -> Iterator[str]:
    """Serve the node of ``home`` from a thread; give its URL."""
    started: list[str] = []
    ready = threading.Event()
    stop: list[object] = []

    async def serve() -> None:
        stopped = asyncio.Event()
        stop.extend((asyncio.get_running_loop(), stopped))
        async with run_node(Settings(home=home, listen="127.0.0.1:0")) as running:
            started.append(running.url)
            ready.set()
            await stopped.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield started[0]
    finally:
        loop, stopped = stop
        assert isinstance(loop, asyncio.AbstractEventLoop)
        assert isinstance(stopped, asyncio.Event)
        loop.call_soon_threadsafe(stopped.set)
        thread.join(20)
        assert not thread.is_alive()
