"""How a log begins, and how a node takes up one that exists. design.md 3 ("Beginning") and 5 ("Guard")."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from liaison.ledger.entry import LEAF_KEY_BYTES, commit_to
from liaison.ledger.record import Record, fields_of
from liaison.node.ports import Batch, EntryRow, Guard, Head, Reader
from liaison.node.sequencer import Published
from liaison.rules.cells import Overlay, World
from liaison.rules.decide import decide
from liaison.rules.evolve import evolve
from liaison.rules.ruling import NEWEST_RULES, TRAVELLING_LAPSE_MAX
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Node, Predecessor
from liaison.statements.statement import Statement, make_statement
from liaison.tlog.checkpoint import Checkpoint, sign_checkpoint
from liaison.tlog.merkle import leaf_hash, root_at
from liaison.tlog.note import SignerKey
from liaison.tlog.tiles import Edge, Tile, node_from_tiles, tiles_for_root
from liaison.words.encoding import to_base64
from liaison.words.errors import GuardRefused, NotReady
from liaison.words.times import DAY, to_rfc3339


@dataclass(frozen=True)
class NodeKeys:
    """The three keys of a node: checkpoints only; refusals and node records; admissions."""

    log: SigningKey
    node: SigningKey
    administrator: SigningKey


def first_statement(
    origin: str,
    keys: NodeKeys,
    at: int,
    predecessor: Predecessor | None = None,
    *,
    is_exercise: bool = False,
    rules_version: int = NEWEST_RULES,
) -> Statement[Node]:
    """Return the node's first statement, which names its three keys."""
    payload = Node(
        by=origin,
        key=keys.node.id,
        issued=at,
        lapse=at + DAY,
        log=origin,
        event="init",
        log_key=to_base64(keys.log.public),
        node_key=to_base64(keys.node.public),
        administrator_key=to_base64(keys.administrator.public),
        rules_version=rules_version,
        predecessor=predecessor,
        exercise=True if is_exercise else None,
    )
    return make_statement(payload, keys.node)


def confirm_time(origin: str, node: SigningKey, at: int) -> Statement[Node]:
    """Return the node's word that its clock, which says ``at``, was confirmed by the operator.

    It lapses as late as any: the log whose head it confirms may be far ahead of the clock.
    """
    payload = Node(
        by=origin,
        key=node.id,
        issued=at,
        lapse=at + TRAVELLING_LAPSE_MAX,
        log=origin,
        event="time-confirmed",
        clock=at,
    )
    return make_statement(payload, node)


def first_batch(statement: Statement[Node], at: int) -> Batch:
    """Return what the store holds after the first record, entry 0."""
    world = World()
    record = decide(world_view(world), statement, at)
    assert isinstance(record, Record)
    fields = fields_of(record)
    leaf_key = secrets.token_bytes(LEAF_KEY_BYTES)
    entry, _ = commit_to(fields, leaf_key)
    edge, tiles = Edge().append([leaf_hash(entry)])
    return Batch(
        previous=None,
        head=Head(1, edge.root, at),
        entries=[EntryRow(0, entry, leaf_key, fields, statement.digest)],
        tiles=tiles,
        cells=evolve(world_view(world), record, 0),
    )


def world_view(world: World) -> Overlay:
    """Return a view over all cells of a log in memory."""
    return Overlay(world)


async def take_up(reader: Reader, guard: Guard, signer: SignerKey) -> Published:
    """Return the head to go on from, once the guard and the store agree on it.

    The store may be ahead: the process ended between commit and guard. It may not be behind.

    Raises:
        NotReady: the store has no first record.
        GuardRefused: the store doesn't hold the head that the guard has.
    """
    head = await reader.head()
    if head is None:
        raise NotReady("the store has no log yet", do="liaison node init")
    tiles = await _tiles(reader, tiles_for_root(head.size))
    edge = Edge.from_tiles(head.size, tiles.__getitem__)
    if edge.root != head.root:
        raise GuardRefused(
            f"the store is damaged: its tiles lead to another root than its head of {head.size} entries",
            safe="nothing was signed",
            do="bring back the newest copy of the store; liaison audit verify names the entry",
        )
    guarded = guard.read()
    if guarded.size > head.size or await _root_at(reader, guarded.size, head.size) != guarded.root:
        raise GuardRefused(
            f"the store does not hold what this log may have signed: the store ends with "
            f"{_heads(head)}, the guard with {_heads(guarded)}",
            safe="nothing was signed",
            do="bring the newer data back; if it is lost, liaison node retire begins a successor",
        )
    if guarded.size != head.size:
        guard.advance(head)
    checkpoint = sign_checkpoint(Checkpoint(signer.name, head.size, head.root), signer)
    return Published(head, checkpoint, edge)


async def _root_at(reader: Reader, size: int, head_size: int) -> bytes:
    tiles = {
        Tile(t.level, t.n, min(256, (head_size >> (8 * t.level)) - t.n * 256))
        for t in tiles_for_root(size)
    }
    found = await _tiles(reader, tiles)
    return root_at(size, node_from_tiles(found.__getitem__, head_size))


async def _tiles(reader: Reader, tiles: set[Tile] | frozenset[Tile]) -> dict[Tile, bytes]:
    stored = await reader.tiles([(tile.level, tile.n) for tile in tiles])
    return {tile: stored.get((tile.level, tile.n), b"")[: tile.width * 32] for tile in tiles}


def _heads(head: Head) -> str:
    when = f" of {to_rfc3339(head.at)}" if head.at else ""
    return f"{head.size} entries{when} (root {to_base64(head.root)[:12]}…)"
