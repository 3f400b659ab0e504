"""This machine's clock against the object store's: signatures hold for a quarter of an hour around the store's time."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from ..errors import ClockSkewed
from ..job import Endpoint
from ..reporting.language import Words
from .findings import Finding, failure, ok, warning

_REFUSED = 15 * 60.0  # seconds; S3's documentation of RequestTimeTooSkewed, and OBS'
_NOTABLE = 60.0
_TIMEOUT = 10.0


def check(endpoint: Endpoint) -> Sequence[Finding]:
    """Ask the endpoint for its time (the ``Date`` of any answer, a refusal's too).

    Raises :class:`ClockSkewed` when the store would refuse every request.
    """
    began = time.time()
    try:
        date = _date(endpoint)
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            return [
                failure(
                    "clock",
                    Words(f"{endpoint.url}: {error.reason.verify_message}", f"{endpoint.url}：证书无法验证"),
                    Words("set AWS_CA_BUNDLE to the store's certificates", "将 AWS_CA_BUNDLE 指向该存储的证书"),
                )
            ]
        return [_unknown(endpoint, str(error.reason))]
    except OSError as error:
        return [_unknown(endpoint, str(error))]
    if date is None:
        return [_unknown(endpoint, "it tells no time")]
    here = (began + time.time()) / 2
    skew = here - date
    told = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'}"
    chinese = f"本机时钟比存储{'快' if skew > 0 else '慢'} {abs(skew):.0f} 秒"
    if abs(skew) >= _REFUSED:
        raise ClockSkewed(
            "this machine's clock is too far from the store's", where=endpoint.url, why=f"it is {told} it"
        )
    if abs(skew) >= _NOTABLE:
        return [
            warning(
                "clock",
                Words(f"this machine's clock is {told} the store's", chinese),
                Words(
                    "have the node's clock set (NTP): 900 s are refused", "请校准节点时钟（NTP）：相差 900 秒即被拒绝"
                ),
            )
        ]
    return [ok("clock", f"as the store's at {endpoint.url}, within {max(1, round(abs(skew)))} s", chinese)]


def _date(endpoint: Endpoint) -> float | None:
    context = ssl.create_default_context(cafile=endpoint.ca_bundle or None)
    if not endpoint.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(urllib.request.Request(endpoint.url, method="HEAD"), timeout=_TIMEOUT) as answer:
            text = answer.headers.get("Date")
    except urllib.error.HTTPError as refusal:  # nobody has signed anything
        text = refusal.headers.get("Date")
        refusal.close()
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def _unknown(endpoint: Endpoint, why: str) -> Finding:
    what = Words(f"the time of {endpoint.url} is not known: {why}", f"无法得知 {endpoint.url} 的时间：{why}")
    return warning("clock", what, Words("check the endpoint and the network", "检查终端节点与网络"))
