"""The text of a note: read once from standard input, and not lost before it is sealed.

Whatever ends a command that was given one, it stands in the home's ``unsent/`` then, if it is neither
in the outbox nor with its refusal: a refusal at home, Ctrl-C, or another process that has the home.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import typer

from liaison.cli import desk
from liaison.cli.asking import interruptible
from liaison.cli.failure import warn
from liaison.client import Client, Content, Draft
from liaison.client.home import KEYSTORE, HomeTaken
from liaison.client.outbox import Outbox
from liaison.client.seat import wall_clock
from liaison.client.unsent import keep_unsent
from liaison.sealing.keystore import Keystore
from liaison.words.errors import LiaisonError, Malformed, RefusedByNode

T = TypeVar("T")

NOTHING_SENT: Final = "nothing was sealed or sent"


class Text:
    """The text that one command is given, and where it is now; ``subject`` is sealed with it."""

    def __init__(self, subject: str) -> None:
        self.is_seen_to = False
        """Whether it needs no keeping any more: it is sealed, or was kept."""
        self._subject = subject
        self._lines: list[bytes] = []
        self._content: Content | None = None
        self._is_leaving = False

    def read(self, subject: str) -> Content:
        """Return what is to be sealed: the subject, and the text on standard input.

        Raises:
            Malformed: there is none, or it isn't UTF-8.
            Interrupted: Ctrl-C before its end.
        """
        self._subject = subject
        if sys.stdin.isatty():
            warn("Type the text; end with Ctrl-D. It is sealed; --justification is not.")
        with interruptible(NOTHING_SENT):
            self._lines.extend(sys.stdin.buffer)
        data = b"".join(self._lines)
        if not data.strip() or not subject.strip():
            raise Malformed(
                "The text or the subject is empty",
                safe=NOTHING_SENT,
                do="write the text on standard input, and --subject",
            )
        try:
            return Content.text(subject, data.decode("utf-8"))
        except UnicodeDecodeError as exc:
            raise Malformed(f"the text is not UTF-8 at byte {exc.start}") from exc

    async def written(self, client: Client, draft: Draft, *, cited: str = "") -> Draft:
        """Return a draft with the text, under what it cites.

        Who can't be written to now, and who can be instead, is said before a word is typed.
        """
        await client.plan(draft)
        if client.source.is_from_memory:
            warn(
                "The node can't be reached: what you write waits in the outbox, by what it showed last."
            )
        content = self.read(draft.content.subject)
        if cited:
            content = Content.text(content.subject, f"{cited}\n\n{content.body}")
        self._content = content
        return replace(draft, content=content)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Be told that it is sealed and sent here; if that ends well, it needs no keeping."""
        self._is_leaving = True
        yield
        self.is_seen_to = True

    @contextmanager
    def kept(self, outbox: Outbox, keep: Callable[[Content], Path]) -> Iterator[None]:
        """Keep it with ``keep`` if this ends before it was sealed, and say where."""
        before = {one.digest for one in outbox.waiting}
        try:
            yield
        except BaseException as exc:
            is_refused = self._is_leaving and isinstance(exc, RefusedByNode)
            waits = any(one.kind == "note" and one.digest not in before for one in outbox.waiting)
            if not (self.is_seen_to or is_refused or waits):
                self.keep(exc, keep)
            raise
        finally:
            self.is_seen_to = True

    def keep(self, exc: BaseException, keep: Callable[[Content], Path]) -> None:
        """Keep what was given so far, and have ``exc``, or a warning, say where it is."""
        content = self._content or self._so_far()
        if content is None:
            return
        try:
            said = f"its text: liaison outbox show {keep(content)}"
        except OSError as failed:
            said = f"its text is NOT kept: {failed.strerror}"
        if isinstance(exc, LiaisonError):
            exc.do = " · ".join(part for part in (exc.do, said) if part)
        else:
            warn(f"Neither sealed nor sent; {said}")

    def _so_far(self) -> Content | None:
        if not sys.stdin.isatty():  # at a terminal nothing else was typed
            self._lines.extend(sys.stdin.buffer)
        body = b"".join(self._lines).decode("utf-8", errors="replace")
        return Content.text(self._subject, body) if body.strip() else None


def as_writer(
    context: typer.Context, subject: str, work: Callable[[Client, Text], Awaitable[T]]
) -> T:
    """Do ``work`` with this home's client and the text that it is given."""
    home, opens, url = desk.members_home(context), desk.opener(context), desk.url_of(context)
    text = Text(subject)

    async def kept(client: Client) -> T:
        with text.kept(client.outbox, client.keep_unsent):
            return await work(client, text)

    try:
        return asyncio.run(desk.visit(home, opens, url, kept))
    except (HomeTaken, KeyboardInterrupt) as exc:
        if not text.is_seen_to:  # the home was never open
            keystore = Keystore.open(home.path(KEYSTORE), opens)
            text.keep(exc, lambda content: keep_unsent(home, keystore, content, wall_clock()))
        raise
