"""URLs of stores: ``sqlite:////var/lib/liaison/store.db`` or ``postgresql://...``, without a driver.

One may hold a password, so none is shown as it is.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from liaison.words.errors import Malformed

BACKENDS: Final = ("sqlite", "postgresql")
_PLACE: Final = ("host", "port")
"""What a URL of PostgreSQL may say in its query of where the server is."""


def backend_of(url: str | URL) -> str:
    """Return ``sqlite`` or ``postgresql``.

    Raises:
        ValueError: the URL is of another database.
    """
    backend = make_url(url).get_backend_name()
    if backend not in BACKENDS:
        raise ValueError(f"no store for {backend}: it's {' or '.join(BACKENDS)}")
    return backend


def check_store_url(text: str) -> str:
    """Return ``text`` if it is a store's URL as a person may give one.

    Raises:
        Malformed: it isn't; the text of the error never repeats what was given.
    """
    such = "such as postgresql://liaison@db.example/liaison, or sqlite:////var/lib/liaison/node.db"
    try:
        url = make_url(text)
        backend = backend_of(url)
    except ArgumentError:
        raise Malformed("not the URL of a database", do=f"give one {such}") from None
    except ValueError:
        raise Malformed("a URL of no database that liaison knows", do=f"give one {such}") from None
    if not url.database:
        raise Malformed("the URL names no database", do=f"give one {such}")
    if any("password" in name for name in url.query):
        raise Malformed(
            "the URL holds a password among its parameters",
            do="put it in ~/.pgpass, in PGPASSWORD, or behind the user's name",
        )
    if backend == "postgresql" and text.partition("?")[0].count("@") > 1:
        raise Malformed("the URL holds more than one @", do="write one of a password as %40")
    return text


def shown(url: str | URL) -> str:
    """Return where a store is, as messages may say it: no password, no other parameter."""
    located = make_url(url)
    place = {name: value for name, value in located.query.items() if name in _PLACE}
    return URL.create(
        located.get_backend_name(),
        username=located.username,
        host=located.host,
        port=located.port,
        database=located.database,
        query=place,
    ).render_as_string()
