"""``liaison demo``: four parties, three channels, one node, on this machine.

It types the commands that a person would type, each in a process of its own, and shows them with
what they answered. It exits with 0 only if everything held.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from liaison.cli.context import answer, say
from liaison.cli.founding import found, homes
from liaison.words.errors import LiaisonError

_ME: Final = (sys.executable, "-m", "liaison.cli")
_START_S: Final = 30
_CANARY: Final = "the ice is thin at the north pier"
_FORMAL: Final = "The Mission presents its compliments and asks for overflight on 3 December."


class DemoFailed(LiaisonError):
    """A command of the demonstration did not do what it should."""

    code = "demo-failed"


@dataclass
class Stage:
    """A folder with a home for each of the people, and a shell that shows what is typed."""

    folder: Path
    passphrase: Path
    outputs: list[str] = field(default_factory=list)

    def type(self, home: str, *words: str, text: str = "", exit_code: int = 0) -> str:
        """Run one command in a home's name; return what it printed."""
        shown = " ".join(_quoted(word) for word in words)
        fed = f" <<< {_quoted(text)}" if text else ""
        say(f"$ liaison --home {home} {shown}{fed}")
        done = subprocess.run(  # noqa: S603 our own command line
            (*_ME, "--home", home, *words),
            input=text,
            text=True,
            capture_output=True,
            cwd=self.folder,
            env=self.environment(),
            check=False,
        )
        for line in (done.stdout + done.stderr).splitlines():
            say(f"    {line}")
        self.outputs.append(done.stdout + done.stderr)
        if done.returncode != exit_code:
            raise DemoFailed(
                f"this command ended with {done.returncode}, not {exit_code}",
                do=f"look into {self.folder}",
            )
        return done.stdout

    def type_until(self, home: str, *words: str, wanted: str) -> str:
        """Run a command again until it prints ``wanted``, or for half a minute."""
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            output = self.type(home, *words)
            if wanted in output:
                return output
            time.sleep(0.5)
        raise DemoFailed(
            f"{' '.join(words)} never showed {wanted!r}", do=f"look into {self.folder}"
        )

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LIAISON_PASSPHRASE_FILE": str(self.passphrase),
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running, with all homes, to play with.")
    ] = False,
    is_stage: Annotated[
        bool,
        typer.Option("--stage", help="Only make it: nothing sent, usual deadlines, left running."),
    ] = False,
) -> None:
    """Show the whole of it: three channels, a ladder, a release, a silence procedure, the audit."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="liaison-demo-"))
    try:
        passphrase = folder / "passphrase"
        passphrase.write_text(secrets.token_hex(16) + "\n")
        passphrase.chmod(0o600)
        stage = Stage(folder, passphrase)
        node = _set(stage) if is_stage else _play(stage, is_kept=keep)
    finally:
        if keep or is_stage:
            say(f"Kept in {folder}: the homes {', '.join(homes())}.")
            say(f"Try: cd {folder}; export LIAISON_PASSPHRASE_FILE=$PWD/passphrase")
            say(f"     export PATH={Path(sys.executable).parent}:$PATH")
            say("     liaison --home F status; liaison --home O desk")
        else:
            shutil.rmtree(folder)
    took_s = time.monotonic() - started
    say(f"{'It stands' if is_stage else 'All of it held'}, in {took_s:.0f} s.")
    answer(
        {
            "held": None if is_stage else True,
            "seconds": round(took_s),
            "folder": folder if keep or is_stage else None,
            "process": node,
        }
    )


def _set(stage: Stage) -> int | None:
    """Make the node, all homes and channels, and leave the node running; return its process."""
    with _founded(stage, is_kept=True, is_hurried=False) as node:
        return node


@contextlib.contextmanager
def _founded(stage: Stage, *, is_kept: bool, is_hurried: bool) -> Iterator[int | None]:
    """Serve a node with the parties; give its process if that is kept."""
    _chapter("A node begins: three keys, a guard, a log with one record")
    listen = f"127.0.0.1:{_free_port()}"
    stage.type("N", "node", "init", "--origin", "localhost/demo", "--listen", listen)
    with _serving(stage, is_kept=is_kept) as node:
        _chapter("Four parties, their people, three channels (what an authority types, by the SDK)")
        passphrase = stage.passphrase.read_text().strip()
        asyncio.run(found(stage.folder, f"http://{listen}", passphrase, is_hurried=is_hurried))
        yield node if is_kept else None


def _play(stage: Stage, *, is_kept: bool) -> int | None:
    with _founded(stage, is_kept=is_kept, is_hurried=True) as node:
        _flash(stage)
        _note_verbale(stage)
        _meanwhile(stage)
        _council(stage)
        _audit(stage)
        _tampering(stage)
        _blindness(stage)
        return node


def _flash(stage: Stage) -> None:
    _chapter("A FLASH on the hotline. Its charter's deadlines are seconds in this demonstration")
    stage.type(
        "F", "send", "london-hotline", "--to", "duty.desk@mod.example", "--yes",
        "--subject", "Convoy", text=_CANARY,
    )  # fmt: skip
    if "Nothing new." not in stage.type("D", "inbox"):
        raise DemoFailed("the deputy can read a standby copy before its tier is opened")
    _chapter("Nobody at the duty desk answers. The watch floor sees the item, and never its text")
    if "london-hotline/1" not in stage.type("O", "desk"):
        raise DemoFailed("the note is not on the operators' queue")
    stage.type("O", "desk", "claim", "london-hotline/1")


def _note_verbale(stage: Stage) -> None:
    _chapter("Meanwhile a note verbale is drafted: nobody of the other ministry can read it yet")
    stage.type(
        "F", "draft", "london-notes", "--to", "duty.desk@mod.example", "--kind", "note-verbale",
        "--clear", "legal@fco.example", "--info", "head.mission@fco.example", "--yes",
        "--subject", "Overflight", text=_FORMAL,
    )  # fmt: skip
    drafted = _reference(stage.outputs[-1], "DRAFTED")
    stage.type("L", "inbox")
    stage.type("L", "ack", drafted)
    _chapter("The head of mission, another person than the drafter, lets it go: it gets its number")
    stage.type("R", "inbox")
    released = stage.type("R", "release", drafted, "--yes")
    if "1/20" not in released:
        raise DemoFailed("the note verbale got no number")


def _meanwhile(stage: Stage) -> None:
    _chapter("By now the ladder has opened the deputy's copy of the FLASH")
    stage.type_until("D", "inbox", wanted="london-hotline/1")
    if _CANARY not in stage.type("D", "read", "london-hotline/1"):
        raise DemoFailed("the deputy doesn't see the text that was sent")
    stage.type("D", "ack", "london-hotline/1")
    stage.type("F", "inbox")
    status = stage.type("F", "status", "london-hotline/1")
    certificate = re.search(r"certified: .*\((\S+\.alert\.\S+\.receipt)\)", status)
    if "acknowledged by deputy.1@mod.example" not in status or certificate is None:
        raise DemoFailed("the status names neither who took it on nor what was certified")
    stage.type("F", "receipt", "verify", certificate[1])
    _chapter("The ministry answers the note verbale, again with two pairs of eyes")
    read = stage.type("M", "inbox")
    verbale = _first(read, "london-notes/")
    if _FORMAL not in stage.type("M", "read", verbale):
        raise DemoFailed("the released note verbale can't be read")
    stage.type(
        "M", "reply", verbale, "--info", "deputy@mod.example", "--yes", text="It is granted.",
    )  # fmt: skip
    answer = _reference(stage.outputs[-1], "DRAFTED")
    stage.type("D", "inbox")
    stage.type("D", "release", answer, "--yes")


def _council(stage: Stage) -> None:
    _chapter("A forum: one silence procedure is broken, one ends in a decision")
    stage.type(
        "F", "propose", "council", "--until", "+10m", "--yes",
        "--subject", "A joint patrol", text="From Monday.",
    )  # fmt: skip
    broken = _reference(stage.outputs[-1], "ACCEPTED")
    stage.type("P", "inbox")
    stage.type("P", "object", broken, "--reason", "Not this week", "--yes")
    stage.type(
        "C", "propose", "council", "--until", "+4s", "--yes",
        "--subject", "A joint patrol, later", text="From next month.",
    )  # fmt: skip
    adopted = _reference(stage.outputs[-1], "ACCEPTED")
    stage.type_until("F", "inbox", wanted="is adopted as decision 1")
    late = stage.type("P", "inbox") and stage.type("P", "object", adopted, "--yes")
    if "too late" not in late:
        raise DemoFailed("an objection after silence had ended still counts")
    if "broken" not in stage.type("F", "status", broken):
        raise DemoFailed("the objection that came in time didn't break the silence")


def _audit(stage: Stage) -> None:
    _chapter("The auditor recomputes the whole log and replays every decision and every timer")
    stage.type("N", "audit", "verify", "N")
    stage.type("N", "audit", "replay", "N")


def _tampering(stage: Stage) -> None:
    _chapter("One byte of a copy of the store is changed: the audit names the entry")
    ignored = shutil.ignore_patterns("node.db*")
    shutil.copytree(stage.folder / "N", stage.folder / "altered", ignore=ignored)
    with (
        contextlib.closing(sqlite3.connect(stage.folder / "N" / "node.db")) as store,
        contextlib.closing(sqlite3.connect(stage.folder / "altered" / "node.db")) as copy,
    ):
        store.backup(copy)
    with contextlib.closing(sqlite3.connect(stage.folder / "altered" / "node.db")) as store:
        index, statement = store.execute(
            "SELECT \"index\", statement FROM entries WHERE kind = 'note' LIMIT 1"
        ).fetchone()
        store.execute(
            'UPDATE entries SET statement = ? WHERE "index" = ?',
            (statement[:100] + bytes([statement[100] ^ 1]) + statement[101:], index),
        )
        store.commit()
    stage.type("N", "audit", "verify", "altered", exit_code=1)
    if f"entry {index}" not in stage.outputs[-1]:
        raise DemoFailed(f"the audit doesn't name entry {index}")


def _blindness(stage: Stage) -> None:
    _chapter("The node is blind: the text that crossed it is in none of its files")
    for path in sorted((stage.folder / "N").rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        if any(text.encode() in data for text in (_CANARY, _FORMAL)):
            raise DemoFailed(f"a text is in {path}")
    say(f"    searched N/ for {_CANARY!r} and {_FORMAL[:20]!r}…: nothing")


@contextlib.contextmanager
def _serving(stage: Stage, *, is_kept: bool) -> Iterator[int]:
    """Serve the node in the background; it must end with 0 on SIGTERM. Kept, it goes on serving."""
    say("$ liaison --home N node serve &")
    journal = stage.folder / "journal"
    with journal.open("wb") as errors:
        node = subprocess.Popen(  # noqa: S603 our own command line
            (*_ME, "--home", "N", "node", "serve"),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=stage.folder,
            env=stage.environment(),
            start_new_session=is_kept,
        )
    is_played = False
    try:
        assert node.stdout is not None
        line = node.stdout.readline()
        if not line.startswith("serving "):
            raise DemoFailed("the node doesn't serve", do=f"look into {journal}")
        say(f"    {line.strip()}")
        yield node.pid
        is_played = True
    finally:
        goes_on = is_kept and is_played
        if not goes_on:
            node.send_signal(signal.SIGTERM)
        ended = 0 if goes_on else node.wait(_START_S)
    if goes_on:
        say(f"The node goes on serving as process {node.pid}; end it with: kill {node.pid}")
    if ended != 0:
        raise DemoFailed(f"the node ended with {ended} on SIGTERM", do=f"look into {journal}")
    if _CANARY in journal.read_text():
        raise DemoFailed("the text is in the node's journal")


def _reference(output: str, word: str) -> str:
    """Return the reference that follows a word of a command's output."""
    found = re.search(rf"{word} (\S+?)[, ]", output)
    if found is None:
        raise DemoFailed(f"no reference stands behind {word}")
    return found[1]


def _first(output: str, start: str) -> str:
    """Return the first reference that begins so."""
    found = re.search(rf"{re.escape(start)}\d+", output)
    if found is None:
        raise DemoFailed(f"nothing of {start} is in the inbox")
    return found[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _chapter(title: str) -> None:
    say("")
    say(f"# {title}")


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else f"'{word}'"
