"""The credentials in use, read again from their source before they end. One holder for every client of a bucket."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

from ...errors import CredentialsExpired
from ...job import Credentials, CredentialsProvider

MARGIN = 60.0
"""Seconds before their end from which credentials are too old to begin something with."""


class Keys:
    """Calls ``provider`` at once, and again when what it gave is about to end or was refused.

    A provider that has a method ``rejected`` is told of keys that worked and then did not any more, so that it can
    look in its next place.
    """

    def __init__(self, provider: CredentialsProvider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._now = usable(provider())
        self._accepted: tuple[str, str, str] | None = None

    def current(self) -> Credentials:
        """Credentials that have not ended. Raises :class:`CredentialsExpired`."""
        with self._lock:
            if remaining(self._now) < MARGIN:
                self._now = usable(self._provider())
            return self._now

    def accepted(self, credentials: Credentials) -> None:
        """The store took these."""
        self._accepted = credentials.identity

    def renewed(self, refused: Credentials) -> bool:
        """Whether there are others by now than those that the store ``refused`` (a file that was rotated).

        Raises what the provider raises when it has none but those.
        """
        with self._lock:
            if self._now.identity == refused.identity:
                rejected = getattr(self._provider, "rejected", None)
                if rejected is not None and self._accepted == refused.identity:
                    rejected(refused)
                self._now = usable(self._provider())
            return self._now.identity != refused.identity


def remaining(credentials: Credentials) -> float:
    """Seconds until ``credentials`` end; infinite for permanent ones."""
    if credentials.expires is None:
        return float("inf")
    return (credentials.expires - datetime.now(timezone.utc)).total_seconds()


def usable(credentials: Credentials) -> Credentials:
    """``credentials``, if they have not ended. Raises :class:`CredentialsExpired`."""
    if remaining(credentials) <= 0:
        assert credentials.expires is not None
        why = f"at {credentials.expires.isoformat()}"
        raise CredentialsExpired("the credentials have ended", where=credentials.source, why=why)
    return credentials
