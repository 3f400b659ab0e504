"""The stores for commands outside a job: with the keys and the settings that ``bootstrap run`` would use here."""

from __future__ import annotations

from collections.abc import Mapping

from .. import access, settings
from ..credentials.decrypt import decrypt_environment
from ..credentials.hardening import harden
from ..credentials.registry import Secrets, register_environment
from ..job import Log
from ..storage.open import Stores


def open_stores(environ: Mapping[str, str], secrets: Secrets, log: Log, **options: str) -> Stores:
    """Nothing is opened and no key is read before a store is used. What is read is registered in ``secrets``; from here
    on this process is closed to others of its user, as far as the kernel allows it.

    Raises :class:`SecretUnreadable` for an encrypted variable that cannot be decrypted, :class:`UsageError` for a
    setting that cannot be used.
    """
    chosen = settings.resolve(options, environ, {}).settings
    harden()
    register_environment(environ, secrets)
    decrypted = decrypt_environment(environ, secrets, log)
    return access.open_stores(environ, chosen, decrypted=decrypted, secrets=secrets, log=log)[1]
