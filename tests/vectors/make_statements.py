"""Make protocols/vectors/statements.json: each kind, and what must be refused and why.

Run from the top of the work tree: ``python -m tests.vectors.make_statements``. A released vector
is never changed: what is new is added. So the world that these come from stays as it is, or what
it said then is frozen here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from liaison.statements.envelope import pre_authentication_encoding, seal_envelope
from liaison.statements.keys import SigningKey, key_id
from liaison.statements.payloads import AddresseeRole, State, Verdict
from liaison.statements.statement import Statement
from liaison.words.canonical import spell
from liaison.words.encoding import to_base64
from liaison.words.times import MINUTE
from tests.vectors import second
from tests.world import (
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    MOD,
    MemoryWorld,
    fixed,
    signing,
)

PATH: Final = Path(__file__).parents[2] / "protocols" / "vectors" / "statements.json"
P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
LABELS: Final = (
    "node",
    "administrator",
    *(f"{party}/{n}" for party in (FCO, MOD) for n in (1, 2, "registrar")),
    *(f"{member}/1" for member in (ANNA, DORA, EDWIN, second.FELIX)),
)


def samples() -> list[Statement[Any]]:
    """Return statements of every kind, some of them with what is optional."""
    world = MemoryWorld.opened(version=1)
    world.advance(MINUTE)
    note = world.accept(world.note(justification="Grüße · 会議 · \U0001f6f0"))
    both = world.accept(world.note(to={DUTY: AddresseeRole.ACTION, DEPUTY: AddresseeRole.INFO}))
    world.accept(world.answer(DORA, Verdict.DELIVERED, note.digest, both.digest))
    world.accept(world.answer(DORA, Verdict.UNREADABLE, both.digest))
    world.accept(world.answer(DORA, Verdict.DECLINED, both.digest))
    world.accept(world.note(DORA, in_reply_to=note.digest))
    world.accept(world.void(ANNA, MOD, 9))
    world.accept(world.member(EDWIN, state=State.SUSPENDED, devices=[]))
    world.accept(world.party(FCO, signing(f"{FCO}/2")))
    world.accept(world.time_confirmed())
    later = world.note(
        supersedes=note.digest, reply_by=world.clock, expiry=world.clock, exercise=True
    )
    return [*world.accepted, later, world.session(), world.refusal()]


def make() -> dict[str, object]:
    """Return all vectors."""
    keys = {signing(label).id: fixed(f"signing {label}") for label in LABELS}
    statements = [*samples(), *second.samples()]
    return {
        "about": (
            "protocols/statements.md. Binary values are padded base64; a payload is its text. What "
            "is refused differs from what is accepted in the one thing that its reason tells; "
            "'error' is malformed (no reading, or more than one) or signature-invalid; 'rules' "
            "names the rules that it breaks."
        ),
        "statements": [
            {
                "kind": each.kind,
                "seed": to_base64(keys[each.payload.key]),
                "public": to_base64(SigningKey(keys[each.payload.key]).public),
                "key_id": each.payload.key,
                "payload": each.envelope.payload.decode(),
                "envelope": each.raw.decode(),
                "digest": each.digest,
                "payload_digest": each.payload_digest,
            }
            for each in statements
        ],
        "refused": [
            *_refused(next(s for s in statements if s.kind == "void")),
            *_refused_by_the_second_version(keys),
        ],
        "keys_refused": [
            {"public": to_base64(public), "error": "malformed", "rules": "KEY-2", "reason": reason}
            for reason, public in _bad_keys()
        ],
    }


def _bad_keys() -> list[tuple[str, bytes]]:
    names = {
        0: "order 4",
        1: "order 1",
        P - 1: "order 2",
        ORDER_8: "order 8",
        P - ORDER_8: "order 8",
    }
    spelled = [(f"a point of {name}", y) for y, name in names.items()]
    spelled += [(f"not canonical: p + {n}", P + n) for n in range(19)]
    cases = [
        (reason + (", sign bit set" if sign else ""), y | sign << 255)
        for reason, y in spelled
        for sign in (0, 1)
    ]
    good = signing("node").public
    return [
        *((reason, y.to_bytes(32, "little")) for reason, y in cases),
        ("31 bytes", good[:-1]),
        ("33 bytes", good + b"\0"),
    ]


def _refused(good: Statement[Any]) -> list[dict[str, str]]:
    key, public = signing(f"{ANNA}/1"), to_base64(signing(f"{ANNA}/1").public)
    raw, payload = good.raw, good.envelope.payload
    signature, signed = good.envelope.signature, good.envelope.signed
    assert payload.endswith(b'"serial":9}')

    def signed_anew(changed: bytes, kind: str = "void", by: SigningKey = key) -> bytes:
        return seal_envelope(kind, changed, by).raw

    def with_signature(other: bytes) -> bytes:
        return raw.replace(to_base64(signature).encode(), to_base64(other).encode())

    def flipped(place: int) -> bytes:
        data = bytearray(signature)
        data[place] ^= 1
        return bytes(data)

    sig, keyid = to_base64(signature), good.envelope.key
    one, comma = raw[raw.index(b"[") + 1 : raw.index(b"]")], b","
    s = int.from_bytes(signature[32:], "little")
    payload64 = json.loads(raw)["payload"].encode()
    spelling = [
        ("ENV-2", "white space", raw.replace(b'":"', b'": "', 1)),
        ("ENV-2", "newline at the end", raw + b"\n"),
        ("ENV-2", "payloadType first", _type_first(raw)),
        ("ENV-2", "payload twice", b'{"payload":"e30=",' + raw[1:]),
        ("ENV-2", "a member more", raw[:-1] + b',"zeal":1}'),
        ("ENV-3", "two signatures", raw.replace(one, one + comma + one)),
        ("ENV-3", "no signature", raw.replace(one, b"")),
        ("ENC-1", "a trailing bit in sig", raw.replace(sig[-3:].encode(), _bump(sig)[-3:])),
        ("ENC-1", "a trailing bit in keyid", raw.replace(keyid.encode(), _bump(keyid))),
        ("ENC-1", "payload without padding", _unpadded(key)),
        ("ENV-3", "keyid of 31 bytes", raw.replace(keyid.encode(), to_base64(bytes(31)).encode())),
        ("ENV-3", "sig of 63 bytes", with_signature(signature[:63])),
        ("ENV-1", "version 2", raw.replace(b".v1+json", b".v2+json")),
        ("STMT-2", "an unknown kind", signed_anew(payload, "memo")),
        ("STMT-4", "the payload of another kind", signed_anew(payload, "note")),
        ("STMT-3", "key differs from keyid", signed_anew(payload, by=signing(f"{DORA}/1"))),
        ("JSON-2", "a member twice", signed_anew(payload[:-1] + b',"serial":9}')),
        ("JSON-2", "members in another order", signed_anew(_rotated(payload))),
        ("JSON-1", "null", signed_anew(payload[:-1] + b',"zeal":null}')),
        ("JSON-3", "NaN", signed_anew(payload.replace(b":9}", b":NaN}"))),
        ("JSON-3", "a fraction", signed_anew(payload.replace(b":9}", b":9.0}"))),
        ("JSON-3", "an exponent", signed_anew(payload.replace(b":9}", b":9e0}"))),
        ("JSON-3", "2^53", signed_anew(payload.replace(b":9}", b":9007199254740992}"))),
        ("JSON-3", "a leading zero", signed_anew(payload.replace(b":9}", b":09}"))),
        ("JSON-2", "white space in the payload", signed_anew(payload.replace(b":9}", b": 9}"))),
        ("JSON-2", "an escaped letter", signed_anew(payload.replace(b"anna", b"\\u0061nna"))),
        ("JSON-4", "not UTF-8", signed_anew(payload.replace(b"fco", b"f\xff" + b"o", 1))),
        ("JSON-4", "a lone surrogate", signed_anew(payload.replace(b"fco", b"\\ud800", 1))),
        ("JSON-1", "an array", signed_anew(b"[" + payload + b"]")),
        ("STMT-4", "an unknown member", signed_anew(payload[:-1] + b',"zeal":1}')),
        ("STMT-4", "a string for a number", signed_anew(payload.replace(b":9}", b':"9"}'))),
        ("VOID-1", "serial 0", signed_anew(payload.replace(b":9}", b":0}"))),
    ]
    signatures = [
        ("KEY-3", "one bit of R", with_signature(flipped(0))),
        ("KEY-3", "one bit of S", with_signature(flipped(40))),
        ("KEY-3", "S + L", with_signature(signature[:32] + (s + L).to_bytes(32, "little"))),
        *(
            ("KEY-3", f"R of small order, y = {y}", with_signature(_small_r(key, y, signed)))
            for y in (0, 1, P - 1, ORDER_8, P - ORDER_8)
        ),
        (
            "KEY-3",
            "R not canonical",
            with_signature((P + 1).to_bytes(32, "little") + signature[32:]),
        ),
        ("ENV-4", "signed as another kind", with_signature(key.sign(_pae_of("note", payload)))),
        ("ENV-4", "signed without PAE", with_signature(key.sign(payload))),
        ("ENV-4", "another payload", raw.replace(payload64, _other_payload(payload))),
    ]
    return [
        {
            "raw": to_base64(data),
            "public": public,
            "error": error,
            "rules": rules,
            "reason": reason,
        }
        for error, cases in (("malformed", spelling), ("signature-invalid", signatures))
        for rules, reason, data in cases
    ]


def _refused_by_the_second_version(keys: dict[str, bytes]) -> list[dict[str, object]]:
    cases: list[dict[str, object]] = []
    for rules, reason, good, members in second.refused():
        key = SigningKey(keys[good.payload.key])
        raw = seal_envelope(good.kind, spell(members), key).raw
        public = to_base64(key.public)
        said = {"raw": to_base64(raw), "public": public, "error": "malformed"}
        cases.append({**said, "rules": rules, "reason": reason})
    return cases


def _type_first(raw: bytes) -> bytes:
    envelope = json.loads(raw)
    order = ("payloadType", "payload", "signatures")
    return json.dumps({name: envelope[name] for name in order}, separators=(",", ":")).encode()


def _bump(text: str) -> bytes:
    """Return the base64 with its lowest unused bit set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    end = text.rstrip("=")
    return (end[:-1] + alphabet[alphabet.index(end[-1]) | 1] + text[len(end) :]).encode()


def _unpadded(key: SigningKey) -> bytes:
    raw = seal_envelope("void", b"{}", key).raw
    return raw.replace(b'"e30="', b'"e30"')


def _rotated(payload: bytes) -> bytes:
    members = json.loads(payload)
    return json.dumps(dict(reversed(members.items())), separators=(",", ":")).encode()


def _pae_of(kind: str, payload: bytes) -> bytes:
    return pre_authentication_encoding(kind, payload)


def _other_payload(payload: bytes) -> bytes:
    return to_base64(payload.replace(b":9}", b":8}")).encode()


def _small_r(key: SigningKey, y: int, message: bytes) -> bytes:
    """Return R of small order with an S that a verifier with a cofactor may accept."""
    from hashlib import sha512

    secret = int.from_bytes(sha512(key.seed).digest()[:32], "little") & ((1 << 254) - 8) | 1 << 254
    r = y.to_bytes(32, "little")
    k = int.from_bytes(sha512(r + key.public + message).digest(), "little") % L
    assert key_id(key.public) == key.id
    return r + (k * secret % L).to_bytes(32, "little")


def to_text() -> str:
    """Return the file's content."""
    return json.dumps(make(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(to_text(), encoding="utf-8")
