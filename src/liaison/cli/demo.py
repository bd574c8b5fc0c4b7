"""``liaison demo``: two ministries, one hotline, one node, on this machine.

It types the commands that a person would type, each in a process of its own, and shows them with
what they answered. It exits with 0 only if everything held.
"""

from __future__ import annotations

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

from liaison.cli.context import say
from liaison.words.errors import LiaisonError

_ME: Final = (sys.executable, "-m", "liaison.cli")
_START_S: Final = 30
_CANARY: Final = "the ice is thin at the north pier"


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
        bool, typer.Option("--keep", help="Leave the homes and the node's store to play with.")
    ] = False,
) -> None:
    """Show the whole of it: from nothing to a FLASH, its proof, and the audit of the log."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="liaison-demo-"))
    try:
        passphrase = folder / "passphrase"
        passphrase.write_text(secrets.token_hex(16) + "\n")
        passphrase.chmod(0o600)
        _play(Stage(folder, passphrase))
    finally:
        if keep:
            say(f"Kept in {folder}: homes N (node), FA, MA (authorities), F, M (members).")
        else:
            shutil.rmtree(folder)
    say(f"All of it held, in {time.monotonic() - started:.0f} s.")


def _play(stage: Stage) -> None:
    _chapter("A node begins: three keys, a guard, a log with one record")
    listen = f"127.0.0.1:{_free_port()}"
    stage.type("N", "node", "init", "--origin", "localhost/demo", "--listen", listen)
    with _serving(stage):
        _people(stage)
        _channel(stage)
        _notes(stage)
        _audit(stage)
    _tampering(stage)
    _blindness(stage)


def _people(stage: Stage) -> None:
    _chapter("Two ministries make their authority keys; the node admits them")
    groups = {}
    for home, party, name in (
        ("FA", "fco.example", "Foreign Office"),
        ("MA", "mod.example", "Ministry of Defence"),
    ):
        groups[home] = _last_group(stage.type(home, "party", "new", party, "--name", name))
    for file in ("FA/fco.party", "MA/mod.party"):
        stage.type("N", "node", "admit", file)
    _chapter("Their people enrol a device each, and are approved by their own authority")
    for member, authority, post, role in (
        ("F", "FA", "attache.london@fco.example", "attache"),
        ("M", "MA", "duty.desk@mod.example", "attache"),
    ):
        local = post.partition("@")[0]
        stage.type(member, "enrol", post)
        stage.type(authority, "member", "approve", f"{member}/{local}.request", "--role", role)
        stage.type(
            member, "enrol", "finish", f"{authority}/{local}.approval", "--node", "N/node.liaison"
        )
    _chapter("Each side pins the other's authority, after hearing its fingerprint by telephone")
    for home, other, file in (
        ("F", "MA", "mod.party"),
        ("FA", "MA", "mod.party"),
        ("M", "FA", "fco.party"),
        ("MA", "FA", "fco.party"),
    ):
        stage.type(home, "party", "pin", f"{other}/{file}", "--heard", groups[other])


def _channel(stage: Stage) -> None:
    _chapter("A hotline: one proposes, both accede, each says who is on its side")
    stage.type(
        "FA", "channel", "propose", "hotline", "--alias", "london-hotline",
        "--with", "mod.example", "--node", "N/node.liaison", "--post",
    )  # fmt: skip
    stage.type("FA", "channel", "accede", "london-hotline", "--post")
    stage.type("MA", "channel", "accede", "london-hotline", "--node", "N/node.liaison", "--post")
    for home, post in (("FA", "attache.london"), ("MA", "duty.desk")):
        stage.type(home, "roster", "set", "london-hotline", post, "--post")
    for home in ("FA", "MA"):
        stage.type(home, "directory", "sign", "--post")
    stage.type("F", "channel", "show", "london-hotline")


def _notes(stage: Stage) -> None:
    _chapter("A FLASH crosses, sealed; the sender holds a receipt; the duty desk takes it on")
    stage.type(
        "F", "send", "london-hotline", "--to", "duty.desk@mod.example",
        "--precedence", "FLASH", "--subject", "Line check", text=_CANARY,
    )  # fmt: skip
    stage.type("M", "inbox")
    read = stage.type("M", "read", "london-hotline/1")
    if _CANARY not in read:
        raise DemoFailed("the reader doesn't see the text that was sent")
    stage.type("M", "ack", "london-hotline/1")
    stage.type(
        "M", "send", "london-hotline", "--to", "attache.london@fco.example",
        "--kind", "service", "--subject", "Received", text="All well here.",
    )  # fmt: skip
    stage.type("F", "inbox")
    stage.type("F", "ack", "london-hotline/2")
    _chapter("Both receipts verify offline, against the log key of the pinned charter")
    stage.type("F", "receipt", "verify", "london-hotline/1.receipt")
    stage.type("M", "receipt", "verify", "london-hotline/2.receipt")


def _audit(stage: Stage) -> None:
    _chapter("The auditor recomputes the whole log and replays every decision")
    stage.type("N", "audit", "verify", "N")
    stage.type("N", "audit", "replay", "N")


def _tampering(stage: Stage) -> None:
    _chapter("One byte of a copy of the store is changed: the audit names the entry")
    shutil.copytree(stage.folder / "N", stage.folder / "altered")
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
        if path.is_file() and _CANARY.encode() in path.read_bytes():
            raise DemoFailed(f"the text is in {path}")
    say(f"    searched N/ for {_CANARY!r}: nothing")


@contextlib.contextmanager
def _serving(stage: Stage) -> Iterator[None]:
    """Serve the node in the background; it must end with 0 on SIGTERM."""
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
        )
    try:
        assert node.stdout is not None
        line = node.stdout.readline()
        if not line.startswith("serving "):
            raise DemoFailed("the node doesn't serve", do=f"look into {journal}")
        say(f"    {line.strip()}")
        yield
    finally:
        node.send_signal(signal.SIGTERM)
        ended = node.wait(_START_S)
    if ended != 0:
        raise DemoFailed(f"the node ended with {ended} on SIGTERM", do=f"look into {journal}")
    if _CANARY in journal.read_text():
        raise DemoFailed("the text is in the node's journal")


def _last_group(output: str) -> str:
    """Return the last group of the fingerprint that a command printed."""
    groups = re.findall(r"^\s+((?:[A-Z0-9]+ ){3,}[A-Z0-9]+)\s*$", output, re.MULTILINE)
    return str(groups[-1].split()[-1])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _chapter(title: str) -> None:
    say("")
    say(f"# {title}")


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else f"'{word}'"
