"""The agent gives its key to its own user alone, until it was idle, and leaves it on no disk."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from liaison.adapters import agent
from liaison.adapters.agent import IDLE_S, Held, serve
from liaison.words.errors import NotReady
from tests.node.live import until

KEY = b"a canary that was stretched, of 48 bytes in all."


@dataclass
class Clock:
    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


def held(clock: Clock, kept: bytes = KEY) -> Held:
    made = Held(clock)
    out, into = os.pipe()
    os.write(into, kept)
    os.close(into)
    made.read_from(out)
    os.close(out)
    return made


def is_wiped(one: Held) -> bool:
    return one._page[:] == bytes(len(one._page))


@dataclass
class Serving:
    """An agent that serves from a thread, on a clock moved by hand."""

    place: Path
    clock: Clock = field(default_factory=Clock)
    gone: int = 0

    def begin(self) -> threading.Thread:
        self.held = held(self.clock)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(self.place))
        listening.listen()
        self.thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self.thread.start()
        return self.thread

    def _serve(self, listening: socket.socket) -> None:
        with listening:
            serve(listening, self.held, self._count)

    def _count(self) -> None:
        self.gone += 1


def answer_to(place: Path, line: bytes) -> bytes:
    """Ask without the client's own look at who answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.connect(str(place))
        try:
            channel.sendall(line)
            channel.shutdown(socket.SHUT_WR)
            return channel.recv(100)
        except ConnectionError:
            return b""  # it hung up without reading


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    one = Serving(tmp_path / "a")
    one.begin()
    yield one
    agent.lock(one.place)
    one.thread.join(5)
    assert not one.thread.is_alive()
    assert one.gone == 1


def test_what_is_held_is_wiped_after_a_quarter_of_an_hour_without_use():
    clock = Clock()
    one = held(clock)
    assert one.left_s() == IDLE_S == 900
    clock.at += IDLE_S - 1
    assert one.left_s() == 1
    assert one._page[: len(KEY)] == KEY
    clock.at += 1
    assert one.left_s() == 0
    assert is_wiped(one)


def test_each_use_begins_the_quarter_of_an_hour_anew(serving):
    for _ in range(3):
        serving.clock.at += IDLE_S - 1
        assert agent.take(serving.place) == KEY
    assert agent.left_s(serving.place) == IDLE_S
    serving.clock.at += 300
    # To ask how long is no use of it.
    assert agent.left_s(serving.place) == agent.left_s(serving.place) == IDLE_S - 300


def test_a_machine_that_slept_longer_finds_it_locked(serving):
    serving.clock.at += IDLE_S
    assert agent.take(serving.place) == b""
    serving.thread.join(5)
    assert is_wiped(serving.held)


def test_lock_ends_it_at_once(serving):
    assert agent.take(serving.place) == KEY
    assert answer_to(serving.place, b"key\n") == KEY
    assert agent.lock(serving.place)
    assert is_wiped(serving.held)
    assert agent.take(serving.place) == b""
    assert not agent.lock(serving.place)


@pytest.mark.parametrize("asked", [b"", b"key", b"keys\n", b"KEY\n", b"x" * 16])
def test_what_is_no_question_gets_no_answer(serving, asked):
    assert answer_to(serving.place, asked) == b""
    assert agent.take(serving.place) == KEY


def test_another_user_is_told_nothing(serving, monkeypatch):
    monkeypatch.setattr(agent, "_who_is", lambda _: (1, os.getuid() + 1))
    for line in (b"key\n", b"left\n", b"lock\n"):
        assert answer_to(serving.place, line) == b""
    # Nor is an agent believed that another user runs.
    assert agent.take(serving.place) == b""
    monkeypatch.undo()
    assert agent.take(serving.place) == KEY


def test_without_an_agent_nothing_is_held(tmp_path):
    assert agent.take(tmp_path / "a") == b""
    assert agent.left_s(tmp_path / "a") == 0
    assert not agent.lock(tmp_path / "a")
    (tmp_path / "a").write_bytes(KEY)
    assert agent.take(tmp_path / "a") == b""


# As a process


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return folder


def place_in(folder: Path, home: str = "home") -> Path:
    place = agent.place_for(Path(home), {"XDG_RUNTIME_DIR": str(folder)})
    assert place is not None
    return place


def pid_of(place: Path) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.connect(str(place))
        found = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", found)[0])


def test_a_process_keeps_it_for_the_next_command_and_writes_it_nowhere(runtime):
    place = place_in(runtime)
    is_unswapped = agent.start(place, KEY)
    try:
        assert agent.take(place) == KEY
        assert 0 < agent.left_s(place) <= IDLE_S
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        process = Path(f"/proc/{pid_of(place)}")
        for name in ("cmdline", "environ"):
            assert KEY not in (process / name).read_bytes()
        locked = next(
            line for line in (process / "status").read_text().splitlines() if "VmLck" in line
        )
        assert (int(locked.split()[1]) > 0) is is_unswapped
        assert [path for path in runtime.rglob("*") if path.is_file()] == []
        # A second one takes the place of the first.
        before = pid_of(place)
        agent.start(place, KEY[::-1])
        assert agent.take(place) == KEY[::-1]
        assert pid_of(place) != before
    finally:
        assert agent.lock(place)
    assert not place.exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_process_that_is_ended_holds_nothing_and_the_next_takes_its_place(runtime, how):
    place = place_in(runtime)
    agent.start(place, KEY)
    os.kill(pid_of(place), how)
    await until(lambda: agent.take(place) == b"")
    agent.start(place, KEY[::-1])
    assert agent.take(place) == KEY[::-1]
    assert agent.lock(place)
    assert not place.exists()


def test_an_agent_that_does_not_answer_is_not_said_to_be_locked(runtime):
    place = place_in(runtime)
    agent.start(place, KEY)
    pid = pid_of(place)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(NotReady) as told:
            agent.lock(place, wait_s=0.05)
        assert str(told.value) == (
            f"The agent at {place} doesn't answer: it may still hold the key · it forgets it once it "
            f"answers again, or was idle for 15 minutes · end it, if that is too long: kill -9 {pid}"
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    assert agent.take(place) == KEY
    assert agent.lock(place)
    assert not place.exists()
    assert not agent.lock(place)


def test_where_it_cant_listen_that_is_said(tmp_path):
    with pytest.raises(NotReady, match="No agent could be started"):
        agent.start(tmp_path / "nowhere" / "liaison" / "a", KEY)


def test_each_home_has_its_own_place(runtime):
    assert place_in(runtime, "a") != place_in(runtime, "b")
    assert place_in(runtime, "a") == place_in(runtime, "x/../a")


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_enter_is_no_place(runtime, mode):
    runtime.chmod(mode)
    with pytest.raises(NotReady, match="is not this user's alone"):
        place_in(runtime)
    assert agent.place_for(Path("home"), {}) is None
    assert agent.place_for(Path("home"), {"XDG_RUNTIME_DIR": str(runtime / "none")}) is None
