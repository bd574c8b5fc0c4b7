"""A second reader, written from protocols/ alone: it shares no code with what it reads.

Standard library and ``cryptography`` only. It verifies statements, opens notes, and checks entries,
openings, trees, proofs, checkpoints and receipts. Each check returns or raises ``Refused``.

    python tests/independent/reader.py protocols/vectors    says how much of each file it checked
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Refused(Exception):
    """What was read isn't what the rules allow."""


def need(holds: object, rule: str) -> None:
    if not holds:
        raise Refused(rule)


@contextmanager
def refusing(rule: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RecursionError, InvalidSignature, InvalidTag) as exc:
        raise Refused(rule) from exc


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def to64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def b64(text: object, size: int | None = None) -> bytes:
    """ENC-1: padded base64, trailing bits zero."""
    with refusing("ENC-1"):
        data = base64.b64decode(str(text), validate=True)
    need(to64(data) == text and size in (None, len(data)), "ENC-1")
    return data


def b64url(text: str, size: int) -> bytes:
    """ENC-2: base64url without padding."""
    need(re.fullmatch(r"[A-Za-z0-9_-]+", text), "ENC-2")
    return b64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), size)


def decimal(text: str) -> int:
    """ENC-3: digits without a leading zero, below 10^19."""
    need(re.fullmatch(r"0|[1-9][0-9]{0,18}", text), "ENC-3")
    return int(text)


def canonical(data: bytes) -> dict[str, Any]:
    """JSON-1 to JSON-5: the object, if this is its one spelling."""

    def integer(text: str) -> int:
        need(len(text) < 18 and abs(int(text)) < 2**53, "JSON-3")
        return int(text)

    with refusing("JSON"):
        hooks: Any = dict.fromkeys(("parse_float", "parse_constant", "parse_int"), integer)
        value = json.loads(data.decode(), **hooks)
        need(isinstance(value, dict), "JSON-1")
        subset(value, 1)
        spelled = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        need(spelled.encode() == data, "JSON-2")
    return dict(value)


def subset(value: Any, depth: int) -> None:
    need(value is not None, "JSON-1")
    if isinstance(value, dict):
        need(all(name.isascii() for name in value), "JSON-2")
        value = list(value.values())
    if isinstance(value, list):
        need(depth <= 8, "JSON-5")
        for item in value:
            subset(item, depth + 1)


def point_y(data: bytes) -> int:
    """The y of a point that is canonical and not of small order (8P = 0)."""
    y = int.from_bytes(data, "little") & (2**255 - 1)
    need(len(data) == 32 and y < P, "KEY-2")
    y2 = y * y % P
    # Order 1 and 2: y = ±1. Order 4: y = 0. Order 8: x² = -y², so 2y² + dy⁴ = 1.
    order_8 = (2 * y2 + D * y2 * y2 - 1) % P == 0
    need(y not in (0, 1, P - 1) and not order_8, "KEY-2")
    return y


def check_signature(public: bytes, message: bytes, signature: bytes) -> None:
    need(len(signature) == 64, "KEY-3")
    point_y(public)
    point_y(signature[:32])
    with refusing("KEY-3"):
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)


def key_id(public: bytes) -> str:  # KEY-1
    return to64(sha256(b"liaison/key/v1\0ed25519\0" + public))


KINDS = (
    "accession admission answer charter directory extension grant hold key member node note "
    "objection participation party posting refusal release roster session void watch withdrawal"
)
DUE_KINDS = "conclusion contested deadline hold-ended missed-test rung"
ENVELOPE = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/=]+)","payloadType":"application/vnd\.liaison\.([a-z]{1,32})\.v1'
    rb'\+json","signatures":\[\{"keyid":"([A-Za-z0-9+/=]+)","sig":"([A-Za-z0-9+/=]+)"\}\]\}'
)


def read_statement(raw: bytes, public: bytes | None) -> dict[str, Any]:
    """Return kind, payload, digest and payload digest of a statement, by ``public`` if it's known."""
    need(len(raw) <= 256 * 1024, "ENV-5")
    found = ENVELOPE.fullmatch(raw)
    if found is None:
        raise Refused("ENV-2")
    payload64, kind, keyid, sig = (part.decode() for part in found.groups())
    payload, signature = b64(payload64), b64(sig, 64)
    b64(keyid, 32)
    need(kind in KINDS.split(), "STMT-2")
    members = canonical(payload)
    need(members.get("key") == keyid, "STMT-3")
    types = {name: type(members.get(name)) for name in ("by", "issued", "lapse")}
    need(types == {"by": str, "issued": int, "lapse": int}, "STMT-5")
    payload_type = f"application/vnd.liaison.{kind}.v1+json".encode()
    pae = b"DSSEv1 %d %b %d %b" % (len(payload_type), payload_type, len(payload), payload)
    if public is not None:
        need(key_id(public) == keyid, "KEY-1")
        check_signature(public, pae, signature)
    read = {"kind": kind, "payload": payload.decode(), "payload_digest": to64(sha256(pae))}
    return read | {"digest": to64(sha256(pae + signature))}


def with_lengths(*fields: str) -> bytes:
    return b"".join(len(data := f.encode()).to_bytes(4, "big") + data for f in fields)


def encryption_key(seed: bytes) -> MLKEM768X25519PrivateKey:  # SEAL-10
    seed = hashlib.shake_256(seed).digest(96)
    x25519 = X25519PrivateKey.from_private_bytes(seed[64:])
    return MLKEM768X25519PrivateKey(MLKEM768PrivateKey.from_seed_bytes(seed[:64]), x25519)


def open_note(context, seed, wrap, commitment, ciphertext) -> bytes:
    """SEAL-2 to SEAL-7: the padded plaintext."""
    names = (context["note_id"], context["charter"], context["signer"])
    wrapped = (wrap["wrapper"], wrap["statement"], to64(commitment))
    with refusing("SEAL-5"):
        info = with_lengths("liaison/wrap/1", *names, *wrapped)
        secret = SUITE.decrypt(b64(wrap["wrap"]), encryption_key(seed), info=info)
        need(len(secret) == 32, "SEAL-4")
        schedule = with_lengths("liaison/seal/1", *names, context["kind"])
        okm = HKDF(SHA256(), 76, None, schedule).derive(secret)
        need(hmac.compare_digest(okm[44:], commitment), "SEAL-4")
        return AESGCM(okm[:32]).decrypt(okm[32:44], ciphertext, None)


def read_content(padded: bytes) -> tuple[str, list[tuple[dict[str, Any], bytes]]]:
    """SEAL-20 to SEAL-27: subject and parts."""
    size = 4 + int.from_bytes(padded[:4], "big")
    need(size <= len(padded) == padded_size(size) and not any(padded[size:]), "SEAL-26")
    header, newline, rest = padded[4:size].partition(b"\n")
    need(newline, "SEAL-20")
    said = canonical(header)
    need(set(said) == {"parts", "subject", "v"} and type(said["v"]) is int, "SEAL-21")
    need(said["v"] == 1 and said["parts"], "SEAL-27")
    parts = []
    for place, part in enumerate(said["parts"]):
        need(set(part) - {"lang", "name"} == {"bytes", "role", "type"}, "SEAL-22")
        need(place or (part["type"] == "text/plain" and "name" not in part), "SEAL-23")
        need(0 <= part["bytes"] <= len(rest), "SEAL-26")
        parts.append((part, rest[: part["bytes"]]))
        rest = rest[part["bytes"] :]
    need(not rest, "SEAL-26")
    with refusing("SEAL-23"):
        parts[0][1].decode()
    return said["subject"], parts


def padded_size(size: int) -> int:  # SEAL-25
    exponent = size.bit_length() - 1
    unit = 2 ** max(0, exponent - exponent.bit_length())
    return max(1024, -(-size // unit) * unit)


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\0" + entry)


def root_of(hashes: list[bytes]) -> bytes:
    """LOG-3."""
    while len(hashes) > 1:
        pairs = [sha256(b"\1" + a + b) for a, b in zip(hashes[::2], hashes[1::2], strict=False)]
        hashes = pairs + hashes[len(pairs) * 2 :]
    return hashes[0] if hashes else sha256(b"")


def siblings(fn: int, sn: int, proof: list[bytes]) -> Any:
    """The way up of RFC 9162, Section 2.1.3.2: each hash, and whether it stands on the left."""
    for p in proof:
        need(sn and len(p) == 32, "LOG-4")
        left = fn & 1 or fn == sn
        yield p, left
        while left and not fn & 1 and fn:
            fn, sn = fn >> 1, sn >> 1
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "LOG-4")


def check_inclusion(leaf, index, size, proof, root) -> None:
    need(0 <= index < size, "LOG-4")
    for p, left in siblings(index, size - 1, proof):
        leaf = sha256(b"\1" + (p + leaf if left else leaf + p))
    need(leaf == root, "LOG-4")


def check_consistency(old, new, proof, old_root, new_root) -> None:
    """LOG-5, as RFC 9162 Section 2.1.4.2 has it."""
    need(0 <= old <= new, "LOG-5")
    if old in (0, new):
        need(not proof and old_root == (new_root if old == new else sha256(b"")), "LOG-5")
        return
    path = ([old_root] if old & (old - 1) == 0 else []) + proof
    need(path and len(path[0]) == 32, "LOG-5")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c, left in siblings(fn, sn, path[1:]):
        fr = sha256(b"\1" + c + fr) if left else fr
        sr = sha256(b"\1" + (c + sr if left else sr + c))
    need((fr, sr) == (old_root, new_root), "LOG-5")


def read_vkey(text: str) -> tuple[str, bytes, bytes]:
    """LOG-12, LOG-13: name, key id, public key."""
    need(text.count("+") >= 2, "LOG-12")
    name, said, encoded = text.split("+", 2)
    key = b64(encoded)
    need(name and not re.search(r"[\s\x00-\x20]", name) and key[:1] == b"\1", "LOG-12")
    y2 = point_y(key[1:]) ** 2 % P
    x2 = (y2 - 1) * pow(D * y2 + 1, -1, P) % P
    need(pow(x2, (P - 1) // 2, P) == 1, "LOG-13")
    need(said == sha256(name.encode() + b"\n" + key)[:4].hex(), "LOG-12")
    return name, bytes.fromhex(said), key[1:]


def read_checkpoint(note: str, vkey: str, origin: str) -> tuple[int, bytes]:
    """LOG-11 to LOG-16: size and root of a checkpoint that the log signed."""
    name, said, public = read_vkey(vkey)
    need(not re.search(r"[\x00-\x09\x0b-\x1f]", note), "LOG-11")
    text, divider, below = note.rpartition("\n\n")
    text += "\n"
    need(divider and below.endswith("\n") and below.count("\n") <= 100, "LOG-11")
    verified = False
    for line in below[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        who, _, encoded = rest.partition(" ")
        need(dash == "\u2014" and who, "LOG-11")
        blob = b64(encoded)
        if who == name and blob[:4] == said:
            check_signature(public, text.encode(), blob[4:])
            verified = True
    need(verified, "LOG-14")
    lines = text[:-1].split("\n")
    need(len(lines) >= 3 and all(lines) and lines[0] == origin, "LOG-15")
    size, root = decimal(lines[1]), b64(lines[2], 32)
    need(size or root == sha256(b""), "LOG-15")
    return size, root


def read_proof(text: str) -> tuple[bytes | None, int, list[bytes], str]:
    """LOG-17: extra, index, hashes, checkpoint."""
    above, divider, checkpoint = text.partition("\n\n")
    lines = above.split("\n")
    need(divider and lines.pop(0) == "c2sp.org/tlog-proof@v1" and lines, "LOG-17")
    extra = None
    if lines[0].startswith("extra "):
        extra = b64(lines.pop(0)[6:])
        need(extra and lines, "LOG-17")
    need(lines and lines[0].startswith("index ") and len(lines) <= 65, "LOG-17")
    index = decimal(lines.pop(0)[6:])
    return extra, index, [b64(line, 32) for line in lines], checkpoint


FIELDS = ("kind", "at", "channel", "note", "actor", "urgency", "statement", "facts")
ENTRY = re.compile(r'\{"c":\["[^"]{43}(?:","[^"]{43}){7}"\],"s":"liaison-entry/1"\}')


def read_entry(entry: str) -> list[bytes]:
    """ENT-1: the eight commitments."""
    need(ENTRY.fullmatch(entry), "ENT-1")
    return [b64url(text, 32) for text in entry[7:-25].split('","')]


def check_openings(entry: str, openings: list[dict[str, str]]) -> dict[str, bytes]:
    """ENT-4: the opened fields."""
    commitments, last = read_entry(entry), -1
    fields: dict[str, bytes] = {}
    for opening in openings:
        need(set(opening) == {"name", "salt", "value"}, "RCPT-3")
        name, salt, value = opening["name"], b64(opening["salt"], 32), b64(opening["value"])
        need(name in FIELDS[last + 1 :], "RCPT-3")
        last, label = FIELDS.index(name), name.encode()
        said = b"liaison/field/v1\0" + bytes([len(label)]) + label + salt
        said += len(value).to_bytes(4, "big") + value
        need(sha256(said) == commitments[last], "ENT-4")
        fields[name] = value
    return fields


def read_receipt(text: str, vkey: str, origin: str) -> tuple[int, dict[str, bytes]]:
    """RCPT-1 to RCPT-4: index and opened fields."""
    extra, index, hashes, checkpoint = read_proof(text)
    said = canonical(extra or b"")
    need(set(said) == {"entry", "openings"}, "RCPT-2")
    fields = check_openings(said["entry"], said["openings"])
    size, root = read_checkpoint(checkpoint, vkey, origin)
    check_inclusion(leaf_hash(said["entry"].encode()), index, size, hashes, root)
    return index, fields


def check_record(fields: dict[str, bytes], origin: str, head: dict[str, int]) -> None:
    """REC-1 to REC-6, FACT-1: it follows those before; ``head`` has `at`, and `n` of each scope."""
    said = {name: fields[name].decode() for name in ("kind", "at", "note", "actor")}
    place, urgency, facts = (canonical(fields[name]) for name in ("channel", "urgency", "facts"))
    at, scope = decimal(said["at"]), "scope " + place["id"]
    need(at > head["at"] and place["n"] == head.get(scope, 0) + 1, "REC-2")
    head.update({"at": at, scope: place["n"]})
    if said["kind"] in DUE_KINDS.split():
        need(not fields["statement"] and said["actor"] == origin, "REC-5")
        need(facts["due"] == urgency["due"] <= at and facts["channel"] == place["id"], "REC-5")
        need(said["note"] == facts.get("note", "") and "payload" not in facts, "REC-5")
        return
    read = read_statement(fields["statement"], None)
    by = canonical(read["payload"].encode())["by"]
    need((read["kind"], by) == (said["kind"], said["actor"]), "REC-1")
    need(
        (facts["statement"], facts["payload"]) == (read["digest"], read["payload_digest"]), "FACT-1"
    )


class Tally:
    accepted = refused = 0

    def accept(self, holds: object) -> None:
        need(holds, "differs from the vector")
        self.accepted += 1

    def refuse(self, reason: str, check: Any, *said: Any) -> None:
        try:
            check(*said)
        except Refused:
            self.refused += 1
        else:
            raise Refused(f"accepted, though the vector says: {reason}")


def statements(vectors: Any, tally: Tally) -> None:
    for each in vectors["statements"]:
        public = b64(each["public"])
        read = read_statement(each["envelope"].encode(), public)
        tally.accept(key_id(public) == each["key_id"] and read == {n: each[n] for n in read})
    for case in vectors["refused"]:  # members of single kinds: not here
        if case["rules"].startswith(("ENC", "ENV", "JSON", "KEY", "STMT-2", "STMT-3")):
            tally.refuse(case["reason"], read_statement, b64(case["raw"]), b64(case["public"]))
    for case in vectors["keys_refused"]:
        tally.refuse(case["reason"], point_y, b64(case["public"]))


def sealing(vectors: Any, tally: Tally) -> None:
    seeds = {key["statement"]: b64(key["seed"]) for key in vectors["keys"]}
    for note in vectors["notes"]:
        sealed = b64(note["commitment"]), b64(note["ciphertext"])
        for wrap in note["wraps"]:
            context, seed = note["context"], seeds[wrap["statement"]]
            padded = open_note(context, seed, wrap, *sealed)
            subject, parts = read_content(padded)
            tally.accept(padded == b64(note["plaintext"]) and subject == note["content"]["subject"])
            held = [b64(part["data"]) for part in note["content"]["parts"]]
            tally.accept([data for _, data in parts] == held)
            other = dict(wrap, wrapper=wrap["statement"])
            tally.refuse("wrapper", open_note, context, seed, other, *sealed)
    for size, whole in vectors["padded_bytes"]:
        tally.accept(padded_size(size) == whole)
    for case in vectors["refused_plaintexts"]:
        tally.refuse(case["why"], read_content, b64(case["plaintext"]))


def log(vectors: Any, tally: Tally) -> None:
    unhex, where = bytes.fromhex, (vectors["key"]["vkey"], vectors["checkpoint"]["origin"])

    def inclusion(v: Any) -> None:
        proof = [unhex(p) for p in v["proof"]]
        check_inclusion(unhex(v["leaf"]), v["index"], v["size"], proof, unhex(v["root"]))

    def consistency(v: Any) -> None:
        roots = unhex(v["old_root"]), unhex(v["new_root"])
        check_consistency(v["old"], v["new"], [unhex(p) for p in v["proof"]], *roots)

    def tlog_proof(v: Any) -> None:
        _, index, hashes, note = read_proof(v["text"])
        size, root = read_checkpoint(note, *where)
        check_inclusion(unhex(v["leaf"]), index, size, hashes, root)

    def checkpoint(v: Any) -> None:
        need(read_checkpoint(v["note"], *where) == (v["size"], unhex(v["root"])), "LOG-15")

    for accepted, refused, check in (
        (vectors["inclusion"], "inclusion_refused", inclusion),
        (vectors["consistency"], "consistency_refused", consistency),
        (vectors["tlog_proof"], "tlog_proofs_refused", tlog_proof),
        ([vectors["checkpoint"]], "checkpoints_refused", checkpoint),
        ([vectors["key"]], "vkeys_refused", lambda v: read_vkey(v["vkey"])),
    ):
        for each in accepted:
            check(each)
            tally.accepted += 1
        for case in vectors[refused]:
            tally.refuse(case["reason"], check, case)
    for leaf in vectors["leaves"]:
        tally.accept(leaf_hash(unhex(leaf["entry"])).hex() == leaf["hash"])
    leaves = [leaf_hash(str(n).encode()) for n in range(max(r["size"] for r in vectors["roots"]))]
    for root in vectors["roots"]:
        tally.accept(root_of(leaves[: root["size"]]).hex() == root["root"])


def ledger(vectors: Any, tally: Tally) -> None:
    second, where = vectors["second"], (vectors["vkey"], vectors["origin"])
    head, leaves = {"at": 0}, []
    for each in vectors["records"] + second["records"]:
        fields = check_openings(each["entry"], each["openings"])
        tally.accept(tuple(fields) == FIELDS and fields["kind"].decode() == each["kind"])
        check_record(fields, vectors["origin"], head)
        leaves.append(leaf_hash(each["entry"].encode()))
        for opening in each["openings"]:
            label = b"liaison/salt/v1\0" + opening["name"].encode()
            salt = hmac.digest(b64(each["leaf_key"]), label, "sha256")
            tally.accept(salt == b64(opening["salt"]))
    first, roots = second["from"], (b64(vectors["root"]), b64(second["root"]))
    tally.accept((root_of(leaves[:first]), root_of(leaves)) == roots)
    check_consistency(first, len(leaves), [b64(p) for p in second["consistency"]], *roots)
    for each in vectors["receipts"] + second["receipts"]:
        index, fields = read_receipt(each["text"], *where)
        tally.accept((index, list(fields)) == (each["index"], each["opens"]))
    for case in vectors["openings_refused"]:
        tally.refuse(case["reason"], check_openings, case["entry"], [case["opening"]])
    for case in vectors["entries_refused"]:
        tally.refuse(case["reason"], read_entry, case["entry"])
    for case in vectors["receipts_refused"]:
        tally.refuse(case["reason"], read_receipt, case["text"], *where)


FILES = {"ledger": ledger, "log": log, "sealing": sealing, "statements": statements}


def read_vectors(name: str, text: str) -> Tally:
    tally = Tally()
    FILES[name](json.loads(text), tally)
    return tally


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        if path.stem in FILES:
            found = read_vectors(path.stem, path.read_text("utf-8"))
            sys.stdout.write(f"{path.stem}: {found.accepted} accepted, {found.refused} refused\n")
