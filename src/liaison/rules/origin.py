"""Rulings on the origin's own: node records and admissions. protocols/statements.md, NODE, ADMIT."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import AdmissionFacts, NodeFacts
from liaison.ledger.record import Record
from liaison.rules.cells import Admitted, Cell, CellKey, KeyClaim, Log, Party, View
from liaison.rules.chain import id_of
from liaison.rules.refusal import Refused
from liaison.rules.ruling import RULES_VERSIONS, Drafted, Peek, Ruling
from liaison.rules.speaking import not_yet
from liaison.statements.payloads import Admission, Node, State
from liaison.statements.statement import Statement


def _origin(statement: Statement[Node] | Statement[Admission]) -> str:
    return statement.payload.log


def _node_keys(payload: Node) -> dict[str, str]:
    """The three public keys by capacity; only the first record has them."""
    keys = {
        "log": payload.log_key,
        "node": payload.node_key,
        "administrator": payload.administrator_key,
    }
    return {capacity: key for capacity, key in keys.items() if key is not None}


def _node_needs(statement: Statement[Node], _: Peek) -> Iterable[CellKey]:
    for public in _node_keys(statement.payload).values():
        yield KeyClaim.key_of(id_of(public))


def _decide_node(view: View, statement: Statement[Node], at: int) -> Drafted | Refused:
    payload = statement.payload
    log = view.get(Log)
    if payload.by != payload.log:
        return Refused("not-the-node", "a node record is made by the origin itself")
    if payload.event == "init":
        if log is not None:
            return Refused("begun", "this log has its first record already")
        if payload.rules_version not in RULES_VERSIONS:
            return Refused("rules-version", f"version {payload.rules_version} is not known here")
        if payload.exercise and payload.rules_version < 2:
            return not_yet("exercise")
        ids = {id_of(public) for public in _node_keys(payload).values()}
        if len(ids) != 3:
            return Refused("keys-equal", "log, node and administrator key must be three keys")
        signer = payload.node_key
    else:
        assert log is not None  # the dispatcher lets only init pass before the first record
        signer = log.node_key
        refused = _later_event(log, payload)
        if refused is not None:
            return refused
    if signer is None or id_of(signer) != payload.key:
        return Refused("not-the-node", "the key is not the node key of this log")
    return Drafted(
        NodeFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            event=payload.event,
            origin=payload.log,
            log_key=payload.log_key,
            node_key=payload.node_key,
            administrator_key=payload.administrator_key,
            rules_version=payload.rules_version,
            predecessor=payload.predecessor,
            clock=payload.clock,
            exercise=payload.exercise,
            advance_us=payload.advance_us,
        )
    )


def _later_event(log: Log, payload: Node) -> Refused | None:
    if payload.event == "rules-version":
        version = payload.rules_version
        if version not in RULES_VERSIONS:
            return Refused("rules-version", f"version {version} is not known here")
        if version <= log.rules_version:
            return Refused("rules-version", f"version {log.rules_version} is in force already")
    if payload.event == "time-advanced":
        if log.rules_version < 2:
            return not_yet("time-advanced")
        if not log.exercise:
            return Refused("exercise", "only a node made for exercises has a time that is moved")
    return None


def _evolve_node(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, NodeFacts)
    if facts.event == "init":
        assert facts.log_key is not None
        assert facts.node_key is not None
        assert facts.administrator_key is not None
        assert facts.rules_version is not None
        yield Log(
            origin=facts.origin,
            log_key=facts.log_key,
            node_key=facts.node_key,
            administrator_key=facts.administrator_key,
            rules_version=facts.rules_version,
            predecessor=facts.predecessor,
            exercise=facts.exercise,
        )
        for capacity, public in (
            ("log", facts.log_key),
            ("node", facts.node_key),
            ("administrator", facts.administrator_key),
        ):
            yield KeyClaim(id=id_of(public), capacity=capacity, holder=facts.origin, public=public)
        return
    log = view.get(Log)
    assert log is not None
    if facts.event == "time-confirmed":
        yield log.model_copy(update={"clock_confirmed": record.at})
    elif facts.event == "rules-version":
        yield log.model_copy(update={"rules_version": facts.rules_version})
    elif facts.event == "time-advanced":
        assert facts.advance_us is not None
        yield log.model_copy(update={"advanced": (log.advanced or 0) + facts.advance_us})


def _admission_needs(statement: Statement[Admission], _: Peek) -> Iterable[CellKey]:
    yield Admitted.key_of(statement.payload.party)
    yield Party.key_of(statement.payload.party)


def _decide_admission(view: View, statement: Statement[Admission], at: int) -> Drafted | Refused:
    payload = statement.payload
    log = view.get(Log)
    assert log is not None
    if payload.by != log.origin or id_of(log.administrator_key) != payload.key:
        return Refused("not-the-administrator", "the key is not the administrator key of this log")
    if payload.party == log.origin:
        # One scope counts the origin's records, another the party's.
        return Refused("name-taken", f"{payload.party} is the name of this log")
    admitted = view.get(Admitted, payload.party)
    if admitted is not None and admitted.state is payload.state:
        return Refused("already-so", f"party {payload.party} is {payload.state} here already")
    if (
        admitted is not None
        and admitted.authority != payload.authority
        and view.get(Party, payload.party) is not None
    ):
        return Refused(
            "authority-differs", f"{payload.party} is known here by another authority key"
        )
    return Drafted(
        AdmissionFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            party=payload.party,
            authority=payload.authority,
            state=State(payload.state),
        )
    )


def _evolve_admission(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, AdmissionFacts)
    yield Admitted(party=facts.party, authority=facts.authority, state=facts.state)


RULINGS: Final[dict[str, Ruling]] = {
    "node": Ruling(_origin, _node_needs, _decide_node, _evolve_node),
    "admission": Ruling(_origin, _admission_needs, _decide_admission, _evolve_admission),
}
