"""An authority, or its registrar, on its people: members and devices, posts, and the daily directory.

protocols/statements.md, MEMBER, POSTING, DIRECTORY. What is signed continues what was signed before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from liaison.client.authority import authoritys
from liaison.client.handover import Approval, Request
from liaison.client.pins import fingerprint
from liaison.client.signers import Signers
from liaison.rules.chain import id_of
from liaison.rules.decide import AHEAD_MAX
from liaison.statements.payloads import (
    ChannelEntry,
    Directory,
    Member,
    MemberEntry,
    PostEntry,
    Posting,
    State,
)
from liaison.statements.statement import Statement
from liaison.words.errors import NotReady
from liaison.words.ids import check_id, party_of
from liaison.words.times import DAY, to_dtg

DIRECTORY_VALID: Final = 7 * DAY
_SUSPEND: Final = "here, at once: liaison member suspend MEMBER; then "


class Staff(Signers):
    """An authority's home, open, with what it says of its people."""

    def approve(self, request: Request, roles: Sequence[str], *, name: str = "") -> Approval:
        """Sign a device into a member, and the member into a post.

        The same request, asked again, gets the approval that it had.

        Raises:
            NotReady: another party's, a name that the other kind bears already, or a member who is
                suspended or revoked.
        """
        for address in (request.member, request.post):
            if party_of(address) != self.party:
                raise NotReady(
                    f"{address} is not of {self.party}",
                    safe="nothing was signed",
                    do="hand the request to the authority of its own party",
                )
        if request.member == request.post or self._newest("member", request.post):
            raise _name_taken(request.post, "a member")
        if self._newest("posting", request.member):
            raise _name_taken(request.member, "a post")
        before = self._newest_of(Member, request.member)
        known = self._newest_of(Posting, request.post)
        if before and before.state is not State.ACTIVE:
            raise NotReady(
                f"{request.member} is {before.state}",
                safe="nothing was signed",
                do="a suspended member is taken up again with: liaison member reinstate MEMBER; a "
                "revoked one never: enrol under another name",
            )
        self._check_holders({*(known.holders if known else ())} - {request.member})
        wanted = sorted({*roles, *(before.roles if before else ())})
        if (
            before
            and known
            and request.member in known.holders
            and any(d.key == request.device for d in before.devices)
            and (wanted, name or before.name) == (sorted(before.roles), before.name)
        ):
            # Asked again: an edition more would leave the device without the one before it.
            return Approval(
                self.statement,
                self._newest_statement(Member, request.member),
                self._newest_statement(Posting, request.post),
            )
        devices = (
            {d.key: {"key": d.key, "proof": d.proof} for d in before.devices} if before else {}
        )
        devices[request.device] = {"key": request.device, "proof": request.proof}
        member = self._sign_next(
            Member,
            request.member,
            member=request.member,
            name=name or request.name,
            roles=wanted,
            state="active",
            devices=[devices[key] for key in sorted(devices)],
            **_compromised(before),
        )
        if known and request.member in known.holders:
            posting = self._newest_statement(Posting, request.post)
        else:
            holders = {request.member, *(known.holders if known else ())}
            posting = self.set_posting(request.post, sorted(holders))
        return Approval(self.statement, member, posting)

    def add_device(self, request: Request) -> Approval:
        """Sign a further device into a member who is known; roles and name stay as they are.

        Raises:
            NotReady: as ``approve``, and where the member isn't known, or doesn't hold the post.
        """
        if self._newest("member", request.member) is None:
            raise _not_approved(request.member)
        posting = self._newest_of(Posting, request.post)
        if posting is None or request.member not in posting.holders:
            # Else who left a post would have it again by a further device.
            raise NotReady(
                f"{request.member} doesn't hold {request.post}",
                safe="nothing was signed",
                do="let the request name a post that they hold: enrol POST --as NAME",
            )
        return self.approve(request, ())

    @property
    def members(self) -> list[Member]:
        """The newest statement of each member, by name."""
        return [self._newest_of(Member, member) for member in sorted(self._subjects("member"))]

    @property
    def postings(self) -> list[Posting]:
        """The newest statement of each post, by name."""
        return [self._newest_of(Posting, post) for post in sorted(self._subjects("posting"))]

    def set_roles(self, member: str, roles: Sequence[str]) -> Statement[Member]:
        """Say what a member may do from now on, instead of what it could before."""
        return self._sign_member(member, roles=sorted({*roles}))

    def suspend(self, member: str) -> Statement[Member]:
        """Take a member out of force until the authority takes it up again."""
        return self._sign_member(member, state=State.SUSPENDED.value)

    def revoke(self, member: str) -> Statement[Member]:
        """Take a member out of force for good.

        Raises:
            NotReady: this home is a registrar's, who suspends.
        """
        if self.is_registrar:
            raise authoritys(f"revokes {member} for good", meanwhile=_SUSPEND)
        return self._sign_member(member, state=State.REVOKED.value)

    def reinstate(self, member: str) -> Statement[Member]:
        """Take up again a member who was suspended.

        Raises:
            NotReady: this home is a registrar's, or the member isn't suspended.
        """
        if self.is_registrar:
            raise authoritys(f"takes up {member} again")
        before = self._member(member)
        if before.state is not State.SUSPENDED:
            raise NotReady(f"{member} is {before.state}", safe="nothing was signed")
        return self._sign_member(member, state=State.ACTIVE.value)

    def revoke_key(self, member: str, device: str, since: int | None = None) -> Statement[Member]:
        """Take a device away for good, named by its key id or the last group of its fingerprint.

        ``since`` (microseconds) says that its key may have been in other hands from then on: what it
        alone acknowledged is asked again. Of a device that was taken away it may be said later.

        Raises:
            NotReady: the member has no such device, or had none; or ``since`` is said, and this home
                is a registrar's.
        """
        before = self._member(member)
        said = {one.key: one.since for one in before.compromised or ()}
        key = self.key_to_revoke(member, device, is_lost=since is not None)
        if since is not None:
            if since > self.now():
                raise NotReady(
                    f"A key is in other hands since a time that has passed, not since {to_dtg(since)}",
                    safe="nothing was signed",
                    do="say since when, or leave it out: then it is now",
                )
            # Never ahead of the log (MEMBER-5), whose clock may be behind this one's.
            since = min(since, self.now() - AHEAD_MAX)
            said[key] = min(since, said.get(key, since))
        compromised = [{"key": one, "since": said[one]} for one in sorted(said)]
        return self._sign_member(
            member,
            devices=[
                {"key": d.key, "proof": d.proof} for d in before.devices if id_of(d.key) != key
            ],
            **({"compromised": compromised} if compromised else {}),
        )

    def key_to_revoke(self, member: str, device: str, *, is_lost: bool) -> str:
        """Return the id of a member's key, named by it or by the last group of its fingerprint.

        One that ``is_lost``, by its id, also of a device that was taken away. Raises as ``revoke_key``.
        """
        if is_lost and self.is_registrar:
            raise authoritys("says since when a key was in other hands", meanwhile=_SUSPEND)
        devices = self._member(member).devices
        named = [
            d for d in devices if device == id_of(d.key) or device.upper() == fingerprint(d.key)[-1]
        ]
        if len(named) == 1:
            return id_of(named[0].key)
        if named or not (is_lost and device in self._current()["revoked"]):
            raise NotReady(
                f"{member} has no device {device}",
                safe="nothing was signed",
                do="see which there are: liaison device list",
            )
        return device

    def _member(self, member: str) -> Member:
        before: Member | None = self._newest_of(Member, member)
        if before is None:
            raise _not_approved(member)
        return before

    def _sign_member(self, member: str, **changes: object) -> Statement[Member]:
        """Sign a member's next statement: as the newest one, but for ``changes``."""
        before = self._member(member)
        if before.state is State.REVOKED:
            raise NotReady(
                f"{member} is revoked, for good",
                safe="nothing was signed",
                do="who comes back enrols under another name",
            )
        names = ("member", "name", "roles", "state", "devices", "compromised")
        kept = before.model_dump(mode="json", exclude_none=True, include={*names})
        return self._sign_next(Member, member, **{**kept, **changes})

    def set_posting(self, post: str, holders: Sequence[str]) -> Statement[Posting]:
        """Say who holds a post; nobody means that it is vacant.

        Raises:
            NotReady: another party's post, a member's name, or a holder who isn't an active member.
        """
        check_id("address", post)
        if party_of(post) != self.party:
            raise NotReady(
                f"{post} is not of {self.party}",
                safe="nothing was signed",
                do=f"{party_of(post)} says who holds it",
            )
        if self._newest("member", post):
            raise _name_taken(post, "a member")
        self._check_holders(holders)
        return self._sign_next(Posting, post, post=post, holders=sorted(set(holders)))

    def _check_holders(self, holders: Iterable[str]) -> None:
        for holder in holders:
            state = self._member(holder).state
            if state is not State.ACTIVE:
                raise NotReady(
                    f"{holder} is {state}, and holds no post",
                    safe="nothing was signed",
                    do="say who holds it instead: liaison posting set POST [MEMBER]...",
                )

    # The directory

    def sign_directory(self) -> Statement[Directory]:
        """Sign what is current now: complete, and valid for seven days."""

        members: dict[str, Any] = {
            name: [each if isinstance(each, str) else each.model_dump() for each in current]
            for name, current in self._current().items()
        }
        return self._sign_next(
            Directory,
            "",
            **members,
            valid_until=self.now() + DIRECTORY_VALID,
        )

    def _current(self) -> dict[str, tuple[Any, ...]]:
        """Return what a directory says that is signed now."""

        def of(kind: str, entry: type[Any], name: str) -> tuple[Any, ...]:
            subjects = self._subjects(kind)
            return tuple(
                entry(**{name: subject, "statement": str(subjects[subject]["statement"])})
                for subject in sorted(subjects)
            )

        return {
            "members": of("member", MemberEntry, "member"),
            "postings": of("posting", PostEntry, "post"),
            "rosters": of("roster", ChannelEntry, "channel"),
            "charters": of("charter", ChannelEntry, "channel"),
            "revoked": self.revoked,
        }

    def newest_directory(self) -> Directory | None:
        """Return the directory that was signed last, by whichever home of the party."""
        newest: Directory | None = self._newest_of(Directory, "")
        return newest

    def is_directory_due(self, after: int) -> bool:
        """Return whether the newest directory is ``after`` microseconds old, or not what is current."""
        newest = self.newest_directory()
        if newest is None or self.now() >= newest.issued + after:
            return True
        return self._current() != {
            name: getattr(newest, name)
            for name in ("members", "postings", "rosters", "charters", "revoked")
        }


def _compromised(before: Member | None) -> dict[str, Any]:
    if before is None or before.compromised is None:
        return {}
    return {"compromised": [one.model_dump() for one in before.compromised]}


def _not_approved(member: str) -> NotReady:
    return NotReady(
        f"{member} is not a member that this authority approved",
        safe="nothing was signed",
        do="see which there are: liaison member list; a device of another is approved first: liaison "
        "member approve FILE",
    )


def _name_taken(address: str, by: str) -> NotReady:
    return NotReady(
        f"{address} is the name of {by}; a member and a post never share one",
        safe="nothing was signed",
        do="enrol under another name with --as",
    )
