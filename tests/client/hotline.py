"""Two parties, one hotline, one real node over real sockets: every home made by the client itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

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
    post_approval,
    request_device,
    take_approval,
)
from liaison.client.seat import wall_clock
from liaison.main import begin, run_node
from liaison.sealing.keystore import Cost
from liaison.settings import Settings
from liaison.statements.keys import SigningKey

CHEAP = Cost(memory_kib=8, passes=1, lanes=1)
PASSPHRASE = "correct horse"
ORIGIN = "localhost/test"
ALIAS = "london-hotline"
LONDON, DUTY, DEPUTY = "attache.london@fco.example", "duty.desk@mod.example", "deputy@mod.example"
CANARY = "the canary sings at dawn"
SEEDS = {name: bytes([n]) * 32 for n, name in enumerate(("log", "node", "administrator"), 1)}


@dataclass
class Hotline:
    folder: Path
    url: str
    now: Callable[[], int] = wall_clock
    settings: Settings = field(default_factory=lambda: Settings(home=Path()))

    def home(self, name: str) -> Home:
        return Home(self.folder / name)

    def client(self, name: str) -> Client:
        return Client.open(self.home(name), PASSPHRASE, url=self.url, now=self.now)

    def authority(self, name: str) -> Authority:
        return Authority.open(self.home(name), PASSPHRASE, url=self.url, now=self.now)

    @property
    def card(self) -> NodePin:
        return NodePin.from_bytes(self.settings.card.read_bytes())


def draft(text: str = CANARY, to: str = DUTY, subject: str = "Line check") -> Draft:
    return Draft(channel=ALIAS, to=(to,), content=Content.text(subject, text))


@contextlib.asynccontextmanager
async def hotline(
    folder: Path, now: Callable[[], int] = wall_clock, **terms: object
) -> AsyncIterator[Hotline]:
    """Everything from `node init` to two signed directories; F and M are the members' homes.

    ``terms`` stand in the charter beside the defaults, or instead.
    """
    settings = Settings(home=folder / "N", listen="127.0.0.1:0")
    begin(settings, ORIGIN, seeds=SEEDS, url="http://127.0.0.1")
    async with run_node(settings) as running:
        line = Hotline(folder, running.url, now, settings)
        parties = {"FA": "fco.example", "MA": "mod.example"}
        made = {}
        for name, party in parties.items():
            authority, made[name] = Authority.new(line.home(name), PASSPHRASE, party, cost=CHEAP)
            await authority.close()
            await admit(line, made[name].raw, party, made[name].payload.key)
        for name in parties:
            async with line.authority(name) as authority:
                authority.pins.pin_node(line.card)
                for other in made.values():
                    authority.pins.pin_authority(_pin(other.payload.party, other.payload.key))
        for name, authority_name, post in (("F", "FA", LONDON), ("M", "MA", DUTY)):
            await enrol(line, name, authority_name, post)
            for other in made.values():
                Pins(line.home(name)).pin_authority(_pin(other.payload.party, other.payload.key))
        async with line.authority("FA") as fa, line.authority("MA") as ma:
            said = read_defaults("hotline")
            said["terms"] = {**said["terms"], **terms}
            fa.propose("hotline", ALIAS, ["mod.example"], said)
            await fa.post()
            for authority in (fa, ma):
                authority.accede(await authority.charter(ALIAS))
                await authority.post()
            for authority, post in ((fa, LONDON), (ma, DUTY)):
                authority.set_roster(ALIAS, [("desk", [post])])
                authority.sign_directory()
                await authority.post()
        yield line
    check_blind(folder / "N")


def check_blind(node: Path) -> None:
    """The text that crossed the node is in none of its files (design, law 4)."""
    searched = [path for path in node.rglob("*") if path.is_file()]
    assert any(path.name == "node.db" for path in searched)
    for path in searched:
        assert CANARY.encode() not in path.read_bytes(), path


async def enrol(line: Hotline, name: str, authority_name: str, post: str, local: str = "") -> None:
    request = request_device(line.home(name), PASSPHRASE, post, local=local, cost=CHEAP)
    async with line.authority(authority_name) as authority:
        approval = authority.approve(request, ["attache"])
    take_approval(line.home(name), approval, line.card)
    async with line.client(name) as client:
        await post_approval(client, approval)


async def admit(line: Hotline, raw: bytes, party: str, authority: str) -> None:
    from liaison.client.transport import Transport
    from liaison.statements.payloads import Admission, State
    from liaison.statements.statement import make_statement

    key = SigningKey(SEEDS["administrator"])
    now = line.now()
    admission = Admission(
        by=ORIGIN,
        key=key.id,
        issued=now,
        lapse=now + 60_000_000,
        log=ORIGIN,
        party=party,
        authority=authority,
        state=State.ACTIVE,
    )
    async with Transport(line.url) as node:
        await node.submit(make_statement(admission, key).raw)
        await node.submit(raw)


def _pin(party: str, key: str) -> AuthorityPin:
    return AuthorityPin(party, key, "test", "by hand", 0)
