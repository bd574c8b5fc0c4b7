"""Files that come into being whole, or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

import pytest

from liaison.adapters.newfile import abandoned, create_whole, drafted


def test_a_draft_becomes_the_file_whole_and_closed_to_others(tmp_path):
    with drafted(tmp_path / "f") as draft:
        assert not (tmp_path / "f").exists()
        draft.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_bytes() == b"whole"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600


def test_a_draft_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="injected"), drafted(tmp_path / "f"):
        raise OSError("injected")
    assert list(tmp_path.iterdir()) == []


def test_a_draft_takes_no_file_s_place_neither_before_nor_meanwhile(tmp_path):
    (tmp_path / "f").write_text("mine")
    with pytest.raises(FileExistsError), drafted(tmp_path / "f"):
        pass
    with pytest.raises(FileExistsError), drafted(tmp_path / "g"):
        (tmp_path / "g").write_text("quicker")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "g"]
    assert (tmp_path / "f").read_text() == "mine"
    assert (tmp_path / "g").read_text() == "quicker"


def test_what_a_crash_left_is_swept_away_and_what_is_being_written_is_not(tmp_path):
    left, beside = tmp_path / ".f.0123abcd.new", tmp_path / ".f.0123abcd.new-journal"
    other = tmp_path / ".g.0123abcd.new"
    for path in (left, beside, other):
        path.write_text("left")
    with drafted(tmp_path / "f") as draft:
        assert sorted(tmp_path.iterdir()) == sorted([draft, other])
        assert list(abandoned(tmp_path / "f")) == []
        (tmp_path / ".f.89abcdef.new").write_text("another")
        with (tmp_path / ".f.89abcdef.new").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert list(abandoned(tmp_path / "f")) == []


def test_a_file_of_given_bytes_takes_no_file_s_place_either(tmp_path):
    create_whole(tmp_path / "f", b"whole")
    with pytest.raises(FileExistsError):
        create_whole(tmp_path / "f", b"other")
    assert (tmp_path / "f").read_bytes() == b"whole"


def test_where_a_file_system_knows_no_links_a_draft_still_takes_no_file_s_place(
    tmp_path, monkeypatch
):
    def no_links(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    with drafted(tmp_path / "f") as draft:
        draft.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    with pytest.raises(FileExistsError), drafted(tmp_path / "g"):
        (tmp_path / "g").write_text("quicker")
    assert (tmp_path / "g").read_text() == "quicker"
