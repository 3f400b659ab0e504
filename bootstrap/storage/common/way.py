"""The way to a server on the network: the proxy that the environment names, and whom TLS trusts."""

from __future__ import annotations

import ipaddress
import os
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import EndpointWrong

if TYPE_CHECKING:
    import ssl


def host_of(url: str) -> str:
    """The host of ``url`` in lower case, without port and brackets."""
    return urllib.parse.urlsplit(url).hostname or ""


def proxy_for(url: str) -> str:
    """The proxy through which the environment sends requests for ``url``; empty for none.

    ``NO_PROXY`` may hold networks (``127.0.0.0/8``), as most programs know them and Python's own libraries do not.
    """
    scheme = urllib.parse.urlsplit(url).scheme
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    proxy = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if not proxy:
        return ""
    from urllib.request import proxy_bypass  # 10 ms, for those alone who have a proxy

    host = host_of(url)
    if proxy_bypass(urllib.parse.urlsplit(url).netloc) or _in_a_network(host, os.environ):
        return ""
    return proxy


def _in_a_network(host: str, environ: Mapping[str, str]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for text in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(","):
        try:
            if "/" in text and address in ipaddress.ip_network(text.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def without_password(proxy: str) -> str:
    """A proxy's address as messages have it."""
    scheme, divider, rest = proxy.rpartition("://")
    return f"{scheme}{divider}{rest.rpartition('@')[2]}"


def check_authorities(url: str, *, verify: bool, ca_bundle: str) -> None:
    """Raise :class:`EndpointWrong` if the certificates that a server is to be checked by cannot be had: no repetition
    will change that.
    """
    if not (ca_bundle and verify and url.startswith("https:")):
        return
    import ssl  # for those alone who need it

    try:
        ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:
        unreadable = not isinstance(error, ssl.SSLError)
        raise EndpointWrong(
            "the certificates to check a server by cannot be had",
            where=ca_bundle,
            why=str(error.strerror) if unreadable else "no certificate in PEM form is in it",
            remedy="AWS_CA_BUNDLE (or REQUESTS_CA_BUNDLE) is to name a file of certificates, or nothing",
        ) from error


def tls_context(*, verify: bool, ca_bundle: str) -> ssl.SSLContext:
    """Raises ``OSError`` for a file of certificates that cannot be read."""
    import ssl  # for those alone who need it

    context = ssl.create_default_context(cafile=authorities(verify=verify, ca_bundle=ca_bundle))
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def authorities(*, verify: bool, ca_bundle: str) -> str | None:
    """The file of whom TLS trusts. None where this machine has certificate authorities; else those that boto3 brings
    along.
    """
    import ssl  # for those alone who need it

    if verify and ca_bundle:
        return ca_bundle
    system = ssl.get_default_verify_paths()
    if system.cafile or (system.capath and os.listdir(system.capath)):
        return None
    from importlib.util import find_spec

    botocore = find_spec("botocore")
    return os.path.join(os.path.dirname(botocore.origin), "cacert.pem") if botocore and botocore.origin else None
