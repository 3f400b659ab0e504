"""A certificate authority of the lab's own, for stores that are spoken to over HTTPS."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Signs for any name; ``bundle`` is the file that a client has to trust."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        directory.mkdir(parents=True, exist_ok=True)
        self.bundle = directory / "lab-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.bundle))

    def server(self, *names: str) -> ssl.SSLContext:
        """A server's context for ``names``, wildcards allowed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, key_type=trustme.KeyType.ECDSA).configure_cert(context)
        return context
