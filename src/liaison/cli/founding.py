"""Founding: the parties, people and channels of the demonstration, made by the SDK in one process.

It does what an authority's commands in the README do, and says so line by line; typing them one process
after the other would take most of the demonstration's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from liaison.cli.channel import read_defaults
from liaison.cli.context import say
from liaison.cli.node import admit_party
from liaison.client import (
    Authority,
    AuthorityPin,
    Client,
    Home,
    NodePin,
    Pins,
    post_approval,
    request_device,
    take_approval,
)
from liaison.client.seat import wall_clock
from liaison.main import load_keys
from liaison.settings import Settings


@dataclass(frozen=True)
class Founder:
    """A party of the demonstration, and the home of its authority."""

    home: str
    party: str
    name: str


@dataclass(frozen=True)
class Person:
    """A member, the post they hold, and what they may do."""

    home: str
    authority: str
    post: str
    roles: tuple[str, ...]


PARTIES: Final = (
    Founder("FA", "fco.example", "Foreign Office"),
    Founder("MA", "mod.example", "Ministry of Defence"),
    Founder("PA", "partner.example", "Coalition partner"),
    Founder("CA", "council.example", "Council"),
)

PEOPLE: Final = (
    Person("F", "FA", "attache.london@fco.example", ("attache",)),
    Person("L", "FA", "legal@fco.example", ("attache",)),
    Person("R", "FA", "head.mission@fco.example", ("releaser",)),
    Person("W", "FA", "watch.london@fco.example", ("operator",)),
    Person("M", "MA", "duty.desk@mod.example", ("attache", "duty-officer")),
    Person("D", "MA", "deputy@mod.example", ("attache", "releaser")),
    Person("O", "MA", "watch.floor@mod.example", ("operator",)),
    Person("P", "PA", "mission@partner.example", ("attache",)),
    Person("C", "CA", "chair@council.example", ("attache", "chair")),
)

ROSTERS: Final[dict[str, dict[str, list[tuple[str, list[str]]]]]] = {
    "london-hotline": {
        "FA": [
            ("desk", ["attache.london@fco.example"]),
            ("ministry", ["head.mission@fco.example"]),
        ],
        "MA": [
            ("desk", ["duty.desk@mod.example"]),
            ("deputy", ["deputy@mod.example"]),
            ("ministry", ["watch.floor@mod.example"]),
        ],
    },
    "london-notes": {
        "FA": [
            ("chancery", ["attache.london@fco.example", "head.mission@fco.example"]),
            ("legal", ["legal@fco.example"]),
        ],
        "MA": [("chancery", ["duty.desk@mod.example", "deputy@mod.example"])],
    },
    "council": {
        "FA": [("delegation", ["attache.london@fco.example"])],
        "MA": [("delegation", ["duty.desk@mod.example"])],
        "PA": [("delegation", ["mission@partner.example"])],
        "CA": [("chair", ["chair@council.example"])],
    },
}


def hurried(channel_type: str) -> dict[str, Any]:
    """Return a type's parameters with the deadlines of a demonstration: seconds, not hours."""
    defaults = read_defaults(channel_type)
    for ladder in defaults.get("ladder", []):
        for rung in ladder["rung"]:
            rung["after_s"] = 3
            if "every_s" in rung:
                rung["every_s"] = 60 if rung["effect"] == "exhausted" else 1
            if "times" in rung:
                rung["times"] = 2
    for kind in defaults["kind"]:
        if "silence" in kind:
            kind["silence"] = {"min_s": 2, "max_s": 600}
    return defaults


async def found(
    folder: Path,
    url: str,
    passphrase: str,
    *,
    now: Callable[[], int] = wall_clock,
    is_exercise: bool = False,
    is_hurried: bool = True,
) -> None:
    """Make all homes of the demonstration, and three open channels between them.

    ``is_hurried``: their deadlines are seconds, else those that their types begin with.
    """
    settings = Settings(home=folder / "N")
    card = NodePin.from_bytes(settings.card.read_bytes())
    administrator = load_keys(settings).administrator
    async with AsyncExitStack() as stack:
        authorities: dict[str, Authority] = {}
        cards: dict[str, AuthorityPin] = {}
        for one in PARTIES:
            authority, statement = Authority.new(
                Home(folder / one.home), passphrase, one.party, name=one.name, now=now
            )
            authorities[one.home] = await stack.enter_async_context(authority)
            authority.home.write(f"{one.party.partition('.')[0]}.party", statement.raw)
            authority.pins.pin_node(card)
            await admit_party(url, card.origin, administrator, statement)
            key = statement.payload.key
            cards[one.home] = AuthorityPin(one.party, key, one.name, "heard by telephone", now())
        for home, authority in authorities.items():
            for other, pin in cards.items():
                if other != home:
                    authority.pins.pin_authority(pin)
        say(
            f"    parties    {', '.join(f'{p.party} ({p.home})' for p in PARTIES)}: admitted, pinned"
        )
        for person in PEOPLE:
            await _enrol(
                folder, passphrase, card, authorities[person.authority], person, cards, now
            )
        who = ", ".join(f"{p.post} ({p.home})" for p in PEOPLE)
        say(f"    people     {who}: enrolled, approved")
        terms = hurried if is_hurried else read_defaults
        await _channels(authorities, terms, is_exercise=is_exercise)


async def _enrol(
    folder: Path,
    passphrase: str,
    card: NodePin,
    authority: Authority,
    person: Person,
    cards: Mapping[str, AuthorityPin],
    now: Callable[[], int],
) -> None:
    home = Home(folder / person.home)
    request = await asyncio.to_thread(request_device, home, passphrase, person.post)
    approval = authority.approve(request, person.roles)
    take_approval(home, approval, card)
    for other, pin in cards.items():
        if other != person.authority:
            Pins(home).pin_authority(pin)
    async with Client.open(home, passphrase, now=now) as client:
        await post_approval(client, approval)


async def _channels(
    authorities: Mapping[str, Authority],
    terms: Callable[[str], dict[str, Any]],
    *,
    is_exercise: bool,
) -> None:
    for alias, charter in _charters(authorities, terms, is_exercise=is_exercise).items():
        for home in ROSTERS[alias]:
            authority = authorities[home]
            authority.accede(charter if home == "FA" else await authority.charter(alias))
            await authority.post()
        for home, tiers in ROSTERS[alias].items():
            authorities[home].set_roster(alias, tiers)
            await authorities[home].post()
        say(f"    channel    {alias}: {charter.payload.type}, open, rosters set")
    for authority in authorities.values():
        authority.sign_directory()
        await authority.post()
    say("    directories signed: notes may be sealed for seven days")


def _charters(
    authorities: Mapping[str, Authority],
    terms: Callable[[str], dict[str, Any]],
    *,
    is_exercise: bool,
) -> dict[str, Any]:
    fa = authorities["FA"]
    seats = {"fco.example": "member", "mod.example": "member", "partner.example": "member"}
    seats["council.example"] = "chair"
    return {
        "london-hotline": fa.propose(
            "hotline",
            "london-hotline",
            ["mod.example"],
            terms("hotline"),
            is_exercise=is_exercise,
        ),
        "london-notes": fa.propose(
            "diplomatic-note",
            "london-notes",
            ["mod.example"],
            terms("diplomatic-note"),
            is_exercise=is_exercise,
        ),
        "council": fa.propose(
            "forum",
            "council",
            ["mod.example", "partner.example", "council.example"],
            terms("forum"),
            seats=seats,
            is_exercise=is_exercise,
        ),
    }


def homes() -> Iterator[str]:
    """Give the homes that the demonstration makes."""
    yield "N"
    yield from (party.home for party in PARTIES)
    yield from (person.home for person in PEOPLE)
