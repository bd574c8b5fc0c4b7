"""The types that payload members are made of. protocols/statements.md, ID, TIME and TEXT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from liaison.statements.keys import check_encryption_key, check_signing_key
from liaison.words import ids
from liaison.words.canonical import spell
from liaison.words.encoding import from_base64
from liaison.words.errors import Malformed


class Frozen(BaseModel):
    """A value: immutable, strictly typed, nothing beside its members."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", revalidate_instances="never"
    )

    def spelled(self) -> bytes:
        """Return the value's canonical JSON: members that are None are left out."""
        return spell(self.model_dump(exclude_none=True))


def _checked(check: Callable[[bytes], bytes]) -> Callable[[str], str]:
    def validate(text: str) -> str:
        try:
            check(from_base64(text))
        except Malformed as exc:
            raise ValueError(exc.happened) from exc
        return text

    return validate


def _b64(text: str) -> str:
    try:
        from_base64(text)
    except Malformed as exc:
        raise ValueError(exc.happened) from exc
    return text


def _ascending(items: Sequence[Any]) -> Sequence[Any]:
    """Lists that are sets have one spelling: ascending, nothing twice."""
    keys: list[str] = [item if isinstance(item, str) else item.sort_key for item in items]
    if any(a >= b for a, b in pairwise(keys)):
        raise ValueError("its items must ascend and none may stand twice")
    return items


Ascending = AfterValidator(_ascending)

PartyId = Annotated[
    str, StringConstraints(pattern=ids.PARTY_PATTERN, max_length=ids.MAX_PARTY_CHARS)
]
Address = Annotated[str, StringConstraints(pattern=ids.ADDRESS_PATTERN, max_length=190)]
Alias = Annotated[str, StringConstraints(pattern=ids.ALIAS_PATTERN)]
Origin = Annotated[str, StringConstraints(pattern=ids.ORIGIN_PATTERN)]
Digest = Annotated[str, StringConstraints(pattern=ids.DIGEST_PATTERN)]
Asker = Annotated[
    str, StringConstraints(pattern=f"{ids.ADDRESS_PATTERN}|{ids.ORIGIN_PATTERN}", max_length=254)
]
"""Who begins a session: a member, a party (its id is spelled as an origin may be), or the origin."""
NoteId = Annotated[str, StringConstraints(pattern=ids.NOTE_ID_PATTERN)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Dtg = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}Z [A-Z]{3} [0-9]{2}$")]
Challenge = Digest
Micros = Annotated[int, Field(ge=0, le=2**53 - 1)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Integer = Annotated[int, Field(ge=1 - 2**53, le=2**53 - 1)]
Positive = Annotated[int, Field(ge=1, le=2**53 - 1)]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]
SigningPublic = Annotated[
    str,
    StringConstraints(min_length=44, max_length=44),
    AfterValidator(_checked(check_signing_key)),
]
EncryptionPublic = Annotated[
    str, StringConstraints(max_length=1624), AfterValidator(_checked(check_encryption_key))
]
Signature = Annotated[str, StringConstraints(min_length=88, max_length=88), AfterValidator(_b64)]
