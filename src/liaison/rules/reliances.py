"""What a sender relied on and for whom it wrapped: directories, rosters, serials, keys. NOTE-7 to -10."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from liaison.rules import cells
from liaison.rules.cells import (
    Admitted,
    CellKey,
    Channel,
    Directories,
    EncryptionKey,
    Member,
    Post,
    RosterEdition,
    Rosters,
    Serials,
    View,
)
from liaison.rules.chain import admitted, holds, key_opens
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Peek
from liaison.rules.serials import check_serial
from liaison.statements.payloads import Reliance, Wrap
from liaison.words.ids import party_of
from liaison.words.times import to_rfc3339


def reliance_needs(channel: str, key: str, reliances: Iterable[Reliance]) -> Iterable[CellKey]:
    for reliance in reliances:
        yield Admitted.key_of(reliance.party)
        yield Directories.key_of(reliance.party)
        yield Rosters.key_of(channel, reliance.party)
        yield Serials.key_of(channel, key, reliance.party)


def wrap_needs(post: str, wraps: Iterable[Wrap], peek: Peek) -> Iterable[CellKey]:
    yield Post.key_of(post)
    for wrap in wraps:
        yield EncryptionKey.key_of(wrap.key)
        key = peek(EncryptionKey, wrap.key)
        if key is not None:
            yield Member.key_of(key.member)


def check_reliances(
    view: View,
    channel: Channel,
    reliances: Sequence[Reliance],
    *,
    own: str,
    posts: Sequence[str],
    key: str,
    issued: int,
    at: int,
    beside: frozenset[str] = frozenset(),
) -> Refused | None:
    """Each party's directory and roster is one that was current when the sender wrote (NOTE-9).

    ``posts`` are those addressed, without the sender's own; ``key`` is the device's. Of the parties
    ``beside`` these only the directory is relied on.
    """
    addressed = {party_of(post) for post in posts}
    if {r.party for r in reliances} != addressed | {own} | beside:
        return Refused(
            "reliances", "parties: names the sender's party and each addressed one, no other"
        )
    for reliance in reliances:
        if reliance.party not in channel.parties:
            return Refused("not-a-party", f"{reliance.party} is not a party of {channel.alias}")
        if (reliance.serial is not None) != (reliance.party in addressed):
            return Refused(
                "reliances", f"{reliance.party}: roster and serial stand for addressed parties"
            )
        refused = _directory_current(view, reliance, issued, at)
        if refused is None and reliance.serial is not None:
            theirs = [post for post in posts if party_of(post) == reliance.party]
            refused = _rostered(view, channel.channel, reliance, issued, theirs) or check_serial(
                view, channel.channel, key, reliance.party, reliance.serial
            )
        if refused is not None:
            return refused
    return None


def _directory_current(view: View, reliance: Reliance, issued: int, at: int) -> Refused | None:
    party = reliance.party
    refused = admitted(view, party)
    if refused is not None:
        return refused
    known = view.get(Directories, party)
    editions = known.editions if known else ()
    place = next((i for i, e in enumerate(editions) if e.statement == reliance.directory), None)
    if known is None or place is None:
        return Refused(
            "directory-outdated", f"the directory of {party} it names is not in force here"
        )
    edition = editions[place]
    if at >= edition.valid_until:
        lapsed = to_rfc3339(edition.valid_until)
        return Refused("directory-lapsed", f"the directory of {party} it names lapsed at {lapsed}")
    if place + 1 < len(editions) and editions[place + 1].at <= issued:
        return Refused("directory-outdated", f"{party} had a newer directory when this was written")
    if known.revoked_at >= edition.at:
        return Refused("directory-outdated", f"{party} revoked something since that directory")
    return None


def edition_of(view: View, channel: str, reliance: Reliance) -> RosterEdition | None:
    """Return the roster that a reliance names, if it is one of those still known."""
    rosters = view.get(Rosters, channel, reliance.party)
    editions = rosters.editions if rosters else ()
    return next((e for e in editions if e.statement == reliance.roster), None)


def newest_roster(view: View, channel: str, party: str) -> RosterEdition | None:
    rosters = view.get(Rosters, channel, party)
    return rosters.editions[-1] if rosters else None


def _rostered(
    view: View, channel: str, reliance: Reliance, issued: int, posts: Iterable[str]
) -> Refused | None:
    party = reliance.party
    rosters = view.get(Rosters, channel, party)
    editions = rosters.editions if rosters else ()
    place = next((i for i, e in enumerate(editions) if e.statement == reliance.roster), None)
    if place is None:
        return Refused("roster-outdated", f"the roster of {party} it names is not in force here")
    if place + 1 < len(editions) and editions[place + 1].at <= issued:
        return Refused("roster-outdated", f"{party} had a newer roster when this was written")
    for post in posts:
        if editions[place].tier_of(post) is None:
            return Refused("not-on-roster", f"{post} is not on the roster of {party}")
    return None


def writes_for(view: View, channel: str, post: str, member: str) -> Refused | None:
    """The copy names the post that the sender writes for: held, and on the newest own roster."""
    refused = holds(view.get(Post, post), member, who=post)
    if refused is not None:
        return refused
    edition = newest_roster(view, channel, party_of(member))
    if edition is None or edition.tier_of(post) is None:
        return Refused("not-on-roster", f"{post} is not on its party's roster for the channel")
    return None


def readers_of(
    view: View, address: str, wraps: Iterable[Wrap], *, at: int, opened_by: int, only: str = ""
) -> tuple[str, ...] | Refused:
    """Return the members whose devices got a wrap for a post, ascending (CHAIN-5, CHAIN-6)."""
    post = view.get(Post, address)
    if post is None:
        return Refused("unknown-post", f"post {address} is not known here")
    readers: set[str] = set()
    for wrap in wraps:
        key = view.get(cells.EncryptionKey, wrap.key)
        holder = view.get(Member, key.member) if key else None
        refused = key_opens(key, post, holder, at=at, opened_by=opened_by, who=address)
        if refused is not None:
            return refused
        assert key is not None
        if only and key.member != only:
            return Refused("copy", "a copy is wrapped for the sender's own devices only")
        readers.add(key.member)
    return tuple(sorted(readers))
