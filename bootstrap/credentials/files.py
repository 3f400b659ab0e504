"""Secrets in files: single values (Docker, Kubernetes), and profile files that the platform rewrites while we run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import SecretUnreadable
from ..job import Log
from ..masking.registry import Secrets
from .hardening import loose_permissions
from .names import is_secret_part

LARGEST = 1 << 20
"""Bytes. A file larger than this is no secret, and a device that never ends must not fill our memory."""

REWRITE_WINDOW = 1.0
"""Seconds that a file in the middle of being rewritten in place is given to become whole."""


class SecretFiles:
    """Reads files that hold secrets, and reports loose permissions once a file."""

    def __init__(self, secrets: Secrets, log: Log) -> None:
        self._secrets = secrets
        self._log = log
        self._seen: set[str] = set()

    def register(self, name: str, value: str) -> str:
        """Note ``value`` as a secret before anything else is done with it; returns it."""
        if not is_secret_part(name):
            return value
        if warning := self._secrets.add(name, value):
            self._log.warning(warning)
        return value

    def value(self, name: str, path: str) -> str:
        """The one value that a file holds, without the white space around it. :raises SecretUnreadable:"""
        return self.register(name, self._text(name, path).strip())

    def profile(self, name: str, path: str, profile: str) -> dict[str, str]:
        """The settings of one profile of an INI file, keys in lower case; {} when it has no such profile.

        A profile whose lines are not whole is read again for a moment: the platform's agent may be writing it.

        :raises SecretUnreadable: no such file, no permission, not an INI file
        """
        import configparser

        until = time.monotonic() + REWRITE_WINDOW
        while True:
            try:
                return self._profile(name, path, profile)
            except configparser.Error as error:
                if time.monotonic() >= until:
                    # Not the error's own words: they quote the line, and the line may be the key.
                    raise SecretUnreadable(
                        "the credentials file is not in the INI form of profiles",
                        where=f"{name}: {path}",
                        why=type(error).__name__,
                        remedy="write it as [default], aws_access_key_id = ..., aws_secret_access_key = ...",
                    ) from None
                time.sleep(0.05)

    def _profile(self, name: str, path: str, profile: str) -> dict[str, str]:
        import configparser

        parser = configparser.RawConfigParser(default_section="\0", strict=False)
        parser.read_string(self._text(name, path))
        for section in (profile, f"profile {profile}"):
            if parser.has_section(section):
                return {key: value.strip() for key, value in parser.items(section)}
        return {}

    def _text(self, name: str, path: str) -> str:
        if path not in self._seen:
            self._seen.add(path)
            if warning := loose_permissions(path):
                self._log.warning(warning)
        try:
            with open(path, "rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            raise SecretUnreadable(
                "a secret file cannot be read",
                where=f"{name}: {path}",
                why=f"{error.strerror} (we run as uid {os.geteuid()})",
                remedy="check the path, and that it is mounted readable for this uid",
            ) from None
        if len(content) > LARGEST:
            raise SecretUnreadable("a secret file is larger than any secret", where=f"{name}: {path}", why="over 1 MiB")
        return os.fsdecode(content)


def unchanged_while(read: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Values of files that belong together: read until two readings agree, so that no rotation splits a pair."""
    values = read()
    until = time.monotonic() + REWRITE_WINDOW
    while (again := read()) != values and time.monotonic() < until:
        values = again
    return again


def real_directory(path: str) -> str:
    """Where a mounted directory's files are now. Kubernetes renews them all at once by turning the link ``..data``."""
    current = Path(path, "..data")
    return str(current.resolve()) if current.is_symlink() else path
