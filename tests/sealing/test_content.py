"""Content: SEAL-20 to SEAL-28."""

from __future__ import annotations

from contextlib import suppress
from math import floor, log2

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liaison.sealing.content import (
    Content,
    Part,
    Role,
    format_content,
    padded_bytes,
    padme,
    parse_content,
    visible,
)
from liaison.words.errors import Malformed, Unreadable

PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=200)
NAMES = PLAIN.filter(lambda t: t not in ("", ".", "..") and not set(t) & set("/\\"))
LANGS = st.none() | st.sampled_from(["en", "fr", "pt-BR", "zh-Hant-TW"])
FIRST = st.builds(
    lambda text, role, lang: Part(text.encode(), "text/plain", role, None, lang),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(Role),
    LANGS,
)
MORE = st.builds(
    Part,
    st.binary(max_size=3000),
    st.sampled_from(["text/plain", "application/pdf", "application/vnd.x+json"]),
    st.sampled_from(Role),
    st.none() | NAMES,
    LANGS,
)
CONTENTS = st.builds(
    lambda subject, first, more: Content(subject, (first, *more)),
    PLAIN,
    FIRST,
    st.lists(MORE, max_size=4),
)


@given(CONTENTS)
def test_what_is_formatted_parses_to_the_same(content):
    assert parse_content(format_content(content)) == content


@given(CONTENTS, st.data())
def test_any_altered_content_has_its_own_spelling_or_none(content, data):
    spelled = bytearray(format_content(content))
    spelled[data.draw(st.integers(0, len(spelled) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(Malformed, Unreadable):
        assert format_content(parse_content(bytes(spelled))) == spelled


@given(st.binary(max_size=400))
@example(b"{}\n")
@example(b'{"v":1}\n')
@example(b'{"parts":{},"subject":"","v":1}\n')
@example(b'{"parts":[1],"subject":"","v":1}\n')
@example(b'{"parts":[{"bytes":-1}],"subject":"","v":1}\n')
@example(b'{"parts":[{"bytes":0,"role":[],"type":"text/plain"}],"subject":"","v":1}\n')
@example(b'{"parts":[{"bytes":0,"role":"x","type":"text/plain"}],"subject":"","v":1}\n')
@example(
    b'{"parts":[{"bytes":0,"lang":"","role":"authentic","type":"text/plain"}],"subject":"","v":1}\n'
)
def test_any_bytes_are_a_content_or_refused(inner):
    data = len(inner).to_bytes(4, "big") + inner
    with suppress(Malformed, Unreadable):
        parse_content(data.ljust(1024, b"\0"))
        raise AssertionError("nothing here is a content")


def test_a_file_of_unknown_type_is_kept():
    odd = Part(b"\x7fELF", "application/x-unheard-of", Role.COURTESY, "run me.exe")
    content = Content("s", (Part(b"text"), odd))
    assert parse_content(format_content(content)).parts[1] == odd


def test_a_newer_version_is_named_as_such():
    inner = b'{"parts":[],"subject":"","v":2}\n'
    with pytest.raises(Unreadable) as caught:
        parse_content((len(inner).to_bytes(4, "big") + inner).ljust(1024, b"\0"))
    assert caught.value.reason == "newer"
    assert str(caught.value) == (
        "The content was made by a newer version of liaison · nothing of it is shown, and it "
        "stays as it is · update liaison and open the note again"
    )


@pytest.mark.parametrize(
    ("subject", "complaint"),
    [
        ("x" * 201, "subject: 201 characters, more than 200"),
        ("a\nb", "subject: a control character"),
        ("a\x85b", "subject: a control character"),
        ("\ud800", "subject: a control character, or not well-formed UTF-8"),
    ],
)
def test_a_subject_outside_its_limits_is_refused(subject, complaint):
    with pytest.raises(Malformed, match=complaint):
        Content.text(subject, "body")


def test_a_subject_is_counted_in_code_points():
    assert Content.text("\U0001f54a" * 200, "body").subject == "\U0001f54a" * 200


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "a\x00b", "a\nb", "x" * 201]
)
def test_a_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(Malformed, match="name of a part"):
        Part(b"", "text/plain", Role.AUTHENTIC, name)


@pytest.mark.parametrize("kind", ["", "text", "Text/plain", "text/plain; charset=utf-8", "a/b\n"])
def test_a_type_that_is_no_media_type_is_refused(kind):
    with pytest.raises(Malformed, match="type of a part"):
        Part(b"", kind)


@pytest.mark.parametrize("lang", ["", "e", "en_GB", "en-", "en\n", "englishish"])
def test_a_lang_that_is_no_language_tag_is_refused(lang):
    with pytest.raises(Malformed, match="lang of a part"):
        Part(b"", lang=lang)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (Part(b"", "application/pdf"),),
        (Part(b"", name="note.txt"),),
        (Part(b"\xff"),),
        (Part(b""),) * 257,
    ],
)
def test_the_first_part_is_nameless_text_and_parts_are_bounded(parts):
    with pytest.raises(Malformed):
        Content("s", parts)


def test_a_content_shows_nothing_in_its_repr():
    content = Content("canary", (Part(b"canary"), Part(b"canary", name="canary")))
    assert "canary" not in repr(content)


@given(st.integers(2, 2**40))
@example(2**24)
@example(2**24 + 1)
def test_padme_is_as_the_paper_defines_it(size):
    exponent = floor(log2(size))
    low_bits = exponent - (floor(log2(exponent)) + 1 if exponent else 1)
    mask = 2**low_bits - 1 if low_bits > 0 else 0
    assert padme(size) == (size + mask) & ~mask
    assert size <= padme(size) <= size * 1.12
    assert padme(padme(size)) == padme(size)


def test_a_content_has_at_least_a_kibibyte():
    assert [padded_bytes(n) for n in (0, 1, 1023, 1024, 1025)] == [1024, 1024, 1024, 1024, 1088]
    assert len(format_content(Content.text("", ""))) == 1024


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nof lines", "plain\ttext\nof lines"),
        ("windows\r\nlines", "windows\nlines"),
        ("over\rwritten", "over⟨U+000D⟩written"),
        ("pay \u202e001\u202c", "pay ⟨U+202E⟩001⟨U+202C⟩"),
        ("\u2066a\u2069 \u200f", "⟨U+2066⟩a⟨U+2069⟩ ⟨U+200F⟩"),
        ("\x1b[2Jgone", "⟨U+001B⟩[2Jgone"),
        ("a\U000e0041b", "a⟨U+E0041⟩b"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀 会議", "👩\u200d🚀 会議"),
    ],
)
def test_what_would_deceive_is_made_visible(text, shown):
    assert visible(text) == shown
