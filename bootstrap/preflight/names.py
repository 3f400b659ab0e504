"""Whether the names that this job dials have addresses: the store's, and the other nodes'."""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import Collection, Sequence

from ..errors import BootstrapError
from ..job import Cluster, Endpoint, StopRequest
from ..network.resolve import resolve_all
from ..reporting.console import Silence
from ..reporting.language import Words
from ..storage.common.way import host_of
from ..storage.s3.endpoint import style_of
from .findings import Finding, Level, of_error, ok, warning

_WAIT = 8.0  # seconds for a name server


def of_store(endpoint: Endpoint, buckets: Collection[str]) -> list[str]:
    """The host names that requests go to: with virtual addressing, each bucket has its own."""
    host = host_of(endpoint.url)
    return [f"{bucket}.{host}" for bucket in sorted(buckets)] if style_of(endpoint) == "virtual" else [host]


def check_store(endpoint: Endpoint, buckets: Collection[str], stop: StopRequest) -> Sequence[Finding]:
    names = of_store(endpoint, buckets)
    scheme = urllib.parse.urlsplit(endpoint.url).scheme
    proxied = scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(names[0])
    try:
        found = resolve_all(names, deadline_s=_WAIT, stop=stop, log=Silence())
    except BootstrapError as error:  # a proxy resolves names for us
        return [of_error("dns-store", error, Level.WARNING if proxied else Level.FAILURE)]
    told = ", ".join(f"{name} is {found[name][0]}" for name in names if name in found)
    return [ok("dns-store", told, told)]


def check_peers(cluster: Cluster, stop: StopRequest) -> Sequence[Finding]:
    """A peer's name may come with its container: that it is not there yet is no failure."""
    names = [node.host for node in cluster.nodes if node.host and not node.address]
    if cluster.size == 1 or not names:
        return []
    try:
        resolve_all(names, deadline_s=_WAIT, stop=stop, log=Silence())
    except BootstrapError as error:
        what = of_error("dns-peers", error).what
        hint = Words(
            "a name may appear once its container runs; --peer-timeout is how long it is waited for",
            "对方容器启动后域名才可能出现；--peer-timeout 为等待时长",
        )
        return [warning("dns-peers", what, hint)]
    return [ok("dns-peers", f"all {len(names)} nodes have addresses", f"{len(names)} 个节点均可解析")]
