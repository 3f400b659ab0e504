"""What the libraries below fsspec raise, as ours: by the HTTP status where there is one, else by what it is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import (
    BootstrapError,
    BucketMissing,
    CredentialsMissing,
    CredentialsRejected,
    DiskFull,
    EndpointWrong,
    NameUnresolved,
    NothingThere,
    PermissionDenied,
    RequestRefused,
    StoreUnavailable,
)

_SAID = 600  # characters of a library's text
_NO_KEYS = ("DefaultCredentialsError", "NoCredentials", "ClientAuthenticationError", "CredentialUnavailableError")
_REFUSED_KEYS = ("AuthenticationException", "PasswordRequiredException", "RefreshError")


@contextmanager
def told(what: str, where: str) -> Iterator[None]:
    """Turn whatever is raised inside the block into one of ours."""
    try:
        yield
    except BootstrapError:
        raise
    except Exception as error:
        raise explained(error, what, where) from error


def explained(error: Exception, what: str, where: str) -> BootstrapError:
    """The cause, of the chain of causes the first that says anything."""
    names = {kind.__name__ for kind in type(error).__mro__}
    why = f"{type(error).__name__}: {error}".rstrip(": ").strip()[:_SAID]
    if isinstance(error, FileNotFoundError):
        return NothingThere(what, where=where, why=why)
    if isinstance(error, PermissionError):
        return PermissionDenied(what, where=where, why=why)
    if isinstance(error, socket.gaierror):
        temporary = error.errno == socket.EAI_AGAIN
        return NameUnresolved(what, where=where, why=why, remedy="check the host", temporary=temporary)
    if "BadHostKeyException" in names or "not found in known_hosts" in why:
        remedy = "put the server's key into ~/.ssh/known_hosts (ssh-keyscan HOST), once it is known to be the right one"
        return EndpointWrong(what, where=where, why=why, remedy=remedy)
    if names & set(_REFUSED_KEYS) or "No authentication methods" in why:
        return CredentialsRejected(what, where=where, why=why, remedy="check the key or password of this place")
    status = _status(error)
    if status == 404 and ("bucket" in why.lower() or "container" in why.lower()):
        return BucketMissing(what, where=where, why=why)
    causes: dict[int, type[BootstrapError]] = {401: CredentialsRejected, 403: PermissionDenied, 404: NothingThere}
    if status in causes:
        return causes[status](what, where=where, why=why)
    if status == 507:
        return DiskFull(what, where=where, why=why)
    if names & set(_NO_KEYS):
        return CredentialsMissing(
            what, where=where, why=why, remedy="docs/sources.md says where this store's come from"
        )
    if 400 <= status < 500 and status not in (408, 429):
        return RequestRefused(what, where=where, why=why)
    if isinstance(error, TypeError | ValueError | AttributeError | NotImplementedError):
        return RequestRefused(what, where=where, why=why, remedy="check the URL and the variables of this store")
    return StoreUnavailable(what, where=where, why=why, overload=status in (429, 503), temporary=status != 501)


def _status(error: BaseException) -> int:
    """The HTTP status, under one of the names that libraries have for it; 0 for none."""
    for name in ("status_code", "status", "code"):
        found = getattr(error, name, None)
        if isinstance(found, int | str) and str(found).isdigit():
            return int(found)
    return 0
