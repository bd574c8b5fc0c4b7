"""TLS of the node itself: certificate, key, and whose client certificates it asks for, from files.

Where a proxy stands before the node on the same machine, none of it is used.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from liaison.words.errors import NotReady


@dataclass(frozen=True)
class TlsFiles:
    """PEM files; the certificate's has the chain behind it. ``client_ca`` asks clients for one, too."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context made of what the files hold now.

        Raises:
            NotReady: one can't be read, or they don't belong together; the text says which.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # A session that is resumed would be let in by what was believed when it began.
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Without a password, or OpenSSL would ask at the terminal for one.
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as exc:
            raise _unfit(
                f"the TLS certificate {self.certificate} with the key {self.key}", exc
            ) from exc
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except OSError as exc:
                raise _unfit(
                    f"the certificates of clients' authorities {self.client_ca}", exc
                ) from exc
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Tls:
    """What the server is given once: every handshake takes what the files held when last read."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.context = files.context()
        self._newest = self.context
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Read the files anew; connections that stand go on as they are.

        Raises:
            NotReady: they don't fit; what was read before goes on.
        """
        self._newest = self._files.context()

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _front: ssl.SSLContext) -> None:
        # OpenSSL asks here in each handshake, whether or not the client names a server.
        connection.context = self._newest


def _no_password() -> str:
    raise ValueError("the key has a passphrase")


def _unfit(what: str, exc: Exception) -> NotReady:
    reason = getattr(exc, "reason", None) or getattr(exc, "strerror", None) or str(exc)
    return NotReady(
        f"Can't use {what}: {reason}",
        safe="nothing was changed",
        do="give PEM files that the node's user may read, a key without passphrase that belongs to "
        "the certificate, and the chain behind the certificate",
    )
