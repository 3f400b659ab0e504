"""The boto3 client of one bucket: told all it needs, deaf to everything else, and led nowhere by an answer.

What OBS and OSS want that differs from S3 is set here: buckets in the host's name, no checksum trailers, signature
version 4 with the region that the endpoint's host names.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.auth
import botocore.config
import botocore.credentials
import botocore.session
import urllib3.exceptions
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, ConstantProvider

from ...job import Endpoint
from ..common.way import proxy_for
from .answers import no_strangers
from .bounded_botocore import bound
from .endpoint import style_of
from .keys import Keys

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

READ_TIMEOUT = 60.0  # seconds
_CONNECT_TIMEOUT = 10.0
_ATTEMPTS = 2  # of botocore itself, for a connection that was closed on us; common/retry.py is for what takes longer
_CONNECTIONS = 64


def connect(endpoint: Endpoint, keys: Keys) -> S3Client:
    """A client that signs each request with the newest of ``keys``. It makes no connection yet."""
    core = botocore.session.Session()
    _be_deaf(core)
    core.get_component("credential_provider").insert_before("env", _KeySource(keys))
    # Signed by botocore also where the AWS CRT is installed, which makes "unknown error" of what reading a body raises.
    botocore.auth.AUTH_TYPE_MAPS["s3v4"] = botocore.auth.S3SigV4Auth
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)  # tells of broken heads with a traceback
    if not endpoint.verify:  # said once by who opened us; urllib3 would say it at every connection
        warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
    client = boto3.session.Session(botocore_session=core).client(
        "s3",
        endpoint_url=endpoint.url,
        region_name=endpoint.region or "us-east-1",  # version 4 signs some region; unnamed ones accept any
        verify=(endpoint.ca_bundle or True) if endpoint.verify else False,
        config=botocore.config.Config(
            signature_version="s3v4",
            s3={"addressing_style": "virtual" if style_of(endpoint) == "virtual" else "path"},
            # OBS and OSS refuse the checksum trailers that botocore 1.36 began to send.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=_CONNECTIONS,
            proxies={urlsplit(endpoint.url).scheme: proxy} if (proxy := proxy_for(endpoint.url)) else {},
        ),
    )
    bound(client)
    client.meta.events.register("before-call.s3", _never_redirected)
    client.meta.events.register("response-received.s3", no_strangers)
    return client


def _be_deaf(core: botocore.session.Session) -> None:
    """Have botocore read no variable and no file of its own: all that it needs is given to it. A profile that is not
    there, a file that cannot be parsed or a mode that does not exist would end every request otherwise.
    """
    settings = core.get_component("config_store")
    for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
        settings.set_config_provider(name, ConstantProvider(default))
    for name in ("config_file", "credentials_file"):
        settings.set_config_provider(name, ConstantProvider(os.devnull))


def _never_redirected(context: dict[str, Any], **_: object) -> None:
    """Tell botocore that it has followed a redirect already, so that it follows none.

    It would ask ``HeadBucket`` for the region, whose own refusal it would follow the same way, without end; and an
    endpoint that was configured is not to be left for another. The refusal itself says what to set.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


class _KeySource(botocore.credentials.CredentialProvider):
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
        super().__init__(now.access_key, now.secret_key, now.token or None, _KeySource.METHOD)
        self._keys = keys

    def get_frozen_credentials(self) -> botocore.credentials.ReadOnlyCredentials:
        now = self._keys.current()
        return botocore.credentials.ReadOnlyCredentials(now.access_key, now.secret_key, now.token or None)
