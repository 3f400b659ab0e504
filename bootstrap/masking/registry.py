"""The secrets known so far: whoever reads one adds it here at that moment, whoever writes masks all of them.

Only names are ever shown. Which forms of a value are masked (URL-quoted, base64, ...) is the redactor's business;
this is the list it works from.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable
from urllib.parse import unquote

from ..ground.patterns import pattern

SHORTEST = 6
"""Bytes. Masking anything shorter would tear ordinary text (``true``, ``12345``) to pieces."""

# Pre-signed URLs of S3 (both signature versions), OBS and OSS, and the tokens people put in a query.
_SECRET_QUERY = pattern(
    r"(?:x-amz-|x-obs-|x-oss-)?(?:signature|credential|security-token)|(?:aws|oss)?accesskeyid|sig|(?:access_)?token",
    re.IGNORECASE,
)
# & is \u0026 in the JSON that Go writes. A value ends where a shell, a JSON text or a page would end the URL, too.
_QUERY = pattern(r"(?:[?&;]|\\u0026)([^=&#;\s]+)=([^&#;\s\"'`<>()|\\]+)")
# A connection string of Azure's, and a signature that is there without a URL (a SAS token).
_CONNECTION = pattern(r"(?:^|;)\s*(?:Account|SharedAccess)(?:Key|Signature)=([^;]+)", re.IGNORECASE)
_SAS = pattern(r"(?:^|[?&])sig=([^&\s]+)")
_SLASH_FORGOTTEN = pattern(r"\b(obs|s3):/?(?=[^/\s])", re.IGNORECASE)  # it is an error, and quoted as one
_ENDS = pattern(r"[\s\"'`<>()|;,]+")


class Secrets:
    """The register of secrets; safe to use from several threads. ``version`` grows whenever a value is added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}  # value -> the name it was first seen under
        self._too_short: set[str] = set()
        self._values: tuple[str, ...] = ()
        self._version = 0

    @property
    def version(self) -> int:
        return self._version

    def values(self) -> tuple[str, ...]:
        return self._values

    def names(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(set(self._names.values())))

    def add(self, name: str, value: str) -> str:
        """Register ``value``, known as ``name``. Returns a warning to print when it is too short to be masked, else "".

        A value of several lines (a private key, a JSON document) is masked line by line too, since that is how a
        program prints it, and the password in a URL (a database's) by itself. The warning comes once a name.
        """
        whole = value.strip()
        if not whole:
            return ""
        with self._lock:
            if len(os.fsencode(whole)) < SHORTEST:
                if name in self._too_short:
                    return ""
                self._too_short.add(name)
                return f"{name} is shorter than {SHORTEST} bytes and cannot be masked where it is printed"
            pieces = {value, whole, *(line.strip() for line in whole.splitlines())}
            pieces |= {found for _, found in secrets_in_url(whole)}
            pieces |= {form for found in _in_connection(whole) for form in (found, unquote(found))}
            fresh = [piece for piece in pieces if piece not in self._names and len(os.fsencode(piece)) >= SHORTEST]
            if fresh:
                self._names.update(dict.fromkeys(fresh, name))
                # Longest first: a token must not be left half readable because its own beginning is a secret too.
                self._values = tuple(sorted(self._names, key=len, reverse=True))
                self._version += 1
        return ""

    def forget(self, values: Iterable[str]) -> None:
        """Drop values that are secret no longer (tokens that ended): a job of weeks must not drag all of them along."""
        with self._lock:
            for value in values:
                self._names.pop(value, None)
            self._values = tuple(sorted(self._names, key=len, reverse=True))
            self._version += 1

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self.names())})"


def _in_connection(text: str) -> list[str]:
    """The keys in a connection string, and the signature in a SAS token, which may stand in one."""
    parts = [part.strip() for part in _CONNECTION.findall(text)]
    return [*parts, *(signature for part in (text, *parts) for signature in _SAS.findall(part))]


def secrets_in_url(text: str) -> list[tuple[str, str]]:
    """What a URL gives away, as (part, value): userinfo, and the signature, key and token of a pre-signed one.

    ``text`` may hold several (two indexes of pip, a command for a shell). Values come as they stand and, where that
    differs, percent-decoded. A user name counts only over HTTP, where no password goes with it
    (``https://TOKEN@host/``): ``ssh://git@host/`` is no secret.
    """
    text = _SLASH_FORGOTTEN.sub(r"\1://", text)
    if "://" not in text:
        return []
    found: list[tuple[str, str]] = []
    for url in dict.fromkeys((text, *_ENDS.split(text))):  # the whole, too: not everybody quotes a password
        scheme, _, rest = url.partition("://")
        userinfo, at, _ = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")
        user, colon, password = userinfo.partition(":")
        if colon:
            found.append(("password", password))
        elif at and scheme.lower().endswith(("http", "https")) and len(user.split()) == 1:
            found.append(("user", user))
    for name, value in _QUERY.findall(text):
        if _SECRET_QUERY.fullmatch(name):
            # X-Amz-Credential is KEY/date/region/s3/aws4_request: only the key is worth hiding.
            key_only = name.lower().endswith("credential")
            found.append((name, re.split("/|%2[Ff]", value)[0] if key_only else value))
    forms = [(part, form) for part, value in found if value for form in (value, unquote(value))]
    return list(dict.fromkeys(forms))
