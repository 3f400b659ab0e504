"""What bootstraps say to each other, line by line: JSON, each line sealed with the job's secret.

A connection begins with the server's challenge (a nonce, in clear) and the node's answer (its own nonce, in clear).
Both derive a key for this connection from the secret and the two nonces; every later line carries a code made from the
key, the direction and the line's number. So a line cannot be forged, repeated, reordered or sent to somebody else
without the secret, and a stranger who finds the port learns nothing but a nonce.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

from ..ground.json_text import load_json
from ..job import Cluster

PROTOCOL = "modelarts-bootstrap/2"
LONGEST_LINE = 4 << 20  # bytes of what node 0 says: a table of thousands of nodes fits
LONGEST_GREETING = 1 << 10  # bytes, before either side has proved anything
_CODE = _NONCE = 32  # hexadecimal digits: 128 bits


class Forged(ValueError):
    """A line that does not carry the right code: another job, another secret, or not one of us at all."""


def secret_of(cluster: Cluster, job_id: str, given: str = "") -> bytes:
    """The key that all nodes of a job derive alike.

    ``given`` is a secret that a person set. Without it the job's id and roles are all there is: that keeps jobs apart
    that meet at one port by accident, but not somebody who knows the job's environment. Hosts are no part of it, since
    not every node need know them by the same names (Kubeflow tells its master that it is ``localhost``).
    """
    told = [given, job_id, *(f"{node.role} {node.rank}" for node in cluster.nodes)]
    return hashlib.sha256(json.dumps(told).encode()).digest()


def nonce() -> str:
    return secrets.token_hex(_NONCE // 2)


def nonce_of(message: Mapping[str, object]) -> str:
    """The other side's nonce. Raises :class:`Forged`."""
    theirs = message.get("nonce")
    if not isinstance(theirs, str) or len(theirs) != _NONCE:
        raise Forged("not one of our lines")
    return theirs


class LineSeal:
    """Seals or opens the lines of one direction of one connection, in their order."""

    def __init__(self, secret: bytes, server_nonce: str, node_nonce: str, *, from_server: bool) -> None:
        connection = f"{PROTOCOL} {server_nonce} {node_nonce} {'server' if from_server else 'node'}"
        self._key = hmac.digest(secret, connection.encode(), "sha256")
        self._number = 0

    @staticmethod
    def digest(body: bytes) -> bytes:
        """For :meth:`head`."""
        return hashlib.sha256(body).digest()

    def head(self, digest: bytes) -> bytes:
        """What stands before a body with this digest in the next line. A body for many nodes is digested once."""
        code = self._code(digest)
        self._number += 1
        return code + b" "

    def close(self, message: Mapping[str, object] | bytes) -> bytes:
        """The line to send. Takes ready JSON too."""
        body = message if isinstance(message, bytes) else plain(message)
        return self.head(self.digest(body)) + body + b"\n"

    def _code(self, digest: bytes) -> bytes:
        numbered = self._number.to_bytes(8, "big") + digest
        return hmac.digest(self._key, numbered, "sha256").hex()[:_CODE].encode()

    def open(self, line: bytes) -> dict[str, object]:
        """The message in a line that was received. Raises :class:`Forged`."""
        code, _, body = line.rstrip(b"\n").partition(b" ")
        if not hmac.compare_digest(code, self._code(self.digest(body))):
            raise Forged("the line's code is wrong")
        self._number += 1
        return parse(body)


def plain(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def parse(body: bytes) -> dict[str, object]:
    """JSON that must be an object. Raises :class:`Forged`."""
    try:
        message = load_json(body)
    except ValueError as error:
        raise Forged("not one of our lines") from error
    if not isinstance(message, dict):
        raise Forged("not one of our lines")
    return message
