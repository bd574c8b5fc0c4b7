"""Who may speak in a channel: what all statements of members there have in common. CHAIN-3, CHARTER-10."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from liaison.rules.cells import Admitted, CellKey, Channel, Log, Member, Note, Party, View
from liaison.rules.chain import admitted, device_signs
from liaison.rules.refusal import Refused
from liaison.statements.charters import Standing
from liaison.statements.payloads import Logged
from liaison.statements.procedures import InChannel
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.times import SECOND


def channel_of(statement: Statement[Any]) -> str:
    channel: str = statement.payload.channel
    return channel


def version_of(view: View) -> int:
    """Return the rules version in force."""
    log = view.get(Log)
    return log.rules_version if log else 1


def name_of(channel: Channel, note: Note) -> str:
    """Return how people name a note: by its reference, a draft by its entry."""
    return f"{channel.alias}/{note.reference or f'draft-{note.index}'}"


def not_yet(what: str) -> Refused:
    return Refused("not-in-this-version", f"{what}: not known to this rules version")


def speaker_needs(payload: Logged, channel: str) -> Iterable[CellKey]:
    party = party_of(payload.by)
    yield Admitted.key_of(party)
    yield Party.key_of(party)
    yield Member.key_of(payload.by)
    yield Channel.key_of(channel)


def speaks(view: View, payload: Logged, channel: Channel | None) -> Refused | None:
    """The channel is open and the one who signs is a device of a member of one of its parties."""
    if channel is None:
        return Refused("unknown-channel", "the channel is not known here")
    party = party_of(payload.by)
    if party not in channel.parties:
        return Refused("not-a-party", f"{party} is not a party of {channel.alias}")
    refused = admitted(view, party) or device_signs(
        view.get(Party, party), view.get(Member, payload.by), payload.key, who=payload.by
    )
    if refused is not None:
        return refused
    if not channel.is_open:
        acceded = {accession.party for accession in channel.acceded}
        missing = ", ".join(p for p in channel.parties if p not in acceded)
        return Refused(
            "channel-not-open", f"{channel.alias} is not open: {missing} has not acceded"
        )
    if payload.lapse - payload.issued > channel.terms.lapse_max_s * SECOND:
        limit = channel.terms.lapse_max_s
        return Refused(
            "lapse-too-long", f"its lapse is over {limit} s after issued, the charter's limit"
        )
    return None


def speaks_of(view: View, payload: InChannel, digest: str) -> tuple[Channel, Note] | Refused:
    """Return the channel and the note that a statement of rules version 2 is about, if ``speaks``."""
    if version_of(view) < 2:
        return not_yet(payload.kind_name)
    channel = view.get(Channel, payload.channel)
    refused = speaks(view, payload, channel)
    if refused is not None:
        return refused
    assert channel is not None
    note = view.get(Note, payload.channel, digest)
    if note is None:
        return Refused("unknown-note", f"{channel.alias} has no note {digest}")
    return channel, note


def takes_part(channel: Channel, parties: Iterable[str]) -> Refused | None:
    """Nothing new crosses from or to a party that suspended its part or left."""
    for party in parties:
        standing = channel.standing(party)
        if standing is Standing.SUSPENDED:
            return Refused(
                "part-suspended", f"{party} has suspended its part in {channel.alias} for now"
            )
        if standing is Standing.LEFT:
            return Refused("party-left", f"{party} has left {channel.alias}")
    return None
