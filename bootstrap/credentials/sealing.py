"""Our own open way to encrypt a variable: AES-256-GCM, for those who have none of the platform's closed tools.

A sealed text is ``v1:`` and the URL-safe base64 of nonce (12 bytes), ciphertext and tag (16 bytes). The variable's name
is bound as associated data, so that a sealed text moved to another name does not open. The key is 32 bytes in base64,
in a file of its own that is mounted and never part of the image.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from typing import TYPE_CHECKING

from ..errors import PathUnusable, SecretUnreadable
from .hardening import loose_permissions

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = "v1:"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Seal:
    """Opens and makes sealed texts with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = _aesgcm()(key)

    @classmethod
    def from_file(cls, path: str) -> Seal:
        """:raises SecretUnreadable: no such file, no permission, not a key; or ``cryptography`` is not installed"""
        _aesgcm()
        try:
            with open(path, "rb") as file:
                key = base64.b64decode(file.read(1024).strip(), altchars=b"-_", validate=True)
        except OSError as error:
            raise SecretUnreadable("the key file cannot be read", where=path, why=str(error.strerror)) from None
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            raise SecretUnreadable(
                "the key file does not hold a key",
                where=path,
                why=f"it is not the base64 of {_KEY_BYTES} bytes",
                remedy="use the file that `bootstrap secrets keygen FILE` made",
            )
        return cls(key)

    def close(self, name: str, plain: str) -> str:
        """The sealed text of ``plain`` for the variable ``name``."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, os.fsencode(plain), name.encode())
        return _VERSION + base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, name: str, sealed: str) -> str:
        """The plaintext of the variable ``name``. :raises SecretUnreadable: cut, altered, of another key or name"""
        import cryptography.exceptions

        data = self._data(name, sealed.strip())
        try:
            plain = self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], name.encode())
        except cryptography.exceptions.InvalidTag:
            raise SecretUnreadable(
                "an encrypted variable cannot be decrypted",
                where=name,
                why="the key is another one, or the text was cut, changed, or made for another variable's name",
                remedy=f"encrypt it again: bootstrap secrets encrypt {name}",
            ) from None
        return os.fsdecode(plain)

    @staticmethod
    def _data(name: str, sealed: str) -> bytes:
        """The bytes of a sealed text, checked as far as that can be done without the key."""
        why = ""
        data = b""
        if not sealed.startswith(_VERSION):
            why = f"it does not begin with {_VERSION}"
        elif not re.fullmatch(r"[A-Za-z0-9_-]*={0,2}", sealed[len(_VERSION) :]) or len(sealed[len(_VERSION) :]) % 4:
            why = "it is not whole: its base64 ends in the middle or has foreign characters"
        else:
            data = base64.urlsafe_b64decode(sealed[len(_VERSION) :])
            if len(data) < _NONCE_BYTES + _TAG_BYTES:
                why = "it is not whole: it is shorter than an empty secret"
        if why:
            raise SecretUnreadable("an encrypted variable is not a sealed text", where=name, why=why)
        return data


def generate_key(path: str) -> None:
    """Write a new key to ``path``, open to its owner alone. :raises PathUnusable: it exists, or cannot be written"""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise PathUnusable(
            "the key file exists already",
            where=path,
            why="a key that is overwritten takes everything sealed with it along",
            remedy="choose another name",
        ) from None
    except OSError as error:
        raise PathUnusable("the key file cannot be written", where=path, why=str(error.strerror)) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)) + b"\n")


def key_file_warning(path: str) -> str:
    """What is wrong with the key file's mode, or ""."""
    return loose_permissions(path)


def _aesgcm() -> type[AESGCM]:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise SecretUnreadable(
            "variables of the form BOOTSTRAP_SECRET__NAME need the package cryptography",
            why="it is not installed in the bootstrap's own Python",
            remedy="pip install 'cryptography>=42' where bootstrap is installed; the runtime /opt/bootstrap has it",
        ) from None
    return AESGCM
