"""Makes liaison's half of protocols/vectors/sealing.json; run once, for version 1.

Usage: python -m tests.sealing.make_vectors FILE

protocols/vectors/independent/sealing.mjs then checks it and adds its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from liaison.sealing.content import Content, Part, Role, format_content, padded_bytes
from liaison.sealing.keys import EncryptionKey
from liaison.sealing.seal import Recipient, SealContext, _seal_under
from liaison.words.encoding import to_base64

P = 2**255 - 19
ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
CONTENTS = (
    ("a short text", Content.text("Line test", "Are you receiving me?", "en")),
    ("nothing at all", Content.text("", "")),
    (
        "a text, its translation and a file",
        Content(
            "Réunion du 14 août · 会議",
            (
                Part("La réunion est reportée.\n".encode(), lang="fr"),
                Part(b"The meeting is postponed.\n", "text/plain", Role.MACHINE, None, "en"),
                Part(
                    bytes(range(256)) * 8, "application/pdf", Role.COURTESY, "agenda \u2116 1.pdf"
                ),
            ),
        ),
    ),
)


def fixed(label: str, size: int = 32) -> bytes:
    """Return bytes that anybody can make again."""
    return hashlib.shake_256(f"liaison sealing vector: {label}".encode()).digest(size)


def describe(content: Content) -> dict[str, object]:
    parts = [
        {"data": to_base64(p.data), "lang": p.lang, "name": p.name, "role": p.role, "type": p.type}
        for p in content.parts
    ]
    return {"subject": content.subject, "parts": parts}


def note(number: int, name: str, content: Content, keys: list[Recipient]) -> dict[str, object]:
    context = SealContext(
        note_id=f"0198c0de-0000-7000-8000-00000000000{number}",
        charter=to_base64(fixed("charter")),
        signer=to_base64(fixed("signer")),
        kind="note" if number else "line-test",
    )
    secret, wrapper = fixed(f"secret {number}"), to_base64(fixed("wrapper"))
    sealed = _seal_under(secret, content, context, keys, wrapper=wrapper)
    return {
        "name": name,
        "made_by": "liaison",
        "context": vars(context),
        "info": to_base64(context.info()),
        "secret": to_base64(secret),
        "okm": to_base64(HKDF(SHA256(), 76, None, context.info()).derive(secret)),
        "commitment": to_base64(sealed.commitment),
        "content": describe(content),
        "plaintext": to_base64(format_content(content)),
        "ciphertext": to_base64(sealed.ciphertext),
        "wraps": [
            {"made_by": "liaison", "wrapper": wrapper, "statement": s, "wrap": to_base64(w)}
            for s, w in sealed.wraps.items()
        ],
    }


def plaintext(header: bytes, rest: bytes = b"", *, longer: int = 0, pad: bytes = b"\0") -> bytes:
    inner = header + rest
    size = 4 + len(inner)
    return ((len(inner) + longer).to_bytes(4, "big") + inner).ljust(padded_bytes(size), pad)


def refused_plaintexts() -> list[dict[str, str]]:
    def header(
        part: bytes = b'{"bytes":2,"role":"authentic","type":"text/plain"}', tail: bytes = b'"v":1}'
    ) -> bytes:
        return b'{"parts":[' + part + b'],"subject":"s",' + tail + b"\n"

    good = header()
    named = b'{"bytes":2,"name":"a","role":"authentic","type":"text/plain"}'
    unknown = b'{"bytes":2,"role":"authentic","type":"text/plain","zone":"z"}'
    cases = (
        ("padding of ones", "content", plaintext(good, b"hi", pad=b"\1")),
        ("length one too long", "content", plaintext(good, b"hi", longer=1)),
        ("length past the end", "content", plaintext(good, b"hi", longer=1024)),
        ("padded to more than PADMÉ", "content", plaintext(good, b"hi") + bytes(64)),
        ("padded to less than 1 KiB", "content", plaintext(good, b"hi")[:1023]),
        ("a byte behind the last part", "content", plaintext(good, b"hi!")),
        ("parts longer than the content", "content", plaintext(good, b"h")),
        ("no newline", "content", plaintext(good[:-1])),
        ("white space in the header", "content", plaintext(good.replace(b":[", b": ["), b"hi")),
        ("no part", "content", plaintext(header(b""))),
        ("a name on the first part", "content", plaintext(header(named), b"hi")),
        ("text that isn't UTF-8", "content", plaintext(good, b"\xff\xfe")),
        ("v is true", "content", plaintext(header(tail=b'"v":true}'), b"hi")),
        ("v is 2", "newer", plaintext(header(tail=b'"v":2}'), b"hi")),
        ("an unknown member", "newer", plaintext(header(tail=b'"v":1,"w":1}'), b"hi")),
        ("an unknown member of a part", "newer", plaintext(header(unknown), b"hi")),
    )
    return [{"why": w, "reason": r, "plaintext": to_base64(p)} for w, r, p in cases]


def refused_keys(good: bytes) -> list[dict[str, str]]:
    low = (0, 1, P - 1, *ORDER_8)
    spelled = [("small order", u) for u in low]
    spelled += [("small order, top bit set", u | 1 << 255) for u in low]
    spelled += [("small order, above the prime", u) for u in (P, P + 1)]
    spelled += [("small order, above the prime, top bit set", u | 1 << 255) for u in (P, P + 1)]
    spelled += [("not below the prime", P + 9)]
    spelled += [("top bit set", int.from_bytes(good[1184:], "little") | 1 << 255)]
    cases = [(why, good[:1184] + u.to_bytes(32, "little")) for why, u in spelled]
    cases += [
        ("coefficient 3329", b"\x01\x0d" + good[2:]),
        ("coefficient 4095", b"\xff\xff" + good[2:]),
        ("one byte short", good[:-1]),
        ("one byte long", good + b"\0"),
    ]
    return [{"why": why, "public": to_base64(public)} for why, public in cases]


def main(path: Path) -> None:
    keys = [EncryptionKey(fixed(f"seed {n}")) for n in range(2)]
    recipients = [
        Recipient(to_base64(fixed(f"statement {n}")), key.public) for n, key in enumerate(keys)
    ]
    vectors = {
        "about": "protocols/sealing.md; binary values are padded base64",
        "keys": [
            {"seed": to_base64(k.seed), "public": to_base64(k.public), "statement": r.statement}
            for k, r in zip(keys, recipients, strict=True)
        ],
        "notes": [note(n, name, c, recipients) for n, (name, c) in enumerate(CONTENTS)],
        "padded_bytes": [
            [size, padded_bytes(size)]
            for size in (1, 1023, 1024, 1025, 1088, 1089, 4096, 4097, 65535, 10**6, 2**24 + 1)
        ],
        "refused_plaintexts": refused_plaintexts(),
        "refused_keys": refused_keys(keys[0].public),
    }
    path.write_text(json.dumps(vectors, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
