"""The way to the stores: keys found, endpoint read, as settings and environment say. For jobs and for people."""

from __future__ import annotations

from collections.abc import Mapping

from .credentials.find import Keyring, find
from .job import Endpoint, Log
from .masking.registry import Secrets
from .settings import Settings
from .storage.model.scheme import Surroundings
from .storage.open import Stores
from .storage.s3.endpoint import ADDRESSES, endpoint_from
from .values import replace


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
    store = endpoint_from({name: value for name, value in environ.items() if name not in ADDRESSES})
    others = Surroundings({**environ, **decrypted}, chosen.store_timeout, store.verify, store.ca_bundle, secrets.add)
    return keyring, Stores(lambda: endpoint(environ, chosen, decrypted), keyring, log, others, verify=chosen.verify)


def endpoint(environ: Mapping[str, str], chosen: Settings, decrypted: Mapping[str, str]) -> Endpoint:
    """Where the object store is: as the settings say, else as the environment does. Raises :class:`EndpointWrong`."""
    said = {"S3_ENDPOINT": chosen.endpoint, "S3_REGION": chosen.region}
    wanted = {**environ, **decrypted, **{name: value for name, value in said.items() if value}}
    found = endpoint_from(wanted, addressing=chosen.addressing)
    return replace(
        found,
        retry_window=chosen.store_timeout,
        max_objects=chosen.max_objects,
        processes=None if chosen.tls_processes == "auto" else int(chosen.tls_processes),
    )
