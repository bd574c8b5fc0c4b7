"""People of the demonstration at work over bad networks, by the SDK, on the machine's clock.

The node is a process of its own, ``liaison node serve``. What each device should be shown is
counted from what got a receipt.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from liaison.adapters.sql.source import StoreSource
from liaison.audit.source import Anchors
from liaison.audit.walk import replay, verify
from liaison.cli import founding
from liaison.cli.channel import read_defaults
from liaison.client import (
    Authority,
    Client,
    Content,
    Draft,
    Home,
    Letter,
    NodePin,
    Pins,
    Precedence,
    Sent,
    Unopened,
    Waiting,
    post_approval,
    request_device,
    take_approval,
)
from liaison.client.following import Pacing
from liaison.client.outbox import Signed
from liaison.client.seat import wall_clock
from liaison.main import begin, run_node
from liaison.settings import Settings
from liaison.statements.payloads import Note
from liaison.statements.statement import parse_statement_of
from liaison.words.encoding import from_base64
from liaison.words.errors import Busy, LiaisonError, NodeUnreachable, RefusedByNode
from liaison.words.times import MINUTE
from tests.client.council import CANARY, DUTY, LONDON, PASSPHRASE, cheap_keystores
from tests.client.hotline import ORIGIN, SEEDS
from tests.faults.process import Process, spawn
from tests.faults.proxy import Plan, Proxy, nothing

SEED: Final = int(os.environ.get("LIAISON_SOAK_SEED", "0")) or random.SystemRandom().randrange(
    1, 10**9
)
HASTY: Final = Pacing(sleep=lambda seconds: asyncio.sleep(min(seconds, 0.05)))
LEADER: Final = (Precedence.FLASH, Precedence.OVERRIDE)
LEVELS: Final = tuple(Precedence)
NOT_NOW: Final = (NodeUnreachable, Busy)


async def founded(folder: Path) -> None:
    """Make the demonstration's homes, and a second device of the duty officer: M2."""
    with pytest.MonkeyPatch.context() as patched:
        cheap_keystores(patched)
        patched.setattr(founding, "hurried", read_defaults)  # ladders of minutes, not of seconds
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            listen = f"127.0.0.1:{probe.getsockname()[1]}"
        settings = Settings(home=folder / "N", listen=listen)
        begin(settings, ORIGIN, seeds=SEEDS, url=f"http://{listen}")
        async with run_node(settings):
            await founding.found(folder, f"http://{listen}", PASSPHRASE)
            await second_device(folder)
            async with Authority.open(folder / "FA", PASSPHRASE) as office:
                office.set_roles("attache.london.1@fco.example", ("attache", "releaser"))
                office.sign_directory()
                await office.post()


async def second_device(folder: Path, now: Callable[[], int] = wall_clock) -> None:
    """Make M2, a second device of the duty officer; its member may write OVERRIDE from then on."""
    request = request_device(Home(folder / "M2"), PASSPHRASE, DUTY)
    async with Authority.open(folder / "MA", PASSPHRASE, now=now) as ministry:
        approval = ministry.approve(request, ("releaser",))
        first = Pins(Home(folder / "M"))
        take_approval(Home(folder / "M2"), approval, first.node, now=now)
        second = Pins(Home(folder / "M2"))
        for party in ("fco.example", "partner.example", "council.example"):
            second.pin_authority(first.authority(party))
        async with Client.open(folder / "M2", PASSPHRASE, now=now) as client:
            await post_approval(client, approval)
        ministry.sign_directory()
        await ministry.post()


@dataclass
class Town:
    """Homes in ``folder``; the node of home N serves at ``node`` while it does."""

    folder: Path
    chance: random.Random
    node: Process | None = None
    proxies: list[Proxy] = field(default_factory=list)
    screens: list[Terminal] = field(default_factory=list)

    @classmethod
    def copied(cls, homes: Path, folder: Path, seed: int) -> Town:
        shutil.copytree(homes, folder)
        return cls(folder, random.Random(seed))

    @contextlib.asynccontextmanager
    async def open(self, *, before: str = "") -> AsyncIterator[Town]:
        """Serve while the context lasts; the log is audited at its end."""
        await self.serve(before=before)
        try:
            yield self
            assert self.node is not None
            self.node.terminate()
            assert await self.node.ended() == 0
            await self.audit()
        finally:
            for screen in self.screens:
                if screen.child.returncode is None:
                    screen.child.kill()
            if self.node is not None:
                await self.node.kill()

    async def serve(self, *, before: str = "") -> Process:
        """Start the node; every network leads to it from now on."""
        self.node = await Process.serve(self.folder / "N", before=before)
        for proxy in self.proxies:
            proxy.upstream = self.node.url
        return self.node

    @contextlib.asynccontextmanager
    async def network(self, plan: Plan = nothing) -> AsyncIterator[Proxy]:
        """Give a network of its own to the node."""
        assert self.node is not None
        async with Proxy(self.node.url, plan, random.Random(self.chance.random())).serving() as one:
            self.proxies.append(one)
            yield one

    @contextlib.asynccontextmanager
    async def person(self, name: str, plan: Plan = nothing) -> AsyncIterator[Person]:
        """Give a device at work over a network of its own."""
        async with self.network(plan) as proxy, self.client(name, proxy.url) as client:
            yield Person(name, client, proxy)

    async def terminal(self, name: str, url: str) -> Terminal:
        """Run ``liaison inbox --follow`` as a person does."""
        screen = Terminal(await self.command(name, url, "inbox", "--follow"))
        self.screens.append(screen)
        return screen

    async def command(
        self, name: str, url: str, *said: str, stdin: int | None = None
    ) -> asyncio.subprocess.Process:
        """Run a command in the home ``name``; what it says of errors is in ``name``.errors."""
        passphrase = self.folder / "passphrase"
        passphrase.write_text(f"{PASSPHRASE}\n")
        passphrase.chmod(0o600)
        home = self.folder / name
        words = ("--home", str(home), "--passphrase-file", str(passphrase), "--url", url)
        args = ("-m", "liaison.cli", *words, *said)
        return await spawn(args, home.with_name(f"{name}.errors"), stdin=stdin)

    def client(self, name: str, url: str) -> Client:
        return Client.open(self.folder / name, PASSPHRASE, url=url)

    async def audit(self) -> None:
        """Recompute the whole log from the store, and decide it all anew."""
        card = NodePin.from_bytes((self.folder / "N" / "node.liaison").read_bytes())
        keys = (
            from_base64(getattr(card, f"{who}_key")) for who in ("log", "node", "administrator")
        )
        anchors = Anchors(card.origin, *keys)
        for walk in (verify, replay):
            source = StoreSource(Settings(home=self.folder / "N").database)
            report = await walk(source, anchors, now=wall_clock() + MINUTE)
            await source.close()
            assert report.exit_code == 0, report.to_text()


@dataclass
class Terminal:
    """``inbox --follow`` in a process of its own; ``shown`` are the references that it showed."""

    child: asyncio.subprocess.Process
    shown: list[str] = field(default_factory=list)

    async def more(self) -> None:
        """Take in what it shows, until the next note or its end."""
        assert self.child.stdout is not None
        while line := (await self.child.stdout.readline()).decode():
            if found := re.match(r"(london-hotline/[0-9]+)  [A-Z]", line):
                self.shown.append(found[1])
                return

    async def end(self, how: signal.Signals) -> None:
        """Send it a signal, and take in what it had shown by then."""
        self.child.send_signal(how)
        assert self.child.stdout is not None
        while not self.child.stdout.at_eof():
            await self.more()
        ended = await self.child.wait()
        # A process that has only begun dies of SIGTERM, too.
        assert ended == -how or (ended == 0 and how is signal.SIGTERM)


def draft(level: Precedence, by: str = "F", info: tuple[str, ...] = ()) -> Draft:
    """Return a note to the duty desk by F, or to the attaché by M."""
    return Draft(
        channel="london-hotline",
        to=(DUTY if by == "F" else LONDON,),
        info=info,
        kind="leader" if level in LEADER else "service",
        precedence=level,
        content=Content.text(f"{level.value} by {by}", CANARY),
        standby=(),
    )


@dataclass
class Person:
    """A device: ``shown`` counts by digest what it was shown, ``wanted`` what it signed, by level."""

    name: str
    client: Client
    proxy: Proxy
    shown: list[Letter] = field(default_factory=list)
    not_now: list[LiaisonError] = field(default_factory=list)
    """What was said of single items that could not be had; they come later."""
    wanted: dict[str, Precedence] = field(default_factory=dict)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def following(self, **said: Any) -> AsyncIterator[None]:
        """Follow while the context lasts; what ends it early ends the test."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.follow(**said))
            yield
            task.cancel()

    async def follow(self, acknowledge: Callable[[Letter], bool] = lambda _: False) -> None:
        """Show what comes, until cancelled; take on what ``acknowledge`` says."""
        async with aclosing(self.client.follow(pacing=HASTY)) as items:
            async for item in items:
                if isinstance(item, Unopened):
                    assert isinstance(item.error, NOT_NOW), item
                    self.not_now.append(item.error)
                if not isinstance(item, Letter):
                    continue
                self.shown.append(item)
                self.came.set()
                # Its own notes come, too, where their receipts were lost on the way.
                if item.note.by != self.client.device.member and acknowledge(item):
                    await self.acknowledge(item)

    async def acknowledge(self, letter: Letter) -> None:
        """Take a note on; where another device did first, that is as well."""
        with contextlib.suppress(Waiting, RefusedByNode, *NOT_NOW):
            await self.client.acknowledge(letter.reference)

    async def send(self, said: Draft) -> None:
        """Have a note signed: what has no receipt then stands in the outbox."""
        while True:
            try:
                sent = await self.client.send(said)
            except NOT_NOW:
                await asyncio.sleep(0.05)  # it could not be planned: nothing was signed
                continue
            except Waiting:
                for signed in self.client.outbox.waiting:
                    self._want(signed)
            else:
                assert said.precedence is not None
                self.wanted[sent.digest] = said.precedence
            return

    def _want(self, signed: Signed) -> None:
        if signed.kind == "note":
            note = parse_statement_of(Note, signed.statement).payload
            self.wanted[signed.digest] = note.precedence.action

    async def settle(self) -> None:
        """Send again until everything has its receipt."""
        while self.client.outbox.has_waiting:
            for outcome in await self.client.flush():
                if isinstance(outcome, RefusedByNode):
                    # Another device may have taken the same note on.
                    assert outcome.problem == "already-so", outcome
                if isinstance(outcome, Sent):
                    assert outcome.digest in self.wanted
                if isinstance(outcome, Waiting):
                    await asyncio.sleep(0.05)

    def counted(self) -> Counter[str]:
        return Counter(letter.digest for letter in self.shown)


async def until_shown(people: Iterable[Person], wanted: Iterable[str], within_s: float) -> None:
    """Return once each of these devices was shown all of ``wanted``."""
    missing: dict[str, int] = {}
    digests = set(wanted)
    try:
        async with asyncio.timeout(within_s):
            while missing := {  # noqa: ASYNC110 another process' doing
                one.name: len(left) for one in people if (left := digests - one.counted().keys())
            }:
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"not shown after {within_s} s, by device: {missing}")
