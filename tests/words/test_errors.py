"""The error tree: each code is public and one error's own; a text says happened, safe, do."""

from __future__ import annotations

import re

from liaison.words import errors
from liaison.words.errors import Busy, LiaisonError, Malformed, RefusedByNode, Unreadable

TREE = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, LiaisonError)
]


def test_each_error_has_a_code_of_its_own():
    # One that names none is a closer word for its parent, to our own code and not to a peer.
    codes = [error.code for error in TREE if "code" in vars(error)]
    assert "malformed" in codes
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_a_text_says_what_happened_what_is_safe_and_what_to_do():
    assert str(Malformed("it broke")) == "it broke"
    assert str(Malformed("it broke", do="mend it")) == "it broke · mend it"
    assert str(Malformed("it broke", safe="your note", do="mend it")) == (
        "it broke · your note · mend it"
    )


def test_a_complaint_keeps_its_advice_when_a_field_is_named():
    inner = Malformed("3 bytes, not 32", safe="nothing was sent", do="mend it")
    outer = inner.within("wrap").within("note")
    assert str(outer) == "note: wrap: 3 bytes, not 32 · nothing was sent · mend it"
    assert inner.happened == "3 bytes, not 32"


def test_what_a_machine_reads_of_an_error_is_kept():
    refused = RefusedByNode("late", problem="lapsed", status=422, refusal=b"signed")
    assert (refused.problem, refused.status, refused.refusal) == ("lapsed", 422, b"signed")
    assert Unreadable("no", reason="commitment").reason == "commitment"
    assert Busy("later", retry_after_s=7).retry_after_s == 7
