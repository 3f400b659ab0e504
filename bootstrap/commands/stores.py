"""The stores for commands outside a job: with the keys and the settings that ``bootstrap run`` would use here."""

from __future__ import annotations

from collections.abc import Mapping

from .. import settings
from ..credentials.decrypt import decrypt_environment
from ..credentials.find import find
from ..credentials.registry import Secrets, register_environment
from ..job import Log
from ..storage.endpoint import endpoint_from
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
    said = {"S3_ENDPOINT": chosen.endpoint, "S3_REGION": chosen.region}
    wanted = {**environ, **decrypted, **{name: value for name, value in said.items() if value}}
    keys = find(environ, secrets=secrets, log=log, decrypted=decrypted)
    return Stores(lambda: endpoint_from(wanted, addressing=chosen.addressing), keys, log)
