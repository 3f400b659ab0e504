"""Our keys in the place where botocore looks for its own, so that each request is signed with the newest."""

from __future__ import annotations

import botocore.credentials

from bootstrap.storage.keys import Keys


class KeySource(botocore.credentials.CredentialProvider):
    """Our credentials in the place where botocore looks for its own."""

    METHOD = "bootstrap"

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self._keys = keys

    def load(self) -> botocore.credentials.Credentials:
        return _Current(self._keys)


class _Current(botocore.credentials.Credentials):
    """The newest credentials at each request. botocore's own renewal begins too early for tokens of some minutes."""

    def __init__(self, keys: Keys) -> None:
        now = keys.current()
        super().__init__(now.access_key, now.secret_key, now.token or None, KeySource.METHOD)
        self._keys = keys

    def get_frozen_credentials(self) -> botocore.credentials.ReadOnlyCredentials:
        now = self._keys.current()
        return botocore.credentials.ReadOnlyCredentials(now.access_key, now.secret_key, now.token or None)
