"""From all places where keys may be to one provider of the newest ones.

The places, in the order in which they count:

1. ``BOOTSTRAP_ACCESS_KEY_ID`` and its kin, then the profile file that an option names;
2. the variables of :mod:`.names`; the plaintext of ``DLS_AES__NAME`` or ``BOOTSTRAP_SECRET__NAME`` stands for ``NAME``;
3. the profile files that the platform renews (``AWS_SHARED_CREDENTIALS_FILE``, ``CREDENTIAL_PROFILES_FILE``);
4. secret files: any of the variables with ``_FILE`` behind it, then files named like them in the secrets directory;
5. the cloud's metadata service, only by choice;
6. boto3's own chain.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import CredentialsExpired, CredentialsMissing, KeysUnavailable, SecretUnreadable
from ..job import Credentials, Log
from ..masking.registry import Secrets

if TYPE_CHECKING:
    from .places import Place

SECRETS_DIR = "/run/secrets"
"""Where Docker, Swarm and Podman mount secrets."""


GENERATIONS = 8
"""How many of the keys that were replaced are masked still, whether they have ended or not."""


def find(
    environ: Mapping[str, str],
    *,
    secrets: Secrets,
    log: Log,
    decrypted: Mapping[str, str] | None = None,
    credentials_file: str = "",
    profile: str = "",
    secrets_dir: str = SECRETS_DIR,
    metadata_url: str = "",
) -> Keyring:
    """A provider of the newest keys. Nothing is read before it is first called.

    ``decrypted`` holds plaintexts by name (:func:`.decrypt.decrypt_environment`). ``metadata_url`` is empty for not
    asking the metadata service (:data:`.metadata.DEFAULT_URL` is where clouds have it).
    """
    profile = profile or environ.get("AWS_PROFILE") or "default"

    def places() -> Iterator[Place]:
        from .files import SecretFiles  # with all the places: a job whose places are all local never looks at one
        from .names import OURS, PROFILE_FILES, THEIRS
        from .places import boto_chain, file_variables, metadata_service, profile_file, secrets_directory, variables

        files = SecretFiles(secrets, log)
        yield variables(OURS, environ, decrypted or {}, files)
        if credentials_file:
            yield profile_file("--credentials-file", credentials_file, profile, files)
        for family in THEIRS:
            yield variables(family, environ, decrypted or {}, files)
        for name in PROFILE_FILES:
            if environ.get(name):
                yield profile_file(name, environ[name], profile, files)
        yield file_variables(environ, files)
        yield secrets_directory(secrets_dir, files)
        if metadata_url:
            yield metadata_service(metadata_url, files)
        yield boto_chain(files, metadata=bool(metadata_url))

    return Keyring(lambda: tuple(places()), secrets, log)


class Keyring:
    """A :class:`~bootstrap.job.CredentialsProvider` over all places; safe to call from several threads.

    Every call reads the places again, so that keys which somebody renews are found. Keys that have ended are passed
    over for those of a later place. ``places`` is asked once, with the first call.
    """

    def __init__(self, places: Callable[[], tuple[Place, ...]], secrets: Secrets, log: Log) -> None:
        self._find_places = places
        self._secrets = secrets
        self._log = log
        self._lock = threading.Lock()
        self._rejected: set[tuple[str, str, str]] = set()
        self._current: Credentials | None = None
        self._kept_on: Credentials | None = None  # keys of which it was said that nothing newer can be read
        self._former: list[Credentials] = []

    def __call__(self) -> Credentials:
        """The newest keys.

        :raises CredentialsMissing: there are none; names every place looked at
        :raises CredentialsExpired: there are some, and all have ended
        :raises SecretUnreadable: there are none, and a place that may have them cannot be read
        :raises KeysUnavailable: there are none, and a service that may have them does not answer now
        """
        with self._lock:
            before = self._current
            try:
                self._current = self._read()
            except (CredentialsExpired, CredentialsMissing, SecretUnreadable) as error:
                if before is None or self._has_ended(before):
                    raise
                # A place that is being rewritten, or has hiccups: the keys in hand are still good. Said once, since in
                # their last minute every request asks.
                if self._kept_on is not before:
                    self._log.warning("keys could not be read again; those in hand still last", why=str(error))
                    self._kept_on = before
                return before
            if before is None:
                self._announce("object store keys found", self._current)
                self._compare(self._current)
            elif before.identity != self._current.identity:
                self._announce("object store keys renewed", self._current)
                self._former.append(before)
                self._forget_the_oldest(self._current)
            return self._current

    @cached_property
    def _places(self) -> tuple[Place, ...]:
        return self._find_places()

    def values(self) -> set[str]:
        """The parts of all keys that were handed out, whatever their place. Reads nothing."""
        with self._lock:
            known = [*self._former, *([self._current] if self._current else [])]
        return {part for one in known for part in one.identity if part}

    def rejected(self, credentials: Credentials) -> None:
        """The store says that these have ended: they are not handed out again, whatever their place says of them."""
        with self._lock:
            self._rejected.add(credentials.identity)

    def _read(self) -> Credentials:
        odd: list[str] = []
        ended: list[Credentials] = []
        broken: list[SecretUnreadable] = []
        for place in self._places:
            try:
                found = place.read()
            except SecretUnreadable as error:
                broken.append(error)
                continue
            if isinstance(found, str):
                odd += [found] if found else []
            elif self._has_ended(found):
                ended.append(found)
            else:
                if self._current is None:
                    for text in [*odd, *(f"{error.what} ({error.where}): {error.why}" for error in broken)]:
                        self._log.warning(text, used_instead=found.source)
                return found
        if ended:
            raise _expired(ended[0])
        if broken:
            told = next((error for error in broken if isinstance(error, KeysUnavailable)), broken[0])
            told.why = "; ".join([told.why, *odd])
            raise told
        looked = "; ".join(place.name for place in self._places)
        raise CredentialsMissing(
            "there is no access key for the object store",
            why=f"{'; '.join(odd)} (looked at: {looked})" if odd else f"nothing in any of the places: {looked}",
        )

    def _has_ended(self, credentials: Credentials) -> bool:
        from .expiry import seconds_left

        left = seconds_left(credentials)
        return credentials.identity in self._rejected or (left is not None and left <= 0)

    def _forget_the_oldest(self, current: Credentials) -> None:
        """Keys renewed every few minutes for weeks would make masking slow; those that ended are harmless."""
        while len(self._former) > GENERATIONS and self._former[0].token and self._has_ended(self._former[0]):
            dead = self._former.pop(0)
            self._secrets.forget(set(dead.identity).difference(*(one.identity for one in (current, *self._former))))

    def _announce(self, event: str, credentials: Credentials) -> None:
        ends = credentials.expires.isoformat(timespec="seconds") if credentials.expires else "unknown"
        self._log.info(event, source=credentials.source, **({"ends": ends} if credentials.token else {}))

    def _compare(self, used: Credentials) -> None:
        """Say it when another place holds other keys: the usual reason for keys that should work and do not."""
        for place in self._places:
            if not place.cheap:
                continue
            try:
                other = place.read()
            except SecretUnreadable:  # it is not needed
                continue
            if isinstance(other, Credentials) and (other.access_key, other.secret_key) != (
                used.access_key,
                used.secret_key,
            ):
                self._log.warning("two places hold different keys", used=used.source, ignored=other.source)


def _expired(credentials: Credentials) -> CredentialsExpired:
    ends = credentials.expires
    return CredentialsExpired(
        "the temporary keys have ended and nothing newer is there",
        where=credentials.source,
        why=f"they ended at {ends.isoformat(timespec='seconds')}" if ends else "the store does not take them any more",
    )
