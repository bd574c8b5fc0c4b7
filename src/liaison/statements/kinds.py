"""The registry of statement kinds: what a payload type names, and the model that reads it."""

from __future__ import annotations

from typing import Final

from liaison.statements.charters import Accession, Charter, Participation
from liaison.statements.payloads import (
    Admission,
    Answer,
    Directory,
    Key,
    Member,
    Node,
    Note,
    Party,
    Payload,
    Posting,
    Refusal,
    Roster,
    Session,
    Void,
)
from liaison.statements.procedures import (
    Extension,
    Grant,
    Hold,
    Objection,
    Release,
    Watch,
    Withdrawal,
)

KINDS: Final[dict[str, type[Payload]]] = {
    model.kind_name: model
    for model in (
        Accession,
        Admission,
        Answer,
        Charter,
        Directory,
        Extension,
        Grant,
        Hold,
        Key,
        Member,
        Node,
        Note,
        Objection,
        Participation,
        Party,
        Posting,
        Refusal,
        Release,
        Roster,
        Session,
        Void,
        Watch,
        Withdrawal,
    )
}
