"""By what each object of a transfer is verified: how much of it, and what is left unverified and said so.

``auto`` does what costs little: MD5s that are ETags, and from four cores on what a store tells of uploads in parts, or
what is most probably meant by their ETags. ``always`` does all that can be done. ``size`` compares sizes.
A SHA-256 that somebody has announced is always compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from ....errors import StoreUnavailable
from ....ground.machine import cores
from ...model.store import Entry, Store, Verify
from . import checks
from .checks import DigestCheck, is_of
from .running_digest import RunningDigest

_MANY_CORES = 4
"""From so many on there is one to spare. On two, with the server beside us, digests make a fetch longer."""


class Differs(StoreUnavailable):
    """A body is not the object's."""

    def __init__(self, what: str, **told: Any) -> None:
        super().__init__(what, **{**told, "temporary": False})  # has tries of its own


class Verifier:
    """Of one transfer from ``store``. Its methods may be called from several threads."""

    def __init__(self, store: Store, mode: Verify = "auto") -> None:
        self.hashes = mode != "size"
        """Whether digests are compared that nobody has asked for."""
        self.spare = self.hashes and cores.usable() >= _MANY_CORES
        """Whether there is a core for more of them."""
        self.asks = mode == "always" or self.spare
        """Whether there may be more to compare than :meth:`at_once` knows of."""
        self.lacking: set[str] = set()
        """Kinds of checksums that the store tells of and nothing here computes."""
        self._tells_more = store.tells_more
        self._always = mode == "always"

    def at_once(self, entry: Entry) -> DigestCheck | None:
        """What is known of the object without asking anybody."""
        if entry.sha256:
            return DigestCheck("sha256", entry.sha256, entry.etag)
        return DigestCheck("md5", entry.md5, entry.etag) if entry.md5 and self.hashes else None

    def more(self, entry: Entry, *, large: bool) -> list[DigestCheck]:
        """What else it can be checked by, where :meth:`at_once` knows nothing: one that is certain, or guesses, of
        which one is to fit. May ask the store.
        """
        if not self.asks:
            return []
        if self._tells_more is not None and (large or self._always):
            found = self._tells_more(entry)
            certain = checks.told(entry, found)
            if certain is not None:
                return [certain]
            self.lacking.update(kind for kind in found.checksums if checks.needs_awscrt(kind))
        guesses = checks.guessed(entry)
        return guesses if self._always else guesses[:1]

    def verified(self, entry: Entry, found: Entry, md5: str, read: Callable[[int, int], bytes], *, large: bool) -> str:
        """By what an object is verified that is here as it was ``found``: the name of a digest, or "size". ``md5`` is
        of its bytes, where that is known, and fits an ETag that is one. Raises :class:`Differs` for other bytes.
        """
        if entry.sha256:
            return "sha256"
        if found.md5 and md5:
            return "md5"
        if self.hashes and md5 and found.etag == f"{hashlib.md5(bytes.fromhex(md5)).hexdigest()}-1":
            return "md5 of parts"
        if found.md5 or not found.size:
            return "size"
        for check in self.more(found, large=large):
            if not is_of(check, found):
                continue
            if self.fits(check, found.size, read, several=large):
                return check.name
            if check.certain:
                raise wrong(entry.key, check)
        return "size"

    @staticmethod
    def fits(check: DigestCheck, size: int, read: Callable[[int, int], bytes], *, several: bool) -> bool:
        """Whether the bytes of a file that is here are those; with the help of ``several`` threads."""
        running = RunningDigest(lambda: check, size, lambda at: size, read)
        if several:
            running.arrived()
        return running.result()[1]


def wrong(key: str, check: DigestCheck) -> Differs:
    """For bytes that are not those which the store tells of."""
    why = f"their {check.name} is another than {check.digest}, which the store tells"
    return Differs("the bytes that came are not the object's", where=key, why=why)
