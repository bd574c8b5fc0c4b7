"""What is measured: a node in a process of its own, two parties, one open hotline between them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.wire import Prepared
from liaison.cli.channel import read_defaults
from liaison.client import (
    Authority,
    AuthorityPin,
    Client,
    Content,
    Draft,
    Home,
    NodePin,
    Pins,
    Precedence,
    post_approval,
    request_device,
    take_approval,
)
from liaison.client.planning import Planner
from liaison.client.seat import wall_clock
from liaison.client.transport import Transport
from liaison.client.writing import Spent, seal_note
from liaison.main import KEY_PURPOSES, begin, load_keys
from liaison.settings import Settings
from liaison.statements.payloads import Admission, Party, Session, State
from liaison.statements.statement import Statement, make_statement
from liaison.words.ids import new_note_id
from liaison.words.times import HOUR, MINUTE

ALIAS = "bench-hotline"
LONDON, PARIS, DUTY = (
    "attache.london@fco.example",
    "attache.paris@fco.example",
    "duty.desk@mod.example",
)
ORIGIN = "localhost/bench"
PASSPHRASE = "bench"
CONTENT_BYTES = 1024


@dataclass
class Stage:
    folder: Path
    url: str
    pid: int
    serials: Counter[str] = field(default_factory=Counter)
    """The last one that the pre-sealed notes of a home spent."""

    def client(self, name: str) -> Client:
        return Client.open(self.folder / name, PASSPHRASE, url=self.url)

    def authority(self, name: str) -> Authority:
        return Authority.open(self.folder / name, PASSPHRASE, url=self.url)

    def cpu_s(self) -> float:
        """Return the processor time that the node has used, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


def rss_mib(pid: int) -> float:
    """Return the memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def draft(reply_by: int | None = None, *, precedence: Precedence = Precedence.ROUTINE) -> Draft:
    """Return a note with 1 KiB of text, of a kind that needs no reason."""
    return Draft(
        channel=ALIAS,
        to=(DUTY,),
        content=Content.text("Load", "x" * CONTENT_BYTES),
        kind="service" if precedence is Precedence.ROUTINE else "leader",
        precedence=precedence,
        reply_by=reply_by,
    )


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Set everything up through the SDK; F, W and M are members' homes.

    W writes the pre-sealed notes where F sends by the SDK: its serials stay its client's own.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = Settings(home=folder / "N")
    seeds = {purpose: secrets.token_bytes(32) for purpose in KEY_PURPOSES}
    begin(settings, ORIGIN, seeds=seeds, url=f"http://{listen}")
    async with served(folder) as made:
        await _people(made, settings)
        yield made


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Stage]:
    """Serve the node of a stage that was set up, in a process of its own."""
    settings = Settings(home=folder / "N")
    with (folder / "node.log").open("wb") as journal:
        node = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "liaison.cli", "--home", str(settings.home), "node", "serve",
            stdout=asyncio.subprocess.PIPE, stderr=journal,
        )  # fmt: skip
    try:
        assert node.stdout is not None
        line = (await node.stdout.readline()).decode()
        assert line.startswith("serving "), "the node doesn't serve"
        yield Stage(folder, line.split()[1], node.pid)
    finally:
        node.send_signal(signal.SIGTERM)
        await node.wait()


async def _people(stage: Stage, settings: Settings) -> None:
    card = NodePin.from_bytes(settings.card.read_bytes())
    parties: dict[str, Statement[Party]] = {}
    for name, party in (("FA", "fco.example"), ("MA", "mod.example")):
        authority, parties[name] = Authority.new(Home(stage.folder / name), PASSPHRASE, party)
        await authority.close()
        await _admit(stage.url, settings, parties[name])
    pins = [AuthorityPin(p.payload.party, p.payload.key, "bench", "", 0) for p in parties.values()]
    for name in parties:
        async with stage.authority(name) as authority:
            authority.pins.pin_node(card)
            for pin in pins:
                authority.pins.pin_authority(pin)
    for name, by, post in (("F", "FA", LONDON), ("W", "FA", PARIS), ("M", "MA", DUTY)):
        home = Home(stage.folder / name)
        request = request_device(home, PASSPHRASE, post)
        async with stage.authority(by) as authority:
            approval = authority.approve(request, ["attache"])
        take_approval(home, approval, card)
        for pin in pins:
            Pins(home).pin_authority(pin)
        async with stage.client(name) as client:
            await post_approval(client, approval)
    async with stage.authority("FA") as fa, stage.authority("MA") as ma:
        fa.propose("hotline", ALIAS, ["mod.example"], read_defaults("hotline"))
        await fa.post()
        for authority in (fa, ma):
            authority.accede(await authority.charter(ALIAS))
            await authority.post()
        for authority, posts in ((fa, [LONDON, PARIS]), (ma, [DUTY])):
            authority.set_roster(ALIAS, [("desk", posts)])
            authority.sign_directory()
            await authority.post()


async def _admit(url: str, settings: Settings, party: Statement[Party]) -> None:
    key, now = load_keys(settings).administrator, wall_clock()
    admission = Admission(
        by=ORIGIN,
        key=key.id,
        issued=now,
        lapse=now + HOUR,
        log=ORIGIN,
        party=party.payload.party,
        authority=party.payload.key,
        state=State.ACTIVE,
    )
    async with Transport(url) as node:
        await node.submit(make_statement(admission, key).raw)
        await node.submit(party.raw)


async def prepare(stage: Stage, drafts: Sequence[Draft], writer: str = "W") -> list[Prepared]:
    """Return sealed submissions, with serials in the order in which they will be sent."""
    if not drafts:
        return []
    async with stage.client(writer) as client:
        planner = Planner(
            client.book,
            client.device.member,
            client.device.key.id,
            wall_clock,
            lambda: client.watch.log_time,
        )
        plan = await planner.plan(drafts[0])
        prepared = []
        for said in drafts:
            now = wall_clock()
            stage.serials[writer] += 1
            serials = dict.fromkeys(plan.addressed, stage.serials[writer])
            signed = seal_note(
                said,
                plan,
                Spent(new_note_id(now, secrets.token_bytes(10)), serials),
                by=client.device.member,
                key=client.device.key,
                seen=client.watch.seen,
                now=now,
            )
            prepared.append(_submission(signed.statement, signed.ciphertext, signed.wraps))
            if len(prepared) % 64 == 0:
                await asyncio.sleep(0)
        return prepared


def _submission(statement: bytes, ciphertext: bytes, wraps: bytes) -> Prepared:
    boundary = secrets.token_hex(16)
    body = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (boundary.encode(), name, data)
        for name, data in (
            (b"statement", statement),
            (b"ciphertext", ciphertext),
            (b"wraps", wraps),
        )
    )
    return Prepared(body + b"--%b--\r\n" % boundary.encode(), boundary)


async def token(stage: Stage, name: str) -> str:
    """Return a session token of a member's device."""
    import aiohttp

    async with stage.client(name) as client, aiohttp.ClientSession() as http:
        async with http.post(f"{stage.url}/v1/challenges") as answer:
            challenge = str((await answer.json())["challenge"])
        now = wall_clock()
        session = Session(
            by=client.device.member,
            key=client.device.key.id,
            issued=now,
            lapse=now + MINUTE,
            log=ORIGIN,
            challenge=challenge,
        )
        raw = make_statement(session, client.device.key).raw
        async with http.post(f"{stage.url}/v1/sessions", data=raw) as answer:
            return str((await answer.json())["token"])
