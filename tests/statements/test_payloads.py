"""Payloads: what each kind refuses beyond its spelling, the member named."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.statements import charters, payloads
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import AddresseeRole, MemberRole, Verdict
from liaison.statements.statement import make_statement, parse_statement
from liaison.words.encoding import to_base64
from liaison.words.errors import Malformed
from liaison.words.precedence import Precedence
from tests.world import (
    ANNA,
    DUTY,
    FCO,
    LONDON,
    MOD,
    ORIGIN,
    MemoryWorld,
    devices_of,
    digest,
    every_kind,
    signing,
    terms,
)

KINDS = every_kind()
FLASH, ROUTINE = Precedence.FLASH, Precedence.ROUTINE


def wrap(label: str) -> payloads.Wrap:
    return payloads.Wrap(key=digest(label), wrap=digest(f"wrap {label}"))


def addressee(post: str, role: AddresseeRole, *keys: str) -> payloads.Addressee:
    return payloads.Addressee(post=post, role=role, wraps=tuple(wrap(k) for k in keys))


def sorted_wraps(count: int, label: str) -> tuple[payloads.Wrap, ...]:
    wraps = [wrap(f"{label} {n}") for n in range(count)]
    return tuple(sorted(wraps, key=lambda w: w.key))


def many_wraps(per_post: int, last: int) -> tuple[payloads.Addressee, ...]:
    posts = [f"post-{n}@mod.example" for n in range(4)]
    counts = [per_post] * 4
    found = [
        payloads.Addressee(post=p, role=AddresseeRole.ACTION, wraps=sorted_wraps(n, p))
        for p, n in zip(posts, counts, strict=True)
    ]
    copy = payloads.Addressee(
        post=LONDON, role=AddresseeRole.COPY, wraps=sorted_wraps(last, LONDON)
    )
    return (*found, copy)


ACTION, COPY = (
    addressee(DUTY, AddresseeRole.ACTION, "a"),
    addressee(LONDON, AddresseeRole.COPY, "b"),
)
OTHER_WRAP = payloads.Addressee(
    post=LONDON,
    role=AddresseeRole.COPY,
    wraps=(payloads.Wrap(key=digest("a"), wrap=digest("another wrap")),),
)
KEY = KINDS["key"].payload
CHARTER = KINDS["charter"].payload

# kind, what is changed for the worse, what is changed for the good, the complaint
BORDERS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("party", {"sequence": 2}, {}, "previous: left out in sequence 1, and only there"),
    ("party", {"previous": digest("x")}, {}, "previous: left out in sequence 1"),
    ("party", {"by": MOD}, {}, "by: a party statement is made by the party itself"),
    ("party", {"sequence": 0}, {}, "sequence"),
    ("member", {"by": "Mod.example"}, {}, "^by: "),
    (
        "member",
        {"devices": devices_of("dora.dunn@mod.example", [signing("d")])},
        {"devices": devices_of(ANNA, [signing("d")])},
        "devices?.*proof of possession for anna.ames@fco.example|proof of possession",
    ),
    (
        "member",
        {"devices": devices_of(ANNA, [signing(f"d{n}") for n in range(9)])},
        {"devices": devices_of(ANNA, [signing(f"d{n}") for n in range(8)])},
        "devices",
    ),
    (
        "member",
        {"roles": (MemberRole.CHAIR, MemberRole.ATTACHE)},
        {"roles": (MemberRole.ATTACHE, MemberRole.CHAIR)},
        "roles: its items must ascend",
    ),
    ("posting", {"holders": (ANNA, ANNA)}, {"holders": ()}, "holders: its items must ascend and n"),
    ("roster", {"tiers": ()}, {}, "tiers"),
    ("key", {"use_from": KEY.use_until}, {"use_from": KEY.use_until - 1}, "use_until: must lie"),
    (
        "key",
        {"kept_until": KEY.use_until - 1},
        {"kept_until": KEY.use_until},
        "use_until: must lie",
    ),
    ("key", {"encryption": to_base64(bytes(1215))}, {}, "encryption: .*1215 bytes, not 1216"),
    ("charter", {"parties": (MOD, "un.example")}, {}, "parties: the proposer must be one of them"),
    ("charter", {"parties": (FCO, FCO)}, {}, "parties: one stands twice"),
    ("charter", {"parties": (FCO,)}, {}, "parties"),
    ("charter", {"kinds": CHARTER.kinds[::-1]}, {}, "kinds: its items must ascend"),
    ("charter", {"alias": "London"}, {"alias": "a" * 40}, "alias"),
    ("charter", {"alias": "a" * 41}, {}, "alias"),
    (
        "note",
        {"precedence": payloads.NotePrecedence.model_construct(action=ROUTINE, info=FLASH)},
        {"precedence": payloads.NotePrecedence(action=FLASH, info=FLASH)},
        "precedence: .*info: must not be above",
    ),
    ("note", {"addressees": (ACTION, ACTION, COPY)}, {}, "addressees: a post stands twice"),
    (
        "note",
        {"addressees": (ACTION, addressee(LONDON, AddresseeRole.INFO, "b"))},
        {"addressees": (ACTION, COPY)},
        "addressees: exactly one has the role copy",
    ),
    (
        "note",
        {"addressees": (ACTION, OTHER_WRAP)},
        {"addressees": (ACTION, addressee(LONDON, AddresseeRole.COPY, "a"))},
        "addressees: a key stands beside two wraps",
    ),
    (
        "note",
        {"addressees": many_wraps(255, 5)},
        {"addressees": many_wraps(255, 4)},
        "addressees: more than 1024 wraps",
    ),
    ("note", {"addressees": (COPY,)}, {}, "addressees"),
    ("note", {"id": "0198c0de-0000-4000-8000-000000000000"}, {}, "^id: "),
    ("note", {"dtg": "221405z NOV 26"}, {"dtg": "992599Z XXX 26"}, "^dtg: "),
    (
        "note",
        {"content": payloads.Content.model_construct(digest="", size=1)},
        {},
        "content.digest",
    ),
    ("note", {"channel": "A" * 43}, {"channel": "A" * 43 + "="}, "^channel: "),
    ("note", {"channel": "A" * 42 + "B="}, {}, "^channel: "),
    ("note", {"log": "Node.example"}, {"log": "n"}, "^log: "),
    ("note", {"kind": "a" * 41}, {"kind": "a" * 40}, "^kind: "),
    ("note", {"issued": -1}, {"issued": 0}, "^issued: "),
    ("note", {"lapse": 2**53}, {"lapse": 2**53 - 1}, "lapse: "),
    ("answer", {"notes": ()}, {}, "notes"),
    ("answer", {"reason": "no"}, {}, "reason: said where the verdict is 'declined'"),
    ("answer", {"verdict": Verdict.DECLINED}, {}, "reason: said where the verdict is 'declined'"),
    ("answer", {"code": "wrap"}, {}, "code: said where the verdict is 'unreadable'"),
    ("answer", {"verdict": Verdict.UNREADABLE}, {}, "code: said where the verdict is 'unreadable'"),
    ("void", {"serial": 0}, {"serial": 1}, "^serial: "),
    ("node", {"clock": 1}, {}, "event: 'init' says exactly"),
    ("node", {"event": "rules-version"}, {}, "event: 'rules-version' says exactly rules_version"),
    ("node", {"event": "rest"}, {}, "^event: "),
    ("session", {"by": "any\nthing"}, {"by": ANNA}, "^by: "),
    ("session", {"challenge": "A"}, {}, "^challenge: "),
    ("refusal", {"by": "Node"}, {"by": ORIGIN}, "^by: "),
    ("admission", {"state": payloads.State.REVOKED}, {}, "^state: "),
]


@pytest.mark.parametrize(("kind", "worse", "good", "complaint"), BORDERS)
def test_what_a_kind_refuses_is_named(kind, worse, good, complaint):
    made = KINDS[kind]
    key = next(k for k in KEYS if k.id == made.payload.key)

    def with_members(members: dict[str, Any]):
        said = {name: getattr(made.payload, name) for name in made.payload.model_fields_set}
        return make_statement(type(made.payload).model_construct(**{**said, **members}), key)

    with pytest.raises(Malformed, match=complaint):
        parse_statement(with_members(worse).raw)
    parse_statement(with_members(good).raw)


KEYS: list[SigningKey] = [
    signing(label)
    for label in (
        "node",
        "administrator",
        *(f"{p}/{n}" for p in (FCO, MOD) for n in (1, "registrar")),
        *(f"{m}/1" for m in (ANNA, "dora.dunn@mod.example", "edwin.earl@mod.example")),
    )
]


def test_an_answer_names_at_most_256_notes():
    world = MemoryWorld.opened()
    notes = sorted(digest(f"note {n}") for n in range(257))
    parse_statement(world.answer(ANNA, Verdict.DELIVERED, *notes[:256]).raw)
    with pytest.raises(ValueError, match="notes"):
        world.answer(ANNA, Verdict.DELIVERED, *notes)


@pytest.mark.parametrize(
    ("worse", "good"),
    [
        (2**53, 2**53 - 1),
        (-(2**53), 1 - 2**53),
        ("", "x"),
        ("x" * 201, "x" * 200),
        ("a\nb", "a b"),
        (True, 1),
    ],
)
def test_a_rules_parameter_is_a_text_or_an_integer_of_the_subset(worse, good):
    def use(value: Any) -> charters.RuleUse:
        return charters.RuleUse.model_construct(use="members-exactly", parameters={"count": value})

    def charter(value: Any) -> bytes:
        members = {n: getattr(CHARTER, n) for n in CHARTER.model_fields_set}
        made = charters.Charter.model_construct(**{**members, "rules": (use(value),)})
        return make_statement(made, signing(f"{FCO}/1")).raw

    with pytest.raises(Malformed, match=r"parameters|2.53"):
        parse_statement(charter(worse))
    parse_statement(charter(good))


def test_a_parameter_of_5000_digits_is_malformed_and_nothing_worse():
    good = KINDS["charter"].envelope.payload
    assert b'"count":2' in good
    from liaison.statements.envelope import seal_envelope

    raw = seal_envelope(
        "charter", good.replace(b'"count":2', b'"count":' + b"9" * 5000), signing(f"{FCO}/1")
    ).raw
    with pytest.raises(Malformed, match=r"2.53"):
        parse_statement(raw)


def test_terms_have_limits():
    terms(content_max_bytes=1024)
    with pytest.raises(ValueError, match="content_max_bytes"):
        terms(content_max_bytes=1023)


@pytest.mark.parametrize(
    ("said", "is_fitting"),
    [("standing", True), ("none", False), ("required", False)],
)
def test_a_standing_justification_stands_where_it_is_said(said, is_fitting):
    def kind() -> charters.NoteKind:
        return charters.NoteKind(
            kind="leader",
            action_max=FLASH,
            info_max=FLASH,
            default=FLASH,
            justification=said,
            standing="Heads of government",
            writers=(MemberRole.ATTACHE,),
        )

    if is_fitting:
        assert kind().standing
    else:
        with pytest.raises(ValueError, match="standing: said where justification is 'standing'"):
            kind()


def test_roster_and_serial_stand_together():
    payloads.Reliance(party=MOD, directory=digest("d"), roster=digest("r"), serial=1)
    payloads.Reliance(party=MOD, directory=digest("d"))
    with pytest.raises(ValueError, match="serial: stands beside roster"):
        payloads.Reliance(party=MOD, directory=digest("d"), serial=1)
