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


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def b64(text: object, size: int | None = None) -> bytes:
    """ENC-1: padded base64, trailing bits zero."""
    try:
        data = base64.b64decode(str(text), validate=True)
    except ValueError as exc:
        raise Refused("ENC-1") from exc
    need(base64.b64encode(data).decode() == text and size in (None, len(data)), "ENC-1")
    return data


def b64url(text: str, size: int) -> bytes:
    """ENC-2: base64url without padding."""
    need(re.fullmatch(r"[A-Za-z0-9_-]+", text), "ENC-2")
    standard = text.replace("-", "+").replace("_", "/")
    return b64(standard + "=" * (-len(text) % 4), size)


def decimal(text: str) -> int:
    """ENC-3: digits without a leading zero, below 10^19."""
    need(re.fullmatch(r"0|[1-9][0-9]{0,18}", text), "ENC-3")
    return int(text)


def canonical(data: bytes) -> dict[str, Any]:
    """JSON-1 to JSON-5: the object, if this is its one spelling."""

    def integer(text: str) -> int:
        need(len(text) < 18 and abs(int(text)) < 2**53, "JSON-3")
        return int(text)

    def never(text: str) -> Any:
        raise Refused("JSON-3")

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(pairs)) == len(pairs), "JSON-2")
        return dict(pairs)

    try:
        hooks: Any = {"parse_float": never, "parse_constant": never, "parse_int": integer}
        value = json.loads(data.decode(), object_pairs_hook=members, **hooks)
        need(isinstance(value, dict), "JSON-1")
        subset(value, 1)
        spelled = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        need(spelled.encode() == data, "JSON-2")
    except (ValueError, RecursionError) as exc:
        raise Refused("JSON") from exc
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
    """KEY-3."""
    need(len(signature) == 64, "KEY-3")
    point_y(public)
    point_y(signature[:32])
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature as exc:
        raise Refused("KEY-3") from exc


def key_id(public: bytes) -> str:
    """KEY-1."""
    return base64.b64encode(sha256(b"liaison/key/v1\0ed25519\0" + public)).decode()


KINDS = (
    "accession admission answer charter directory key member node note party posting refusal "
    "roster session void"
)
ENVELOPE = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/=]+)","payloadType":"application/vnd\.liaison\.([a-z]{1,32})\.v1'
    rb'\+json","signatures":\[\{"keyid":"([A-Za-z0-9+/=]+)","sig":"([A-Za-z0-9+/=]+)"\}\]\}'
)


def read_statement(raw: bytes, public: bytes) -> dict[str, Any]:
    """Return kind, payload, digest and payload digest of a statement that ``public`` signed."""
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
    need(key_id(public) == keyid, "KEY-1")
    check_signature(public, pae, signature)
    return {
        "kind": kind,
        "payload": payload.decode(),
        "digest": base64.b64encode(sha256(pae + signature)).decode(),
        "payload_digest": base64.b64encode(sha256(pae)).decode(),
    }


def with_lengths(*fields: str) -> bytes:
    spelled = [field.encode() for field in fields]
    return b"".join(len(data).to_bytes(4, "big") + data for data in spelled)


def encryption_key(seed: bytes) -> MLKEM768X25519PrivateKey:
    """SEAL-10."""
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        X25519PrivateKey.from_private_bytes(expanded[64:]),
    )


def open_note(context, seed, wrap, commitment, ciphertext) -> bytes:
    """SEAL-2 to SEAL-7: the padded plaintext."""
    names = (context["note_id"], context["charter"], context["signer"])
    commitment64 = base64.b64encode(commitment).decode()
    info = with_lengths("liaison/wrap/1", *names, wrap["wrapper"], wrap["statement"], commitment64)
    try:
        secret = SUITE.decrypt(b64(wrap["wrap"]), encryption_key(seed), info=info)
        need(len(secret) == 32, "SEAL-4")
        schedule = with_lengths("liaison/seal/1", *names, context["kind"])
        okm = HKDF(SHA256(), 76, None, schedule).derive(secret)
        need(hmac.compare_digest(okm[44:], commitment), "SEAL-4")
        return AESGCM(okm[:32]).decrypt(okm[32:44], ciphertext, None)
    except (InvalidTag, ValueError) as exc:
        raise Refused("SEAL-5") from exc


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
    try:
        parts[0][1].decode()
    except UnicodeDecodeError as exc:
        raise Refused("SEAL-23") from exc
    return said["subject"], parts


def padded_size(size: int) -> int:
    """SEAL-25."""
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


def check_inclusion(leaf, index, size, proof, root) -> None:
    """LOG-4, as RFC 9162 Section 2.1.3.2 has it."""
    need(0 <= index < size and all(len(p) == 32 for p in proof), "LOG-4")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        need(sn, "LOG-4")
        if fn & 1 or fn == sn:
            r = sha256(b"\1" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha256(b"\1" + r + p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and r == root, "LOG-4")


def check_consistency(old, new, proof, old_root, new_root) -> None:
    """LOG-5, as RFC 9162 Section 2.1.4.2 has it."""
    need(0 <= old <= new, "LOG-5")
    if old in (0, new):
        need(not proof and old_root == (new_root if old == new else sha256(b"")), "LOG-5")
        return
    path = ([old_root] if old & (old - 1) == 0 else []) + proof
    need(path and all(len(p) == 32 for p in path), "LOG-5")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        need(sn, "LOG-5")
        if fn & 1 or fn == sn:
            fr, sr = sha256(b"\1" + c + fr), sha256(b"\1" + c + sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\1" + sr + c)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and (fr, sr) == (old_root, new_root), "LOG-5")


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
ENTRY = re.compile(r'\{"c":\["([^"]{43}(?:","[^"]{43}){7})"\],"s":"liaison-entry/1"\}')


def read_entry(entry: str) -> list[bytes]:
    """ENT-1: the eight commitments."""
    found = ENTRY.fullmatch(entry)
    if found is None:
        raise Refused("ENT-1")
    return [b64url(text, 32) for text in found[1].split('","')]


def check_openings(entry: str, openings: list[dict[str, str]]) -> dict[str, bytes]:
    """ENT-4: the opened fields."""
    commitments = read_entry(entry)
    fields: dict[str, bytes] = {}
    for opening in openings:
        need(set(opening) == {"name", "salt", "value"}, "RCPT-3")
        name, salt, value = opening["name"], b64(opening["salt"], 32), b64(opening["value"])
        need(name in FIELDS and FIELDS.index(name) >= len(fields), "RCPT-3")
        need(all(FIELDS.index(name) > FIELDS.index(before) for before in fields), "RCPT-3")
        label = name.encode()
        said = b"liaison/field/v1\0" + bytes([len(label)]) + label + salt
        need(
            sha256(said + len(value).to_bytes(4, "big") + value) == commitments[FIELDS.index(name)],
            "ENT-4",
        )
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


class Tally:
    def __init__(self) -> None:
        self.accepted = self.refused = 0

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
        tally.accept(all(read[name] == each[name] for name in read))
        tally.accept(key_id(public) == each["key_id"])
    for case in vectors["refused"]:
        if not case["rules"].startswith(("STMT-4", "VOID")):  # members of single kinds: not here
            tally.refuse(case["reason"], read_statement, b64(case["raw"]), b64(case["public"]))
    for case in vectors["keys_refused"]:
        tally.refuse(case["reason"], point_y, b64(case["public"]))


def sealing(vectors: Any, tally: Tally) -> None:
    seeds = {key["statement"]: b64(key["seed"]) for key in vectors["keys"]}
    for note in vectors["notes"]:
        commitment, ciphertext = b64(note["commitment"]), b64(note["ciphertext"])
        for wrap in note["wraps"]:
            seed = seeds[wrap["statement"]]
            padded = open_note(note["context"], seed, wrap, commitment, ciphertext)
            subject, parts = read_content(padded)
            content = note["content"]
            tally.accept(padded == b64(note["plaintext"]) and subject == content["subject"])
            tally.accept([data for _, data in parts] == [b64(p["data"]) for p in content["parts"]])
            other = dict(wrap, wrapper=wrap["statement"])
            tally.refuse("wrapper", open_note, note["context"], seed, other, commitment, ciphertext)
    for size, whole in vectors["padded_bytes"]:
        tally.accept(padded_size(size) == whole)
    for case in vectors["refused_plaintexts"]:
        tally.refuse(case["why"], read_content, b64(case["plaintext"]))


def log(vectors: Any, tally: Tally) -> None:
    unhex = bytes.fromhex
    origin, vkey = vectors["checkpoint"]["origin"], vectors["key"]["vkey"]

    def inclusion(v: Any) -> None:
        proof = [unhex(p) for p in v["proof"]]
        check_inclusion(unhex(v["leaf"]), v["index"], v["size"], proof, unhex(v["root"]))

    def consistency(v: Any) -> None:
        roots = unhex(v["old_root"]), unhex(v["new_root"])
        check_consistency(v["old"], v["new"], [unhex(p) for p in v["proof"]], *roots)

    def tlog_proof(v: Any) -> None:
        _, index, hashes, note = read_proof(v["text"])
        size, root = read_checkpoint(note, vkey, origin)
        check_inclusion(unhex(v["leaf"]), index, size, hashes, root)

    def checkpoint(v: Any) -> None:
        size, root = read_checkpoint(v["note"], vkey, origin)
        need((size, root.hex()) == (v["size"], v["root"]), "LOG-15")

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
    for each in vectors["records"]:
        fields = check_openings(each["entry"], each["openings"])
        tally.accept(tuple(fields) == FIELDS and fields["kind"].decode() == each["kind"])
        for opening in each["openings"]:
            label = b"liaison/salt/v1\0" + opening["name"].encode()
            salt = hmac.digest(b64(each["leaf_key"]), label, "sha256")
            tally.accept(salt == b64(opening["salt"]))
    leaves = [leaf_hash(each["entry"].encode()) for each in vectors["records"]]
    tally.accept(root_of(leaves) == b64(vectors["root"]))
    where = vectors["vkey"], vectors["origin"]
    for each in vectors["receipts"]:
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
