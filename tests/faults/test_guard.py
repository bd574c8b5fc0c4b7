"""What the guard keeps a node from: old backups, second instances, forks. design.md 5, "Guard"."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from liaison.adapters.guard import SLOT_BYTES, SLOT_OFFSETS, from_slot
from liaison.adapters.sql.reader import SqlReader
from liaison.ledger.facts import NodeFacts
from liaison.ledger.record import record_from
from liaison.main import begin, read_card
from liaison.node.ports import Head
from liaison.settings import Settings
from liaison.words.encoding import to_base64
from tests.faults.process import Process, SteadyClock, spawn
from tests.node.live import HandClock, LiveNode, live_node
from tests.world import MemoryWorld, fixed

Opened = Callable[..., tuple[Path, MemoryWorld]]


async def liaison(tmp_path: Path, *said: str, timeout_s: float = 30) -> tuple[int, str, str]:
    """Run the command line to its end; return exit code, output and errors."""
    journal = tmp_path / "stderr"
    journal.unlink(missing_ok=True)
    child = await spawn(("-m", "liaison.cli", *said), journal)
    out, _ = await asyncio.wait_for(child.communicate(), timeout_s)
    assert child.returncode is not None
    return child.returncode, out.decode(), journal.read_text()


async def serve(tmp_path: Path, home: Path) -> tuple[int, str, str]:
    """Run a node that is to refuse."""
    return await liaison(tmp_path, "--home", str(home), "node", "serve", "--listen", "127.0.0.1:0")


async def grow(home: Path, world: MemoryWorld, count: int = 2) -> bytes:
    """Let the node of ``home`` take some notes; return the root that it signed last."""
    async with live_node(home, HandClock()) as node:
        node.world = world
        for _ in range(count):
            await node.send()
        return root_of(node)


def root_of(node: LiveNode) -> bytes:
    return node.running.services.sequencer.published.head.root


def guarded(home: Path) -> set[Head]:
    """Return what the guard remembers; opening one writes its newest head anew."""
    data = (home / "guard").read_bytes() if (home / "guard").exists() else b""
    slots = [from_slot(data[offset : offset + SLOT_BYTES]) for offset in SLOT_OFFSETS]
    return (
        {max((slot for slot in slots if slot), key=lambda slot: slot[0])[1]}
        if any(slots)
        else set()
    )


def restored_backup(home: Path, backup: Path) -> None:
    shutil.copy(backup / "node.db", home / "node.db")


def damaged_guard(home: Path, _: Path) -> None:
    data = bytearray((home / "guard").read_bytes())
    data[20] ^= 1
    data[4096 + 20] ^= 1
    (home / "guard").write_bytes(data)


def missing_guard(home: Path, _: Path) -> None:
    (home / "guard").unlink()


def guard_of_another(home: Path, backup: Path) -> None:
    other = Settings(home=backup.parent / "other")
    seeds = {purpose: fixed(f"other {purpose}") for purpose in ("log", "node", "administrator")}
    begin(other, "other.example/log", seeds=seeds, url="http://127.0.0.1", clock=HandClock())
    shutil.copy(other.guard, home / "guard")


REFUSALS = [
    (restored_backup, "the store does not hold what this log may have signed"),
    (damaged_guard, "Both slots of the guard"),
    (missing_guard, "There is no guard at"),
    (guard_of_another, "the store does not hold what this log may have signed"),
]


@pytest.mark.parametrize(("harm", "message"), REFUSALS)
async def test_a_node_whose_guard_and_store_disagree_exits_3_and_names_two_ways_on(
    harm: Callable[[Path, Path], None], message: str, opened: Opened, tmp_path: Path
) -> None:
    backup, _ = opened("backup")
    home, world = opened()
    await grow(home, world)
    harm(home, backup)
    before = guarded(home)
    code, out, err = await serve(tmp_path, home)
    assert (code, out) == (3, "")
    told = " ".join(err.split())
    assert message in told
    assert "igned" in told  # what is safe: nothing was signed
    assert "node retire" in told
    assert "back" in told
    assert guarded(home) == before


async def test_both_heads_are_named(
    opened: Opened, tmp_path: Path, documented: Callable[[str], None]
) -> None:
    backup, _ = opened("backup")
    home, world = opened()
    size = len(world.records)
    root = await grow(home, world, 3)
    restored_backup(home, backup)
    _, _, err = await serve(tmp_path, home)
    told = " ".join(err.split())
    assert f"the store ends with {size} entries" in told
    assert f"the guard with {size + 3} entries" in told
    assert to_base64(root)[:12] in told
    documented(told)


async def test_a_second_instance_exits_3_and_the_first_goes_on(
    opened: Opened, tmp_path: Path
) -> None:
    home, _ = opened()
    first = await Process.start(home, SteadyClock.start())
    try:
        code, _, err = await serve(tmp_path, home)
        assert code == 3
        told = " ".join(err.split())
        assert "is locked: another instance serves this log" in told
        assert "This one has signed nothing, the other goes on" in told
        async with aiohttp.ClientSession() as http, http.get(f"{first.url}/readyz") as answer:
            assert answer.status == 200
        first.terminate()
        assert await first.ended() == 0
    finally:
        await first.kill()
    again = await Process.start(home, SteadyClock.start())
    again.terminate()
    assert await again.ended() == 0


@pytest.mark.parametrize("is_guard_lost", [False, True])
async def test_a_successor_names_the_loss_and_serves_and_the_retired_node_does_not(
    is_guard_lost: bool, opened: Opened, tmp_path: Path
) -> None:
    backup, _ = opened("backup")
    home, world = opened()
    size = len(world.records)
    root = await grow(home, world, 2)
    restored_backup(home, backup)
    if is_guard_lost:
        missing_guard(home, backup)
    successor = tmp_path / "successor"
    said = ("node", "retire", "--origin", "node.example/log-2", "--successor", str(successor))
    code, out, err = await liaison(tmp_path, "--home", str(home), *said)
    assert code == 0, err
    assert "node.example/log is retired" in out

    settings = Settings(home=successor)
    reader = SqlReader(settings.database)
    (first,) = await reader.entries(0, 10)
    await reader.close()
    facts = record_from(first.fields).facts
    assert isinstance(facts, NodeFacts)
    lost = facts.predecessor
    assert lost is not None
    assert (lost.origin, lost.store_size) == ("node.example/log", size)
    guarded = (None, None) if is_guard_lost else (size + 2, to_base64(root))
    assert (lost.guard_size, lost.guard_root) == guarded
    assert read_card(settings)["origin"] == "node.example/log-2"

    code, _, err = await serve(tmp_path, home)
    assert code == 3
    assert "was retired" in err
    assert "serve its successor" in " ".join(err.split())
    child = await spawn(
        ("-m", "liaison.cli", "--home", str(successor), "node", "serve", "--listen", "127.0.0.1:0"),
        tmp_path / "successor.journal",
    )
    assert child.stdout is not None
    line = (await asyncio.wait_for(child.stdout.readline(), 30)).decode()
    url = line.removeprefix("serving ").strip()
    async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as answer:
        assert answer.status == 200
    child.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(child.wait(), 20) == 0
