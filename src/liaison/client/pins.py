"""Pins: what a person compared and this home trusts from then on. design.md 3 ("Beginning").

``node.liaison`` names the log and the node's three keys; a party is pinned by the key id of its
authority after two people compared its fingerprint.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from liaison.client.home import Home
from liaison.statements.keys import check_signing_key, key_id
from liaison.tlog.note import VerifierKey
from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.encoding import from_base64
from liaison.words.errors import ChainBroken, LogUntrusted, Malformed, NotReady
from liaison.words.ids import check_id

FILE: Final = "pins.json"
NODE_MEMBERS: Final = ("administrator_key", "log_key", "node_key", "origin")
FINGERPRINT_GROUPS: Final = 8
_GROUP_CHARS: Final = 4

OPTIONAL: Final = ("exercise", "url")
_URL: Final = re.compile("https?://[!-~]{1,2000}")


@dataclass(frozen=True)
class NodePin:
    """The log that a home writes to, as ``node.liaison`` names it; keys in padded base64."""

    origin: str
    log_key: str
    node_key: str
    administrator_key: str
    url: str = ""
    exercise: str = ""
    """``yes`` for a node whose time is moved for exercises: a home follows it."""

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey.make(self.origin, from_base64(self.log_key))

    @property
    def address(self) -> str:
        """Where the node is asked: the URL, else the origin's host over HTTPS."""
        return self.url or f"https://{self.origin.partition('/')[0]}"

    def to_bytes(self) -> bytes:
        named = (*NODE_MEMBERS, *(name for name in OPTIONAL if getattr(self, name)))
        return format_canonical({name: getattr(self, name) for name in named}) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> NodePin:
        """Return the pin that a ``node.liaison`` file spells.

        Raises:
            Malformed: it spells none.
        """
        return cls.from_members(parse_canonical(data.rstrip(b"\n")))

    @classmethod
    def from_members(cls, members: dict[str, object]) -> NodePin:
        """Return the pin of these members; Malformed where they aren't a node's."""
        texts = {name: _text(value, name) for name, value in members.items()}
        if set(texts) - set(OPTIONAL) != set(NODE_MEMBERS):
            raise Malformed(f"node.liaison: its members must be {', '.join(NODE_MEMBERS)}, url")
        if texts.get("exercise", "yes") != "yes":
            raise Malformed("node.liaison: exercise is 'yes' or left out")
        check_id("origin", texts["origin"])
        for name in ("log_key", "node_key", "administrator_key"):
            try:
                check_signing_key(from_base64(texts[name]))
            except Malformed as exc:
                raise exc.within(f"node.liaison: {name}") from exc
        if "url" in texts and not _URL.fullmatch(texts["url"]):
            raise Malformed(
                "node.liaison: url must begin with https:// or http://, and have no space or control"
            )
        return cls(**texts)


@dataclass(frozen=True)
class AuthorityPin:
    """A party's authority key id, and by whom, how and when (microseconds) it was compared."""

    party: str
    authority: str
    who: str
    how: str
    at: int

    @property
    def fingerprint(self) -> tuple[str, ...]:
        return groups_of(self.authority)


class Pins:
    """The pins of a home; each change is written at once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        state = home.read_state(FILE)
        node = state.get("node")
        self._node = NodePin.from_members(node) if isinstance(node, dict) else None
        self.authorities = {pin.party: pin for pin in _kept(state, "authorities")}
        self.former: list[AuthorityPin] = _kept(state, "former")
        """Pins that others took the place of, oldest first."""
        self.followed: list[AuthorityPin] = []
        """Pins of keys that the pinned one announced, and that were taken up meanwhile."""

    @property
    def node(self) -> NodePin:
        """The node's pin.

        Raises:
            NotReady: there is none yet.
        """
        if self._node is None:
            raise NotReady(
                "This home knows no node yet",
                safe="nothing was sent",
                do="name the file that the node's operator handed over: --node node.liaison",
            )
        return self._node

    @property
    def has_node(self) -> bool:
        return self._node is not None

    def pin_node(self, pin: NodePin) -> None:
        """Keep ``pin``; another URL of the same node replaces the one before.

        Raises:
            LogUntrusted: this home has pinned another log or other keys.
        """
        known = self._node
        if known is not None and _keys(known) != _keys(pin):
            raise LogUntrusted(
                f"The file names other keys, or another log, than the pinned {known.origin}",
                safe="nothing was sent; the pin stays as it was",
                do="ask the node's operator by another way which keys are right",
            )
        if known is None or (pin.url and pin.url != known.url):
            self._node = pin
            self._save()

    def check_log(self, origin: str, log_key: str, node_key: str) -> None:
        """Return if a charter's log is the pinned one.

        Raises:
            LogUntrusted: it isn't; the client stops (design.md 3).
        """
        node = self.node
        if (origin, log_key, node_key) != (node.origin, node.log_key, node.node_key):
            raise LogUntrusted(
                f"The charter's log is {origin} with other keys than the pinned {node.origin}",
                safe="nothing was sent",
                do="compare node.liaison and the charter with both parties before going on",
            )

    def pin_authority(self, pin: AuthorityPin) -> None:
        """Keep ``pin``.

        Raises:
            ChainBroken: the party is pinned under another key.
        """
        known = self.authorities.get(pin.party)
        if known is not None and known.authority != pin.authority:
            raise ChainBroken(
                f"{pin.party} is pinned under another authority key, by {known.who}",
                safe="the pin stays as it was",
                do="ask the other party by telephone what happened to its key. Where it announced "
                "the new one, nothing has to be pinned: this home follows by itself. Else, and only "
                "then: liaison party pin FILE --anew",
            )
        if known is None:
            self.authorities[pin.party] = pin
            self._save()

    def replace_authority(self, pin: AuthorityPin) -> None:
        """Keep ``pin`` in place of the party's pin of another key, which is kept as a former one.

        Only after a person compared the new fingerprint, or the pinned authority announced the key.
        """
        known = self.authorities.get(pin.party)
        if known is not None and known.authority == pin.authority:
            return
        if known is not None:
            self.former.append(known)
        self.authorities[pin.party] = pin
        self._save()

    def follow_authority(self, party: str, authority: str, at: int) -> None:
        """Pin the key that the pinned one announced, by a chain of statements that held."""
        known = self.authority(party)
        pin = AuthorityPin(party, authority, known.who, "announced by the key pinned before", at)
        self.replace_authority(pin)
        self.followed.append(pin)

    def authority(self, party: str) -> AuthorityPin:
        """Return the pin of a party's authority.

        Raises:
            NotReady: nobody compared its fingerprint yet.
        """
        try:
            return self.authorities[party]
        except KeyError:
            raise NotReady(
                f"Nobody compared the fingerprint of {party} yet",
                safe="nothing was sent, and nothing of it is shown",
                do=f"get its party file and run: liaison party pin FILE ({party})",
            ) from None

    def _save(self) -> None:
        state: dict[str, object] = {
            "authorities": [vars(self.authorities[party]) for party in sorted(self.authorities)]
        }
        if self.former:
            state["former"] = [vars(pin) for pin in self.former]
        if self._node is not None:
            state["node"] = {name: value for name, value in vars(self._node).items() if value}
        self._home.write_state(FILE, state)


def fingerprint(public: str) -> tuple[str, ...]:
    """Return eight groups of four to say by telephone: 160 bits of the key id of ``public``.

    ``public`` is a signing key in padded base64; the alphabet is RFC 4648's base32.
    """
    return groups_of(key_id(from_base64(public)))


def groups_of(key: str) -> tuple[str, ...]:
    """Return the same of a key's id."""
    digest = from_base64(key)
    size = FINGERPRINT_GROUPS * _GROUP_CHARS
    text = base64.b32encode(digest).decode("ascii")[:size]
    return tuple(text[at : at + _GROUP_CHARS] for at in range(0, size, _GROUP_CHARS))


def _kept(state: dict[str, object], name: str) -> list[AuthorityPin]:
    kept = state.get(name, [])
    assert isinstance(kept, list)
    return [AuthorityPin(**item) for item in kept]


def _keys(pin: NodePin) -> tuple[str, ...]:
    return pin.origin, pin.log_key, pin.node_key, pin.administrator_key


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"node.liaison: {name} is not a string")
    return value
