"""Temporary keys from the cloud's metadata service, in both ways that Huawei's clouds speak.

GET ``/openstack/latest/securitykey`` answers ``{"credential": {"access", "secret", "securitytoken", "expires_at"}}``
on a machine that has an agency. The newer way wants a session token first: PUT ``/meta-data/latest/api/token``; 404 or
405 there means the older way (Huawei ECS docs, and Huawei's OBS SDK). Containers of ModelArts usually cannot reach it,
hence it is only asked when an option says so, and briefly.
"""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

from ..errors import KeysUnavailable, SecretUnreadable, UsageError
from ..ground.json_text import load_json

DEFAULT_URL = "http://169.254.169.254"
LIMIT = 2.0
"""Seconds for all requests together."""

_KEY_PATH = "/openstack/latest/securitykey"
_TOKEN_PATH = "/meta-data/latest/api/token"
_TOKEN_LIFE = {"X-securitykey-Token-Ttl-Seconds": "21600"}
_LARGEST = 64 * 1024


def read(url: str = DEFAULT_URL, limit: float = LIMIT) -> dict[str, str]:
    """The service's ``credential``, as it stands. :raises KeysUnavailable: no whole answer within
    ``limit`` seconds, or one that says try again :raises SecretUnreadable: an answer without keys
    """
    import http.client  # not for jobs that never ask

    host, port = _address(url)
    until = time.monotonic() + limit
    try:
        status, body = _ask(host, port, "PUT", _TOKEN_PATH, _TOKEN_LIFE, until)
        if status == 200:
            headers = {"X-securitykey-Token": body.decode("ascii").strip()}
        elif status in (404, 405):
            headers = {}
        else:
            raise _unreadable(url, f"HTTP status {status} for a session token", status)
        status, body = _ask(host, port, "GET", _KEY_PATH, headers, until)
    except ValueError:  # what http.client says of a token with a line break would quote it
        raise _unreadable(url, "its session token cannot be one") from None
    except (OSError, http.client.HTTPException) as error:
        if time.monotonic() >= until:
            raise _unavailable(url, f"no whole answer within {limit:g} s") from None
        raise _unavailable(url, str(error) or type(error).__name__) from None
    if status != 200:
        raise _unreadable(url, f"HTTP status {status}; has the machine an agency?", status)
    try:
        credential = load_json(body)["credential"]
        return {key: str(credential.get(key) or "") for key in ("access", "secret", "securitytoken", "expires_at")}
    except (ValueError, KeyError, TypeError, AttributeError):
        # Never the answer itself: it may hold half a key.
        raise _unreadable(url, "its answer is not the JSON of a credential") from None


def _address(url: str) -> tuple[str, int]:
    why = "it has another scheme, or no host"
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname:
            return parts.hostname, parts.port or 80
    except ValueError as error:  # half a bracket, a port that is none
        why = str(error)
    raise UsageError(
        "the metadata service's address is not an http URL",
        where=url,
        why=why,
        remedy=f"write it as {DEFAULT_URL}, or leave it out",
    )


def _ask(host: str, port: int, method: str, path: str, headers: dict[str, str], until: float) -> tuple[int, bytes]:
    """One request on a connection of its own; no proxies, which must not see keys."""
    import http.client

    connection = http.client.HTTPConnection(host, port, timeout=max(until - time.monotonic(), 0.001))
    connection.connect()
    # A socket's limit is for each read: a server that sends a byte a second would hold us for ever without this.
    alarm = threading.Timer(max(until - time.monotonic(), 0), _cut, [connection.sock])
    alarm.daemon = True
    alarm.start()
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(_LARGEST)
        if time.monotonic() >= until:
            raise TimeoutError
        return answer.status, body
    finally:
        alarm.cancel()
        connection.close()


def _cut(connected: socket.socket) -> None:
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has just ended by itself
        pass


def _unreadable(url: str, why: str, status: int = 200) -> SecretUnreadable:
    if status >= 500 or status == 429:
        return _unavailable(url, f"HTTP status {status}")
    return SecretUnreadable(
        "the metadata service gave no keys",
        where=url,
        why=why,
        remedy="give the machine an agency that may use the store, or keys in another way",
    )


def _unavailable(url: str, why: str) -> KeysUnavailable:
    return KeysUnavailable("the metadata service gave no keys", where=url, why=why)
