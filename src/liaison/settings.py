"""Settings of a node: every path and address, in one place, each with where it was said.

An option goes before the environment (``LIAISON_NODE_GUARD``), that before the file (``node.toml``
in the home, or ``--config``), that before the default. A new setting is a field of ``Settings``,
with a description and an example, and the one line of ``main`` that hands it over.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, ValidationError
from sqlalchemy import make_url

from liaison.adapters.sql.urls import check_store_url, shown
from liaison.words.errors import Malformed, NotReady

PREFIX: Final = "LIAISON_NODE_"
CONFIG: Final = "LIAISON_NODE_CONFIG"
FILE: Final = "node.toml"
DEFAULT: Final = "default"

_PORT_MAX: Final = 65_535


def _check_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host.strip("[]") or not re.fullmatch("[0-9]{1,5}", port) or int(port) > _PORT_MAX:
        raise ValueError(f"not ADDRESS:PORT: {text}")
    return text


def _check_database(url: str) -> str:
    try:
        return check_store_url(url)
    except Malformed as exc:
        raise ValueError(f"{exc.happened}; {exc.do}" if exc.do else exc.happened) from None


def _within(name: str) -> Any:
    return lambda said: said["home"] / name


class Settings(BaseModel):
    """``home`` holds everything but what is put elsewhere on purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path
    listen: Annotated[str, AfterValidator(_check_address)] = Field(
        default="127.0.0.1:8470",
        description="address and port to listen on",
        examples=["127.0.0.1:8470"],
    )
    guard: Path = Field(
        default_factory=_within("guard"),
        description="the guard's file: outside the database's backups, best on a second disk",
        examples=["/mnt/second/liaison.guard"],
    )
    database: Annotated[str, AfterValidator(_check_database)] = Field(
        default_factory=lambda said: f"sqlite:///{said['home'] / 'node.db'}",
        description="the store",
        repr=False,  # it may hold a password
        examples=["sqlite:////srv/liaison/node.db"],
    )
    keys: Path = Field(
        default_factory=_within("keys"),
        description="the directory of the node's three key files",
        examples=["/etc/liaison/keys"],
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="the certificate, and the chain behind it, in PEM: the node serves TLS itself",
        examples=["/etc/liaison/tls/fullchain.pem"],
    )
    tls_key: Path | None = Field(
        default=None,
        description="the certificate's key, without passphrase; by default in the same file",
        examples=["/etc/liaison/tls/key.pem"],
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="authorities in PEM: whoever connects shows a certificate that one of them signed",
        examples=["/etc/liaison/tls/clients.pem"],
    )
    plain: bool = Field(
        default=False,
        description="serve without TLS on other addresses than the loopback's; a proxy's alone",
        examples=["true"],
    )
    connections: Annotated[int, Field(ge=16)] = Field(
        default=4096,
        description="connections at a time; beyond it the one that was idle longest goes",
        examples=["4096"],
    )
    metrics: Literal["loopback", "anyone", "nobody"] = Field(
        default="loopback",
        description="who may read /metrics: loopback (and not through a proxy), anyone, or nobody",
        examples=["loopback"],
    )

    disk_low: ByteSize = Field(
        default=ByteSize(2 * 1024**3),
        description="free bytes on the store's disk under which the node alarms",
        examples=["2GiB"],
    )
    disk_reserve: ByteSize = Field(
        default=ByteSize(512 * 1024**2),
        description="free bytes under which new notes below FLASH are refused; 0: never",
        examples=["512MiB"],
    )
    member_rate: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="statements below IMMEDIATE that a member may send in a second; 0: no limit",
        examples=["200"],
    )
    party_rate: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="the same of a party, all its members together",
        examples=["1000"],
    )

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def card(self) -> Path:
        """What others are handed to know the node by: origin and three public keys."""
        return self.home / "node.liaison"

    @property
    def retired(self) -> Path:
        """The mark of a node that was given up; its presence keeps it from serving."""
        return self.home / "retired"

    def key(self, purpose: str) -> Path:
        return self.keys / f"{purpose}.key"


NAMES: Final = tuple(name for name in Settings.model_fields if name != "home")


@dataclass(frozen=True)
class Loaded:
    """Settings in effect; ``sources`` says of each where it was said."""

    settings: Settings
    sources: Mapping[str, str]
    file: Path | None
    """The file that was read, if one was."""

    def shown(self, name: str) -> str:
        """Return a setting's value as it may be shown: without what is secret."""
        value = str(getattr(self.settings, name))
        return shown(value) if name == "database" else value

    @property
    def is_secret_in_file(self) -> bool:
        """Whether the file holds a password."""
        is_from_file = self.sources["database"] == f"database in {self.file}"
        return is_from_file and make_url(self.settings.database).password is not None


def load_settings(
    home: Path,
    *,
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
    begun: Mapping[str, object] | None = None,
) -> Loaded:
    """Return the settings of the node in ``home``.

    ``options`` are those of the command line by setting; None is for one that was not given.
    ``begun`` is what holds if nobody says otherwise, as ``node init`` was told it.

    Raises:
        Malformed: a value has no reading, or no setting has that name; the text names each.
        NotReady: the file that ``config`` names can't be read.
    """
    file = home / FILE if config is None else config
    stated = _stated(file, is_wanted=config is not None)
    values: dict[str, object] = {}
    sources: dict[str, str] = dict.fromkeys(NAMES, DEFAULT)
    layers: list[tuple[Mapping[str, object], Any]] = [
        (begun or {}, lambda _: "node.liaison, as init was told"),
        (stated or {}, lambda name: f"{name} in {file}"),
        (_of_environment(environment or {}), lambda name: f"{PREFIX}{name.upper()}"),
        (options or {}, lambda name: f"--{name}"),
    ]
    for layer, source_of in layers:
        for name, value in layer.items():
            if value is None:
                continue
            if name not in NAMES:
                raise _unknown(source_of(name), name)
            values[name], sources[name] = value, source_of(name)
    try:
        settings = Settings.model_validate({"home": home, **values})
    except ValidationError as exc:
        raise _invalid(exc, sources) from exc
    return Loaded(settings, sources, None if stated is None else file)


def _stated(file: Path, *, is_wanted: bool) -> dict[str, object] | None:
    """Return what a file says, None where there is none; a path in it is taken from its directory."""
    try:
        said = tomllib.loads(file.read_bytes().decode("utf-8"))
    except FileNotFoundError as exc:
        if not is_wanted:
            return None
        raise NotReady(
            f"--config: there is no file {file}", safe="nothing was done", do="check the path"
        ) from exc
    except OSError as exc:
        raise NotReady(
            f"the settings in {file} can't be read: {exc.strerror}",
            safe="nothing was done",
            do="see that it is a file that the node's user may read",
        ) from exc
    except ValueError as exc:  # not TOML, or not UTF-8
        raise Malformed(
            f"{file} is not TOML: {exc}",
            safe="nothing was done",
            do='a line is like this: listen = "127.0.0.1:8470"',
        ) from exc
    for name, value in said.items():
        if isinstance(value, str) and _is_path(name):
            said[name] = file.parent / value
    return said


def _is_path(name: str) -> bool:
    field = Settings.model_fields.get(name)
    return field is not None and field.annotation in (Path, Path | None)


def _of_environment(environment: Mapping[str, str]) -> dict[str, object]:
    return {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name != CONFIG
    }


def _unknown(source: str, name: str) -> Malformed:
    near = difflib.get_close_matches(name, NAMES, n=1)
    return Malformed(
        f"{source}: there is no such setting",
        safe="nothing was done",
        do=f"did you mean {near[0]}?" if near else f"the settings are {', '.join(NAMES)}",
    )


def _invalid(exc: ValidationError, sources: Mapping[str, str]) -> Malformed:
    found, helps = [], []
    for error in exc.errors(include_url=False, include_input=False):
        if error["type"] == "default_factory_not_called":
            continue  # nobody said anything of this one
        name = str(error["loc"][0])
        said = str(error["msg"]).removeprefix("Value error, ").partition(" for <class")[0]
        found.append(f"{sources.get(name, name)}: {said[:1].lower()}{said[1:]}")
        examples = Settings.model_fields[name].examples or [""]
        helps.append(f'{name} = "{examples[0]}"')
    return Malformed("; ".join(found), safe="nothing was done", do=f"such as {', '.join(helps)}")
