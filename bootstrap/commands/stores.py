"""The stores for commands outside a job: with the keys and the settings that ``bootstrap run`` would use here."""

from __future__ import annotations

from collections.abc import Mapping

from .. import access, settings
from ..credentials.decrypt import decrypt_environment
from ..credentials.registry import Secrets, register_environment
from ..job import Log
from ..storage.open import Stores


def open_stores(environ: Mapping[str, str], log: Log, **options: str) -> Stores:
    """Nothing is opened and no key is read before a store is used.

    Raises :class:`SecretUnreadable` for an encrypted variable that cannot be decrypted, :class:`UsageError` for a
    setting that cannot be used.
    """
    chosen = settings.resolve(options, environ, {}).settings
    secrets = Secrets()
    register_environment(environ, secrets)
    decrypted = decrypt_environment(environ, secrets, log)
    return access.open_stores(environ, chosen, decrypted=decrypted, secrets=secrets, log=log)[1]
