"""The way to the stores: keys found, endpoint read, as settings and environment say. For jobs and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .credentials.find import Keyring, find
from .credentials.registry import Secrets
from .job import Endpoint, Log
from .settings import Settings
from .storage.endpoint import endpoint_from
from .storage.open import Stores


def open_stores(
    environ: Mapping[str, str], chosen: Settings, *, decrypted: Mapping[str, str], secrets: Secrets, log: Log
) -> tuple[Keyring, Stores]:
    """The keys and the stores. No key is read and no endpoint needed before a remote store is really opened.

    ``decrypted`` are plaintexts by the names of their variables. What is read is registered in ``secrets``.
    """
    keyring = find(
        environ,
        secrets=secrets,
        log=log,
        decrypted=decrypted,
        credentials_file=chosen.credentials_file,
        profile=chosen.credentials_profile,
        secrets_dir=chosen.secrets_dir,
        metadata_url=chosen.metadata_url,
    )
    said = {"S3_ENDPOINT": chosen.endpoint, "S3_REGION": chosen.region}
    wanted = {**environ, **decrypted, **{name: value for name, value in said.items() if value}}

    def endpoint() -> Endpoint:
        return replace(endpoint_from(wanted, addressing=chosen.addressing), patience=chosen.store_timeout)

    return keyring, Stores(endpoint, keyring, log)
