"""A hostile node over real sockets, whose lies its log signed: each is seen through, with its own message.

Each test begins with the honest run on the same homes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from liaison.cli.channel import read_defaults
from liaison.client import Authority, Client, Draft, Home, Pins, RegistrarRequest, Sent, Unopened
from liaison.client.doubts import Doubt
from liaison.client.receipts import prove
from liaison.client.seen import forget_seen
from liaison.client.transport import Transport
from liaison.client.watching import check_digest
from liaison.ledger.facts import AddresseeFacts, NoteFacts, SerialFacts
from liaison.ledger.record import record_from
from liaison.main import run_node
from liaison.sealing.keys import EncryptionKey
from liaison.settings import Settings
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import (
    AddresseeRole,
    Device,
    Directory,
    Key,
    Member,
    MemberRole,
    Note,
    Party,
    Posting,
    Roster,
    Scope,
    State,
)
from liaison.statements.statement import Statement, make_statement, parse_statement_of
from liaison.tlog.note import SignerKey
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import (
    ChainBroken,
    LiaisonError,
    LogUntrusted,
    NodeUnreachable,
    NotReady,
    SignatureInvalid,
)
from liaison.words.ids import new_note_id
from liaison.words.times import DAY, MINUTE
from tests.cli.screen import Screen
from tests.client.council import DEPUTY, DUTY, PASSPHRASE, Council, council, letters
from tests.client.liar import Liar, file, liar, put, resigned
from tests.client.test_acting import flash
from tests.client.test_acting import verbale as letter

LONDON_1 = "attache.london.1@fco.example"
MOD, MARY = "/v1/parties/mod.example", "duty.desk.1@mod.example"
HOTLINE = "/v1/channels/london-hotline"
EVIL = SigningKey(b"\x66" * 32)


@dataclass
class Lied:
    """The council's homes, and the node that lies to those who ask at its door."""

    council: Council
    liar: Liar
    monkeypatch: pytest.MonkeyPatch

    def client(self, name: str) -> Client:
        return Client.open(
            Home(self.council.folder / name),
            PASSPHRASE,
            url=self.liar.url,
            now=self.council.clock.now,
        )

    async def write(self, by: str = "F", draft: Draft | None = None) -> Sent:
        """Send a note as F does, or a copy of that home."""
        async with self.client(by) as f:
            return await f.send(draft or flash())

    async def answer(self, path: str) -> Any:
        """Return what the node says when nobody lies, to F."""
        async with self.council.client("F") as f:
            return await f.transport.read(path)

    def said(self, answer: Any, name: str, kind: type[Any]) -> list[Statement[Any]]:
        """Return the statements whose receipts an answer holds under a name."""
        pin = Pins(Home(self.council.folder / "F")).node
        texts = answer[name] if isinstance(answer[name], list) else [answer[name]]
        return [parse_statement_of(kind, prove(text, pin).record.statement) for text in texts]

    async def notes(self) -> int:
        """Return how many notes the log has."""
        rows = await self.council.running.services.reading.store.entries(0, 10_000)
        return sum(record_from(row.fields).kind == "note" for row in rows)

    async def file(self, statement: Statement[Any], **rest: Any) -> str:
        return await file(self.council.running, statement, self.monkeypatch, **rest)


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with council(tmp_path, monkeypatch) as world, liar(world.running.url) as node:
        made = Lied(world, node, monkeypatch)
        await made.write()  # the honest run
        assert node.told == []
        yield made


def withhold(_: Any) -> Any:
    """Say of what is asked for that it isn't there."""
    raise web.HTTPNotFound(
        text=json.dumps({"code": "not-here", "detail": "no such statement for you"}),
        content_type="application/problem+json",
    )


@contextlib.asynccontextmanager
async def seen_through(lied: Lied, kind: type[Exception], match: str) -> AsyncIterator[None]:
    """Expect an error, of a client that was lied to, and that it sent no note."""
    before, told = await lied.notes(), len(lied.liar.told)
    with pytest.raises(kind, match=match):
        yield
    assert len(lied.liar.told) > told
    assert await lied.notes() == before


def forged_key(lied: Lied, device: str) -> Statement[Key]:
    """Return a key that Mary never made, as of her device or of the forger's own."""
    now = lied.council.clock.now()
    return make_statement(
        Key(
            by=MARY,
            key=device,
            issued=now,
            lapse=now + DAY,
            encryption=to_base64(EncryptionKey.generate().public),
            use_from=now,
            use_until=now + 30 * DAY,
            kept_until=now + 60 * DAY,
        ),
        EVIL,
    )


async def test_a_swapped_encryption_key_of_another_device_is_nobodys(lied: Lied) -> None:
    receipt = await lied.file(forged_key(lied, EVIL.id))
    lied.liar.lies[MOD] = put("keys", [receipt])
    async with seen_through(lied, NotReady, f"Nobody at {DUTY} has an encryption key in use"):
        await lied.write()


async def test_a_swapped_encryption_key_in_a_devices_name_needs_its_signature(lied: Lied) -> None:
    async with lied.council.client("M") as m:
        device = m.device.key.id
    statement = forged_key(lied, EVIL.id)
    payload = statement.payload.model_copy(update={"key": device})
    envelope = make_statement(payload, _under_another_name(device))
    lied.liar.lies[MOD] = put("keys", [await lied.file(envelope)])
    async with seen_through(lied, SignatureInvalid, "not by the key it names"):
        await lied.write()


def _under_another_name(key: str) -> Any:
    """Return the forger's key, which says that it is another."""
    signer = SigningKey(EVIL.seed)
    object.__setattr__(signer, "id", key)
    return signer


async def test_an_added_reader_needs_the_registrar(lied: Lied) -> None:
    answer = await lied.answer(MOD)
    postings = lied.said(answer, "postings", Posting)
    known = next(each for each in postings if each.payload.post == DUTY)
    posting = make_statement(
        known.payload.model_copy(
            update={
                "key": EVIL.id,
                "holders": tuple(sorted((*known.payload.holders, "evil@mod.example"))),
                "sequence": known.payload.sequence + 1,
                "previous": known.digest,
            }
        ),
        EVIL,
    )
    member = make_statement(
        Member(
            by="mod.example",
            key=EVIL.id,
            issued=lied.council.clock.now(),
            lapse=lied.council.clock.now() + DAY,
            sequence=1,
            member="evil@mod.example",
            name="Evil",
            roles=(MemberRole.ATTACHE,),
            state=State.ACTIVE,
            devices=(
                Device(key=to_base64(EVIL.public), proof=EVIL.prove_possession("evil@mod.example")),
            ),
        ),
        EVIL,
    )
    told = [await lied.file(member), await lied.file(posting)]
    lied.liar.lies[MOD] = put("members", [*answer["members"], told[0]])
    async with seen_through(lied, ChainBroken, "neither the authority's nor a registrar's"):
        await lied.write()
    lied.liar.lies[MOD] = put("postings", [*answer["postings"], told[1]])
    async with seen_through(lied, ChainBroken, "neither the authority's nor a registrar's"):
        await lied.write()


async def test_a_reader_who_was_taken_off_a_post_is_not_kept(lied: Lied) -> None:
    before = await lied.answer(MOD)
    async with lied.council.authority("MA") as authority:
        authority.set_posting(DUTY, ["deputy.1@mod.example"])
        authority.sign_directory()
        await authority.post()
    lied.liar.lies[MOD] = put("postings", before["postings"])
    async with seen_through(
        lied, ChainBroken, "The directory of mod.example doesn't name this statement"
    ):
        await lied.write()
    lied.liar.lies.clear()
    await lied.write()


async def test_a_tier_is_neither_dropped_nor_a_roster_replayed(lied: Lied) -> None:
    before = await lied.answer(HOTLINE)
    async with lied.council.authority("MA") as authority:
        authority.set_roster("london-hotline", [("desk", [DUTY]), ("late", [DEPUTY])])
        authority.sign_directory()
        await authority.post()
    lied.liar.lies[HOTLINE] = put("rosters", before["rosters"])
    stop = "STOP: The node shows an older roster for london-hotline than the directory of mod"
    async with seen_through(lied, ChainBroken, stop):
        await lied.write()
    (newer,) = {r.digest for r in lied.said(await lied.answer(HOTLINE), "rosters", Roster)} - {
        r.digest for r in lied.said(before, "rosters", Roster)
    }
    lied.liar.lies[f"/v1/statements/{check_digest(newer)}"] = withhold
    async with seen_through(
        lied, ChainBroken, "STOP: The node withholds the roster that the directory of mod"
    ):
        await lied.write()
    lied.liar.lies.clear()
    await lied.write()
    # An authority that is late with its directory is told of as that.
    async with lied.council.authority("MA") as authority:
        authority.set_roster("london-hotline", [("desk", [DUTY])])
        await authority.post()
    with pytest.raises(NotReady, match="doesn't name its newest roster for london-hotline"):
        await lied.write()


async def test_a_frozen_directory_fools_nobody_who_saw_a_newer_and_none_after_its_lapse(
    lied: Lied,
) -> None:
    fresh = lied.council.folder / "G"
    shutil.copytree(lied.council.folder / "F", fresh)  # one who never sees the newer
    frozen = await lied.answer(MOD)
    async with lied.council.authority("MA") as authority:
        authority.sign_directory()
        await authority.post()
    await lied.write()
    lied.liar.lies[MOD] = lambda _: frozen
    async with seen_through(
        lied, ChainBroken, "The node shows directory . of mod.example, and has shown"
    ):
        await lied.write()
    lied.council.clock.advance(8 * DAY)
    for name in ("FA", "MA"):
        async with lied.council.authority(name) as authority:
            authority.sign_directory()
            await authority.post()
    async with seen_through(lied, NotReady, "The newest directory of mod.example lapsed at"):
        await lied.write(by="G")


async def test_receipts_under_another_log_key_are_of_no_log(lied: Lied) -> None:
    honest = Pins(Home(lied.council.folder / "F")).node.verifier
    other = SignerKey(honest.name, b"\x55" * 32)
    lied.liar.lies[MOD] = lambda answer: {
        **answer,
        "directory": resigned(answer["directory"], honest, other),
    }
    async with seen_through(lied, LogUntrusted, "sign"):
        await lied.write()


async def test_a_charter_that_was_amended_is_the_old_one_for_nobody(lied: Lied) -> None:
    before = await lied.answer(HOTLINE)
    defaults = read_defaults("hotline")
    defaults["terms"] = {**defaults["terms"], "acknowledge": "all"}
    async with lied.council.authority("FA") as fa, lied.council.authority("MA") as ma:
        await fa.amend("london-hotline", defaults)
        await fa.post()
        for authority in (fa, ma):
            authority.accede(await authority.charter("london-hotline"))
            await authority.post()
        for authority in (fa, ma):
            await authority.follow_all()
            authority.sign_directory()
            await authority.post()
    lied.liar.lies[HOTLINE] = lambda _: before
    stop = "STOP: The node shows an older charter for london-hotline than the directory of "
    async with seen_through(lied, ChainBroken, stop):
        await lied.write()
    lied.liar.lies.clear()
    await lied.write()


async def test_what_the_node_said_is_kept_as_evidence_where_one_must_stop(lied: Lied) -> None:
    receipt = await lied.file(forged_key(lied, EVIL.id))
    async with lied.council.client("M") as m:
        device = m.device.key.id
    payload = parse_statement_of(Key, forged_key(lied, EVIL.id).raw).payload
    forged = make_statement(payload.model_copy(update={"key": device}), _under_another_name(device))
    lied.liar.lies[MOD] = put("keys", [receipt, await lied.file(forged)])
    with pytest.raises(SignatureInvalid) as stopped:
        await lied.write()
    (kept,) = (lied.council.folder / "F" / "evidence").iterdir()
    assert str(kept) in stopped.value.do
    assert str(stopped.value).startswith("STOP: ")
    told = json.loads(kept.read_text())
    assert (told["format"], told["code"]) == ("liaison/evidence/1", "signature-invalid")
    said = {
        each["path"]: json.loads(from_base64(each["body"]))
        for each in told["answers"]
        if each["path"] == MOD
    }
    assert said[MOD]["keys"][0] == receipt
    with pytest.raises(SignatureInvalid):
        await lied.write()
    assert len(list(kept.parent.iterdir())) == 2  # in the same second: the first stays
    # What merely can't be done now leaves none.
    lied.liar.lies[MOD] = put("keys", [receipt])
    with pytest.raises(NotReady):
        await lied.write()
    assert len(list(kept.parent.iterdir())) == 2


async def test_what_a_lost_key_signed_is_not_filed_as_of_before(
    lied: Lied, documented: Callable[[LiaisonError], None]
) -> None:
    kept = await _kept_back(lied)
    async with lied.council.client("F") as f:
        device = f.device.key.id
    async with lied.council.authority("FA") as authority:
        authority.revoke_key(LONDON_1, device, lied.council.clock.now())
        authority.sign_directory()
        await authority.post()
    # Its place in the log is after the revocation, whatever time it says.
    await lied.file(kept, facts=_facts(kept), content=b"x" * kept.payload.content.size)
    async with lied.council.client("M") as m:
        items = await m.inbox()
    (bad,) = [item for item in items if isinstance(item, Unopened)]
    assert isinstance(bad.error, ChainBroken)
    (path,) = (lied.council.folder / "M" / "evidence").iterdir()
    documented(bad.error)
    assert str(bad.error).endswith(f" · what the node said is kept: {path}")
    said = json.loads(path.read_text())
    assert (said["code"], said["happened"]) == ("chain-broken", bad.error.happened[len("STOP: ") :])
    assert len(letters(items)) == 1  # the honest one


async def test_at_a_broken_note_the_inbox_stops_aloud_and_loses_no_other(lied: Lied) -> None:
    world, patch = lied.council, lied.monkeypatch
    screen = Screen(world.folder, patch)
    (world.folder / "passphrase").write_text(PASSPHRASE)
    (world.folder / "passphrase").chmod(0o600)
    patch.setenv("LIAISON_PASSPHRASE_FILE", str(world.folder / "passphrase"))
    opened = Client.open
    patch.setattr(Client, "open", lambda *of, **how: opened(*of, **{**how, "now": world.clock.now}))

    async def typed(line: str) -> tuple[int, str]:
        return await asyncio.to_thread(screen.type, f"--home {world.folder}/M {line}")

    kept = (await _kept_back(lied)).payload

    async def forged(number: int) -> None:
        note = kept.model_copy(update={"id": new_note_id(kept.issued, bytes([number]) * 10)})
        statement = make_statement(note, _under_another_name(kept.key))
        await lied.file(statement, facts=_facts(statement), content=b"x" * note.content.size)

    await forged(0)
    await lied.write()
    code, shown = await typed("inbox")
    *honest, last = shown.splitlines()
    assert code == 1
    shown_of = [line.partition(" ")[0] for line in honest]
    assert shown_of == ["london-hotline/1", "london-hotline/100"]  # also what came behind it
    assert re.fullmatch(
        r"STOP: london-hotline/99 was not opened: The signature of entry \d+ is not by the device "
        r"that it names · nothing of it is shown · keep the receipt and show it to the auditors · "
        r"what the node said is kept: M/evidence/\S+\.json \(signature-invalid\)",
        last,
    )
    assert await typed("inbox") == (0, "Nothing new.\n")
    for number in range(1, 11):  # who breaks notes by the dozen fills no disk
        await forged(number)
    code, shown = await typed("inbox --json")
    *problems, answer = [json.loads(line) for line in shown.splitlines()]
    assert (code, len(answer["items"]), len(problems)) == (1, 10, 10)
    assert {item["problem"]["code"] for item in answer["items"]} == {"signature-invalid"}
    assert problems[0]["detail"].startswith("STOP: london-hotline/99 was not opened")
    assert problems[-1]["do"].endswith("at the first 8 is kept in M/evidence")
    assert len(list((world.folder / "M" / "evidence").iterdir())) == 1 + 8


async def test_a_sleeper_is_not_believed_after_its_lapse(lied: Lied) -> None:
    kept = await _kept_back(lied)
    lied.council.clock.advance(2 * DAY)
    await lied.file(kept, facts=_facts(kept), content=b"x" * kept.payload.content.size)
    async with lied.council.client("M") as m:
        with pytest.raises(LogUntrusted, match="it could enter until"):
            await m.inbox()


async def test_a_statement_for_another_log_is_not_believed_in_this_one(lied: Lied) -> None:
    kept = await _kept_back(lied)
    async with lied.council.client("F") as f:
        signer = f.device.key
    elsewhere = make_statement(kept.payload.model_copy(update={"log": "other.example/log"}), signer)
    await lied.file(elsewhere, facts=_facts(elsewhere), content=b"x" * kept.payload.content.size)
    async with lied.council.client("M") as m:
        with pytest.raises(LogUntrusted, match="was for the log other"):
            await m.inbox()


async def test_a_note_of_a_kind_that_is_released_goes_to_nobody_without_its_release(
    lied: Lied,
) -> None:
    async with lied.council.client("F") as f:
        key = f.device.key
        drafted = await f.send(letter(clear=()))
    async with lied.council.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted.reference))
    async with lied.council.client("M") as m:  # the honest run
        assert [each.reference for each in letters(await m.inbox())][-1] == "london-notes/1"
    # The drafter's device signs the note for the other side at once, and the node takes it.
    kept = await _kept_back(lied, letter(clear=()))
    note = kept.payload
    own = note.addressees[0]
    stripped = make_statement(
        note.model_copy(
            update={
                "drafted": None,
                "addressees": (
                    *note.addressees,
                    own.model_copy(update={"post": DUTY, "role": AddresseeRole.ACTION}),
                ),
            }
        ),
        key,
    )
    await lied.file(stripped, facts=_facts(stripped), content=b"x" * note.content.size)
    async with lied.council.client("M") as m:
        (bad,) = [item for item in await m.inbox() if isinstance(item, Unopened)]
        assert isinstance(bad.error, ChainBroken)
        assert "A note of kind note-verbale went to others without a release" in str(bad.error)


async def test_a_release_that_the_node_leaves_out_is_asked_for(lied: Lied) -> None:
    async with lied.council.client("F") as f:
        drafted = await f.send(letter(clear=()))
    async with lied.council.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted.reference))
    async with lied.council.client("F") as f:
        shown = await f.transport.read(f"/v1/notes/{check_digest(drafted.digest)}")
    index = prove(str(shown["receipt"]), Pins(Home(lied.council.folder / "F")).node).index
    lied.liar.lies["/v1/inbox"] = lambda answer: {
        **answer,
        "items": [
            {**item, "receipt": shown["receipt"], "position": f"{index}.{index}"}
            if item["position"].endswith(f".{index}")
            else item
            for item in answer["items"]
        ],
    }
    async with seen_through(lied, LogUntrusted, "as what it isn't"), lied.client("M") as m:
        await m.inbox()
    lied.liar.lies["/v1/notes/"] = lambda answer: {
        **answer,
        "state": {k: v for k, v in answer.get("state", {}).items() if k != "release"},
    }
    async with (
        seen_through(lied, ChainBroken, "shows no release of that draft"),
        lied.client("M") as m,
    ):
        await m.read(drafted.reference)


async def test_a_registrar_that_was_ended_signs_for_nobody_who_saw_it_end(lied: Lied) -> None:
    async with lied.council.authority("MA") as authority:
        await _delegate(authority, EVIL)
    await lied.write()  # the honest run, with the registrar
    before = await lied.answer(MOD)
    async with lied.council.authority("MA") as authority:
        authority.end_registrar(EVIL.id)
        authority.sign_directory()
        await authority.post()
    await lied.write()
    # The node takes what the ended one signed, and shows the statement that names it.
    now = lied.council.clock.now()
    (newest,) = lied.said(await lied.answer(MOD), "directory", Directory)
    directory = make_statement(
        newest.payload.model_copy(
            update={
                "key": EVIL.id,
                "issued": now,
                "lapse": now + DAY,
                "sequence": newest.payload.sequence + 1,
                "previous": newest.digest,
            }
        ),
        EVIL,
    )
    told = {"party": before["party"], "directory": await lied.file(directory)}
    lied.liar.lies[MOD] = lambda answer: {**answer, **told}
    async with seen_through(
        lied, ChainBroken, r"shows statement 2 of mod\.example, and has shown 3"
    ):
        await lied.write()
    lied.liar.lies[MOD] = put("directory", told["directory"])
    async with seen_through(lied, ChainBroken, "neither the authority's nor a registrar's"):
        await lied.write()


async def test_a_stranger_who_names_the_true_statement_before_takes_no_pin(lied: Lied) -> None:
    (newest,) = lied.said(await lied.answer(MOD), "party", Party)
    before = Pins(Home(lied.council.folder / "F")).authority("mod.example")
    now = lied.council.clock.now()
    takeover = make_statement(
        newest.payload.model_copy(
            update={
                "key": EVIL.id,
                "authority": to_base64(EVIL.public),
                "sequence": newest.payload.sequence + 1,
                "previous": newest.digest,
                "issued": now,
                "lapse": now + DAY,
            }
        ),
        EVIL,
    )
    lied.liar.lies[MOD] = put("party", await lied.file(takeover))
    async with seen_through(
        lied,
        ChainBroken,
        r"mod\.example shows an authority key that isn't the pinned one, nor announced by it",
    ):
        await lied.write()
    assert Pins(Home(lied.council.folder / "F")).authority("mod.example") == before


async def test_a_next_key_is_announced_by_a_succession_only(lied: Lied) -> None:
    """Who has the present authority key, and a node of their own mind, doesn't get the pin."""
    (present,) = lied.said(await lied.answer(MOD), "party", Party)
    async with lied.council.authority("MA") as authority:
        stolen = authority._key
    announced = _party_after(lied, present, stolen, next=EVIL.id)
    succession = _party_after(
        lied,
        announced,
        EVIL,
        authority=to_base64(EVIL.public),
        next=SigningKey(b"\x42" * 32).id,
    )
    told = [await lied.file(one) for one in (announced, succession)]
    before = Pins(Home(lied.council.folder / "F")).authority("mod.example")
    for receipt in told:
        lied.liar.lies[MOD] = put("party", receipt)
        async with seen_through(
            lied, ChainBroken, "another next key, that no succession announced"
        ):
            await lied.write()
        forget_seen(Home(lied.council.folder / "F"), "mod.example")  # as one who is new
    assert Pins(Home(lied.council.folder / "F")).authority("mod.example") == before


async def test_of_two_statements_of_one_number_the_one_that_was_seen_stands(lied: Lied) -> None:
    (present,) = lied.said(await lied.answer(MOD), "party", Party)
    async with lied.council.authority("MA") as authority:
        stolen = authority._key
        await _delegate(authority, SigningKey(b"\x41" * 32))
    await lied.write()
    other = _party_after(lied, present, stolen, name="Ministry of Ours")
    for one in (other, _party_after(lied, other, stolen)):  # of the same number, and on top of it
        lied.liar.lies[MOD] = put("party", await lied.file(one))
        async with seen_through(lied, ChainBroken, r"There are two statements 2 of mod\.example"):
            await lied.write()


def _party_after(
    lied: Lied, before: Statement[Party], key: SigningKey, **changes: Any
) -> Statement[Party]:
    now = lied.council.clock.now()
    members = {
        "key": key.id,
        "sequence": before.payload.sequence + 1,
        "previous": before.digest,
        "issued": now,
        "lapse": now + DAY,
        **changes,
    }
    return make_statement(before.payload.model_copy(update=members), key)


async def test_what_the_directory_names_is_not_left_out(lied: Lied) -> None:
    async with lied.council.authority("MA") as authority:
        authority.set_posting(DUTY, ["deputy.1@mod.example", MARY])
        authority.sign_directory()
        await authority.post()
    async with lied.client("F") as f:
        plan = await f.plan(flash())
    assert [len(one.keys) for one in plan.addressees if one.post == DUTY] == [2]
    lied.liar.lies[MOD] = lambda answer: {**answer, "members": [], "postings": []}
    async with lied.client("F") as f:  # it is asked for, one by one
        plan = await f.plan(flash())
    assert [len(one.keys) for one in plan.addressees if one.post == DUTY] == [2]
    withheld = {one.digest for one in lied.said(await lied.answer(MOD), "members", Member)}

    for digest in withheld:
        lied.liar.lies[f"/v1/statements/{check_digest(digest)}"] = withhold
    async with seen_through(
        lied, ChainBroken, r"withholds a member that the directory of mod\.example names"
    ):
        await lied.write()
    lied.liar.lies = {MOD: put("directory", None)}
    async with seen_through(
        lied, ChainBroken, r"shows no directory of mod\.example, and has shown"
    ):
        await lied.write()


@pytest.mark.parametrize("is_shown", [True, False])
async def test_what_a_revoked_key_signed_stays_out_whatever_came_after(
    lied: Lied, is_shown: bool
) -> None:
    kept = await _kept_back(lied)
    async with lied.council.client("F") as f:
        device = f.device.key.id
    lied.council.clock.advance(10 * MINUTE)
    async with lied.council.authority("FA") as authority:
        authority.revoke_key(LONDON_1, device, lied.council.clock.now())
        authority.sign_directory()
        await authority.post()
    await lied.file(kept, facts=_facts(kept), content=b"x" * kept.payload.content.size)
    # The next statement of that member names no device that was taken away either.
    async with lied.council.authority("FA") as authority:
        authority.set_roles(LONDON_1, ["attache", "operator"])
        authority.sign_directory()
        await authority.post()
    if not is_shown:
        lied.liar.lies["/v1/parties/fco.example"] = put("members", [])
    async with lied.client("M") as m:
        items = await m.inbox()
        (bad,) = [item for item in items if isinstance(item, Unopened)]
        assert isinstance(bad.error, ChainBroken)
        assert "not of a device of" in str(bad.error)
        (honest,) = letters(items)
        assert honest.doubt is None
    assert is_shown == (not lied.liar.told)


async def test_a_doubt_is_not_taken_away_by_leaving_out_whom_it_is_about(lied: Lied) -> None:
    async with lied.council.client("F") as f:
        device = f.device.key.id
    since = lied.council.clock.now() - 10 * MINUTE
    async with lied.council.authority("FA") as authority:
        authority.revoke_key(LONDON_1, device, since)
        authority.sign_directory()
        await authority.post()
    lied.liar.lies["/v1/parties/fco.example"] = put("members", [])
    async with lied.client("M") as m:
        (letter,) = letters(await m.inbox())
        assert letter.doubt == Doubt(LONDON_1, since)
    assert lied.liar.told


async def _delegate(authority: Authority, key: SigningKey) -> None:
    party = "mod.example"
    authority.delegate(
        RegistrarRequest(party, to_base64(key.public), key.prove_possession(party)),
        scope=list(Scope),
        until=authority.now() + 90 * DAY,
    )
    authority.sign_directory()
    await authority.post()


async def _kept_back(lied: Lied, draft: Draft | None = None) -> Statement[Note]:
    """Return a note that the node kept back instead of taking it."""
    taken: list[bytes] = []
    honest = Transport.submit

    async def keep(self: Transport, statement: bytes, *rest: Any, **more: Any) -> str:
        if b"vnd.liaison.note." in statement:
            taken.append(statement)
            raise NodeUnreachable("kept back")
        return await honest(self, statement, *rest, **more)

    with lied.monkeypatch.context() as patch:
        patch.setattr(Transport, "submit", keep)
        with pytest.raises(LiaisonError):
            await lied.write(draft=draft)
    return parse_statement_of(Note, taken[0])


def _facts(statement: Statement[Note]) -> NoteFacts:
    note = statement.payload
    return NoteFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        channel=note.channel,
        reference=99,
        sender=note.by,
        device=note.key,
        kind=note.kind,
        precedence=note.precedence.action,
        info_precedence=note.precedence.info,
        addressees=tuple(
            AddresseeFacts(post=a.post, role=a.role, readers=(MARY,) if a.post == DUTY else ())
            for a in note.addressees
        ),
        serials=tuple(
            SerialFacts(party=r.party, serial=r.serial)
            for r in note.parties
            if r.serial is not None
        ),
        exercise=note.exercise,
    )


async def test_a_log_that_was_forked_for_one_client_is_found_out_by_its_next_look(
    lied: Lied,
) -> None:
    world, folder = lied.council, lied.council.folder
    async with world.client("M") as m:
        assert letters(await m.inbox())
    shutil.copytree(folder / "N", folder / "N2", ignore=shutil.ignore_patterns("node.db*"))
    with (
        contextlib.closing(sqlite3.connect(folder / "N" / "node.db")) as one,
        contextlib.closing(sqlite3.connect(folder / "N2" / "node.db")) as other,
    ):
        one.backup(other)
    shutil.copytree(folder / "F", folder / "G")
    settings = Settings(home=folder / "N2", listen="127.0.0.1:0")
    async with run_node(settings, clock=world.clock) as fork:
        lied.liar.upstream = fork.url
        await lied.write(by="G")
        await lied.write(by="G")
        lied.liar.upstream = world.running.url
        await lied.write()
        async with world.client("M") as m:
            assert len(letters(await m.inbox())) == 1
        lied.liar.upstream = fork.url
        async with lied.client("M") as m:
            with pytest.raises(LogUntrusted, match="signed two trees that don't fit together"):
                await m.inbox()
