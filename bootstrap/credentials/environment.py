"""The secrets that environment and command line hold already: registered before anything can print them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..ground.json_text import load_json
from ..masking.registry import Secrets, secrets_in_url
from .names import is_secret_name

_LARGEST = 64 << 10  # bytes of a key file
_FIELDS = ("private_key", "private_key_id", "client_secret", "refresh_token")
"""What is secret in Google's key files: of a service account, of a user."""


def register_environment(environ: Mapping[str, str], secrets: Secrets) -> list[str]:
    """Register what the environment holds: variables named like a secret, and credentials inside URLs.

    The command sees these variables and may print them, so they are masked even where we never use them. Returns
    warnings to print.
    """
    warnings = []
    for name, value in environ.items():
        if holds_itself(name, value):
            warnings.append(secrets.add(name, value))
            continue
        if is_secret_name(name):
            warnings += [secrets.add(f"{name} ({field})", found) for field, found in _in_document(value)]
        if name.lower().endswith("_proxy") and "://" not in value:  # curl and others take it without a scheme
            value = f"http://{value}"
        warnings += [secrets.add(f"{name} ({part})", found) for part, found in secrets_in_url(value)]
    return [warning for warning in warnings if warning]


def register_words(words: Iterable[str], secrets: Secrets) -> list[str]:
    """Register the credentials inside URLs of a command line or of options. Returns warnings to print."""
    found = [secrets.add(f"a URL's {part}", value) for word in words for part, value in secrets_in_url(word)]
    return [warning for warning in found if warning]


def holds_itself(name: str, value: str) -> bool:
    """Whether a variable is a secret, and not the name of a file with one."""
    return is_secret_name(name) and not _is_path(value)


def _in_document(path: str) -> list[tuple[str, str]]:
    """The secrets of a file such as ``GOOGLE_APPLICATION_CREDENTIALS`` names: a JSON document."""

    try:
        with open(path, "rb", opener=_plain_file) as file:
            found = load_json(file.read(_LARGEST))
    except (OSError, ValueError):
        return []
    fields = found.items() if isinstance(found, dict) else ()
    return [(name, value) for name, value in fields if name in _FIELDS and isinstance(value, str)]


def _plain_file(path: str, flags: int) -> int:
    """Nothing that a read could wait for."""
    if not os.path.isfile(path):
        raise FileNotFoundError(path)
    return os.open(path, flags | os.O_NONBLOCK)


def _is_path(value: str) -> bool:
    """Variables such as ``SSH_PRIVATE_KEY=/etc/key`` name a file; masking its name would only hide what failed."""
    return value.startswith("/") and Path(value).exists()
