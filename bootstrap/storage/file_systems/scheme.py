"""``gs://``, ``az://``, ``abfs://``, ``oss://``, ``sftp://``, ``hdfs://``, and what else some of them are called: each
with the package that brings it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...errors import SupportMissing, UrlInvalid
from ...ground.patterns import pattern
from ..model.scheme import Scheme, StoreContext
from ..model.url import LONGEST_KEY, Location, bucket_location, check_unsigned, shown
from .file_system import FileSystem

if TYPE_CHECKING:
    from ..model.store import Store

_AUTHORITY = pattern(r"(?:(?P<user>[A-Za-z0-9._-]+)@)?(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d+))?")
_CONTAINER = pattern(r"[A-Za-z0-9$][A-Za-z0-9-]{1,62}(?:@[A-Za-z0-9.-]+)?")
_OSS_KEYS = (
    ("endpoint", ("OSS_ENDPOINT",)),
    ("key", ("OSS_ACCESS_KEY_ID",)),
    ("secret", ("OSS_ACCESS_KEY_SECRET",)),
    ("token", ("OSS_SESSION_TOKEN", "OSS_SECURITY_TOKEN")),
)
"""Variables of Alibaba's SDKs."""

_AZURE_SECRETS = (
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_PASSWORD",
    "AZURE_FEDERATED_TOKEN_FILE",
    "FSSPEC_AZ_CONNECTION_STRING",
    "FSSPEC_AZ_ACCOUNT_KEY",
    "FSSPEC_AZ_SAS_TOKEN",
)
"""Variables of adlfs, of Azure's command line and of its SDK for identities."""


def scheme(
    name: str,
    package: str,
    extra: str,
    kind: FileSystem,
    *,
    parse: Callable[[str, str], Location],
    example: str,
    secrets: tuple[str, ...] = (),
) -> Scheme:
    """A row of the table: ``extra`` of ours brings ``package``."""

    def opened(location: Location, context: StoreContext) -> Store:
        from .store import FileSystemStore  # which loads fsspec

        return FileSystemStore(location, kind, context.surroundings)

    def ready() -> None:
        absent = [module for module in ("fsspec", package) if find_spec(module) is None]
        if absent:
            remedy = (
                f"install our wheel with its extra: pip install 'modelarts_bootstrap-VERSION-py3-none-any.whl[{extra}]'"
            )
            if name in ("gs", "gcs", "oss"):
                remedy += (
                    ", or write s3://bucket/key and put the store's address into S3_ENDPOINT: it speaks S3 as well"
                )
            why = f"{sys.executable}, which runs the bootstrap, does not have it"
            raise SupportMissing(f"{name}:// needs the Python package {absent[-1]}", where=name, why=why, remedy=remedy)

    def read(text: str, rest: str) -> Location:
        check_unsigned(text, rest)
        if not rest.startswith("//"):
            raise UrlInvalid(f"{name}: needs two slashes", where=shown(text))
        return parse(text, rest[2:])

    return Scheme(name, example, read, opened, needs_keys=False, secrets=secrets, ready=ready)


def _in_bucket(name: str) -> Callable[[str, str], Location]:
    def parse(text: str, rest: str) -> Location:
        return bucket_location(name, text, rest)

    return parse


def _in_container(name: str) -> Callable[[str, str], Location]:
    """``az://container/key``, and ``abfs://container@account.dfs.core.windows.net/key``."""

    def parse(text: str, rest: str) -> Location:
        container, _, key = rest.partition("/")
        if not _CONTAINER.fullmatch(container):
            at = "@account.dfs.core.windows.net" if name.startswith("abfs") else ""
            raise UrlInvalid(
                "not a container",
                where=shown(text),
                why="its name has 3 to 63 small letters, digits and dashes",
                remedy=f"write {name}://container{at}/prefix/",
            )
        if len(key.encode("utf-8", "surrogateescape")) > LONGEST_KEY:
            raise UrlInvalid("a key that is too long", where=shown(text)[:120] + "...")
        return Location(name, key, container, title=container.partition("@")[0])

    return parse


def _on_host(name: str, default: str = "") -> Callable[[str, str], Location]:
    """An absolute path on a server; without one, on the ``default``."""

    def parse(text: str, rest: str) -> Location:
        authority, slash, path = rest.partition("/")
        if not slash or ((authority or not default) and not _AUTHORITY.fullmatch(authority)):
            why = "a password in a URL ends up in logs and process lists" if ":" in authority.rpartition("@")[0] else ""
            remedy = f"write {name}://user@host:port/absolute/path"
            raise UrlInvalid("not a path on a server", where=shown(text), why=why, remedy=remedy)
        return Location(name, path, authority or default, title=authority.rpartition("@")[2] or default)

    return parse


def _server(location: Location, environ: Mapping[str, str]) -> dict[str, Any]:
    found = _AUTHORITY.fullmatch(location.bucket)
    assert found is not None  # as it was parsed
    user = {"username": found["user"]} if found["user"] else {}
    return {"host": found["host"].strip("[]"), "port": int(found["port"] or 22), **user}


def _namenode(location: Location, environ: Mapping[str, str]) -> dict[str, Any]:
    found = _AUTHORITY.fullmatch(location.bucket)
    assert found is not None
    user = {"user": found["user"]} if found["user"] else {}
    return {"host": found["host"], "port": int(found["port"] or 0), **user}


def _account(location: Location, environ: Mapping[str, str]) -> dict[str, Any]:
    """The account that the URL names; the rest adlfs reads from ``AZURE_STORAGE_...`` itself."""
    account = location.bucket.partition("@")[2].partition(".")[0]
    return {"account_name": account} if account else {}


def _oss(location: Location, environ: Mapping[str, str]) -> dict[str, Any]:
    found = {field: next((environ[one] for one in names if environ.get(one)), "") for field, names in _OSS_KEYS}
    return {field: value for field, value in found.items() if value}


def _sftp() -> Any:
    from .sftp import KnownHostsOnly

    return KnownHostsOnly


def _google(name: str) -> Scheme:
    return scheme(
        name,
        "gcsfs",
        "gcs",
        FileSystem("gs"),
        parse=_in_bucket(name),
        example=f"{name}://bucket/prefix/",
        secrets=("GOOGLE_APPLICATION_CREDENTIALS", "FSSPEC_GS_TOKEN", "FSSPEC_GCS_TOKEN"),
    )


def _azure(name: str) -> Scheme:
    return scheme(
        name,
        "adlfs",
        "azure",
        FileSystem("abfs", _account),
        parse=_in_container(name),
        example=f"{name}://container/prefix/",
        secrets=_AZURE_SECRETS,
    )


GS, GCS = _google("gs"), _google("gcs")  # the latter is fsspec's own name
AZ, ABFS, ABFSS = _azure("az"), _azure("abfs"), _azure("abfss")  # the last is what Azure's portal shows
OSS = scheme(
    "oss",
    "ossfs",
    "oss",
    FileSystem("oss", _oss),
    parse=_in_bucket("oss"),
    example="oss://bucket/prefix/",
    secrets=(
        *(name for field, names in _OSS_KEYS if field != "endpoint" for name in names),
        "FSSPEC_OSS_KEY",
        "FSSPEC_OSS_SECRET",
        "FSSPEC_OSS_TOKEN",
    ),
)
SFTP = scheme(
    "sftp",
    "paramiko",
    "sftp",
    FileSystem("sftp", _server, has_buckets=False, own=_sftp),
    parse=_on_host("sftp"),
    example="sftp://user@host/path/",
    secrets=("FSSPEC_SFTP_PASSWORD", "FSSPEC_SFTP_PASSPHRASE", "SSH_AUTH_SOCK"),
)
HDFS = scheme(
    "hdfs",
    "pyarrow",
    "hdfs",
    FileSystem("hdfs", _namenode, has_buckets=False),
    parse=_on_host("hdfs", "default"),
    example="hdfs://namenode/path/",
    secrets=("KRB5CCNAME", "HADOOP_TOKEN_FILE_LOCATION"),
)
