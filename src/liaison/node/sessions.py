"""Sessions: a signed challenge buys a short-lived token that reads. protocols/api.md, API-9 to API-12."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from liaison.node.cellar import Cellar
from liaison.node.ports import Clock
from liaison.rules.authority import admitted
from liaison.rules.cells import Admitted, KeyClaim, Log, Member, Overlay, Party
from liaison.rules.chain import authority_signs, device_signs, id_of
from liaison.rules.refusal import Refused
from liaison.statements.payloads import Session
from liaison.statements.statement import parse_statement_of
from liaison.words.encoding import from_base64, to_base64, to_base64url
from liaison.words.errors import Busy, NotAllowed, SignatureInvalid
from liaison.words.ids import party_of
from liaison.words.times import MINUTE

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
class Sessions:
    """Challenges and tokens, in memory only: a restart ends every session."""

    cellar: Cellar
    clock: Clock
    origin: str
    _challenges: dict[str, int] = field(default_factory=dict)
    _tokens: dict[str, Reader] = field(default_factory=dict)
    _of_key: dict[str, deque[str]] = field(default_factory=dict)

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
        statement = parse_statement_of(Session, raw)
        payload = statement.payload
        now = self.clock.now()
        lapse = self._challenges.pop(payload.challenge, 0)
        if now >= lapse:
            raise NotAllowed("the challenge is unknown, used or lapsed", do="ask for a new one")
        if payload.log != self.origin:
            raise NotAllowed(f"the session is for {payload.log}; this is {self.origin}")
        if (
            not payload.issued - 2 * MINUTE
            <= now
            < payload.lapse
            <= payload.issued + SESSION_LAPSE_MAX
        ):
            raise NotAllowed("the session statement's times don't hold now", do="check the clock")
        claim = await self.cellar.get(KeyClaim, payload.key)
        if claim is None or not claim.public:
            raise NotAllowed("the key that signed is not known here")
        try:
            statement.check_signature(from_base64(claim.public))
        except SignatureInvalid as exc:
            raise NotAllowed(exc.happened) from exc
        reader = Reader(payload.by, payload.key, await self._party(payload), now + TOKEN_LIFE)
        if len(self._tokens) >= TOKENS_MAX:
            self._tokens = {t: r for t, r in self._tokens.items() if r.until > now}
        if len(self._tokens) >= TOKENS_MAX:
            raise Busy("too many sessions are open", do="try again in some minutes")
        token = to_base64url(secrets.token_bytes(32))
        self._tokens[token] = reader
        # A key's newest few, so that one device can't use up what all share.
        of_key = self._of_key.setdefault(payload.key, deque())
        of_key.append(token)
        if len(of_key) > TOKENS_OF_KEY_MAX:
            self._tokens.pop(of_key.popleft(), None)
        return token, reader

    async def reader(self, token: str) -> Reader:
        """Return whose a token is, if its holder is still in force.

        Raises:
            NotAllowed: there is no such token, it ended, or its holder was suspended or revoked.
        """
        found = self._tokens.get(token)
        if found is None or self.clock.now() >= found.until:
            self._tokens.pop(token, None)
            raise NotAllowed("no valid session", do="begin one: API-9 to API-12")
        if not found.is_administrator:
            refused = await self._in_force(found.by, found.key)
            if refused is not None:
                del self._tokens[token]
                raise NotAllowed(refused.text)
        return found

    async def _party(self, payload: Session) -> str:
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
        return authority_signs(view.get(Party, party), key, who=by)
