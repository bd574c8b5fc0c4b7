"""Sessions: a signed challenge buys a short-lived token that reads. protocols/api.md, API-9 to API-12.

A session is of one device and of this origin. Its holder sees and ends those that are theirs
(API-39, API-40); a device that isn't in force any more has none.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from liaison.node.cellar import Cellar
from liaison.node.ports import Clock
from liaison.rules.cells import Admitted, KeyClaim, Log, Member, Overlay, Party
from liaison.rules.chain import admitted, device_signs, id_of, registrar_signs
from liaison.rules.refusal import Refused
from liaison.statements import payloads
from liaison.statements.statement import parse_statement_of
from liaison.words.encoding import from_base64, to_base64, to_base64url
from liaison.words.errors import Busy, NotAllowed, NotHere, SignatureInvalid
from liaison.words.ids import party_of
from liaison.words.times import MINUTE, to_dtg

CHALLENGE_LIFE: Final = MINUTE
TOKEN_LIFE: Final = 15 * MINUTE
SESSION_LAPSE_MAX: Final = 5 * MINUTE
CHALLENGES_MAX: Final = 10_000
TOKENS_MAX: Final = 100_000
TOKENS_OF_KEY_MAX: Final = 64


@dataclass(frozen=True)
class Reader:
    """Who asks: a member by a device, a party by its authority, or the administrator."""

    by: str
    key: str
    party: str
    """Empty for the administrator."""
    until: int

    @property
    def is_administrator(self) -> bool:
        return not self.party

    @property
    def is_member(self) -> bool:
        return "@" in self.by


@dataclass
class Session:
    """One token's, as its holder is shown it. ``id`` opens nothing."""

    id: str
    reader: Reader
    begun: int
    used: int
    """When something was last asked for with it."""


@dataclass
class Sessions:
    """Challenges and tokens, in memory only: a restart ends every session."""

    cellar: Cellar
    clock: Clock
    origin: str
    _challenges: dict[str, int] = field(default_factory=dict)
    _tokens: dict[str, Session] = field(default_factory=dict)
    _of_key: dict[str, deque[str]] = field(default_factory=dict)
    _followers: list[Callable[[str], None]] = field(default_factory=list)

    @property
    def open(self) -> int:
        """How many sessions are open."""
        return len(self._tokens)

    def challenge(self) -> tuple[str, int]:
        """Return a one-use challenge (32 bytes, padded base64) and when it lapses."""
        now = self.clock.now()
        while len(self._challenges) >= CHALLENGES_MAX:
            # The oldest goes: who floods us shortens the minute, and keeps nobody out.
            del self._challenges[next(iter(self._challenges))]
        challenge = to_base64(secrets.token_bytes(32))
        self._challenges[challenge] = now + CHALLENGE_LIFE
        return challenge, now + CHALLENGE_LIFE

    async def begin(self, raw: bytes) -> tuple[str, Reader]:
        """Return a token and whose it is, for a signed ``session`` statement.

        Raises:
            Malformed: it has no reading.
            NotAllowed: challenge, time, key or signature don't hold.
        """
        statement = parse_statement_of(payloads.Session, raw)
        payload = statement.payload
        now = self.clock.now()
        lapse = self._challenges.pop(payload.challenge, 0)
        if now >= lapse:
            raise NotAllowed("the challenge is unknown, used or lapsed", do="ask for a new one")
        if payload.log != self.origin:
            raise NotAllowed(f"the session is for {payload.log}; this is {self.origin}")
        if payload.lapse > payload.issued + SESSION_LAPSE_MAX:
            raise NotAllowed("the session statement asks for more time than there is")
        if not payload.issued - 2 * MINUTE <= now < payload.lapse:
            raise NotAllowed(
                f"This device's clock and the node's don't agree: it signed at "
                f"{to_dtg(payload.issued, exact=True)}, and here it is {to_dtg(now, exact=True)}",
                safe="nothing was asked or sent",
                do="set the wrong one of the two by NTP (timedatectl set-ntp true); "
                "doctor says how far they are apart",
            )
        claim = await self.cellar.get(KeyClaim, payload.key)
        if claim is None or not claim.public:
            raise NotAllowed("the key that signed is not known here")
        try:
            statement.check_signature(from_base64(claim.public))
        except SignatureInvalid as exc:
            raise NotAllowed(exc.happened) from exc
        reader = Reader(payload.by, payload.key, await self._party(payload), now + TOKEN_LIFE)
        if len(self._tokens) >= TOKENS_MAX:
            self._tokens = {t: s for t, s in self._tokens.items() if s.reader.until > now}
            self._of_key = {
                key: kept
                for key, of_key in self._of_key.items()
                if (kept := deque(token for token in of_key if token in self._tokens))
            }
        if len(self._tokens) >= TOKENS_MAX:
            raise Busy("too many sessions are open", do="try again in some minutes")
        token = to_base64url(secrets.token_bytes(32))
        number = to_base64url(secrets.token_bytes(16))
        self._tokens[token] = Session(number, reader, begun=now, used=now)
        # A key's newest few, so that one device can't use up what all share.
        of_key = self._of_key.setdefault(payload.key, deque())
        of_key.append(token)
        if len(of_key) > TOKENS_OF_KEY_MAX:
            self._end(of_key.popleft())
        return token, reader

    async def reader(self, token: str) -> Reader:
        """Return whose a token is, if its holder is still in force.

        Raises:
            NotAllowed: there is no such token, it ended, or its holder was suspended or revoked.
        """
        found = self._tokens.get(token)
        now = self.clock.now()
        if found is None or now >= found.reader.until:
            self._tokens.pop(token, None)
            raise NotAllowed("no valid session", do="begin one: API-9 to API-12")
        found.used = now
        reader = found.reader
        if not reader.is_administrator:
            refused = await self._in_force(reader.by, reader.key)
            if refused is not None:
                self._tokens.pop(token, None)
                raise NotAllowed(refused.text)
        if token not in self._tokens:
            raise NotAllowed("no valid session", do="begin one: API-9 to API-12")
        return reader

    async def of(self, reader: Reader) -> list[Session]:
        """Return the sessions of the same holder that are open, by any of their devices, oldest first."""
        now, found = self.clock.now(), []
        for token, session in list(self._tokens.items()):
            theirs = session.reader
            if theirs.by != reader.by or now >= theirs.until:
                continue
            if not theirs.is_administrator and await self._in_force(theirs.by, theirs.key):
                self._tokens.pop(token, None)
                continue
            found.append(session)
        return found

    def revoke(self, reader: Reader, number: str) -> None:
        """End one of the holder's sessions, at once.

        Raises:
            NotHere: they have none of that id.
        """
        for token, session in list(self._tokens.items()):
            if session.id == number and session.reader.by == reader.by:
                self._end(token)
                return
        raise NotHere("you have no such session")

    def id_of(self, token: str) -> str:
        """Return the id of a token's session."""
        found = self._tokens.get(token)
        return found.id if found is not None else ""

    def follow(self, tell: Callable[[str], None]) -> None:
        """Have ``tell`` called with each token that its holder ended, or that newer ones pushed out."""
        self._followers.append(tell)

    def _end(self, token: str) -> None:
        """End a session that somebody may still use: its stream hears of it."""
        if self._tokens.pop(token, None) is not None:
            for tell in self._followers:
                tell(token)

    async def _party(self, payload: payloads.Session) -> str:
        if payload.by == self.origin:
            log = await self.cellar.get(Log)
            if log is None or id_of(log.administrator_key) != payload.key:
                raise NotAllowed("the key is not the administrator's")
            return ""
        refused = await self._in_force(payload.by, payload.key)
        if refused is not None:
            raise NotAllowed(refused.text)
        return party_of(payload.by)

    async def _in_force(self, by: str, key: str) -> Refused | None:
        party = party_of(by)
        keys = [Admitted.key_of(party), Party.key_of(party)]
        if "@" in by:
            keys.append(Member.key_of(by))
        await self.cellar.load(keys)
        view = Overlay({k: self.cellar.cells[k] for k in keys})
        refused = admitted(view, party)
        if refused is not None:
            return refused
        if "@" in by:
            return device_signs(view.get(Party, party), view.get(Member, by), key, who=by)
        return registrar_signs(view.get(Party, party), key, None, self.clock.now(), who=by)
