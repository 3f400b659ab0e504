"""The keys for the object store: whether there are any, and how long they last."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..job import CredentialsProvider
from ..reporting.language import Words
from .findings import Finding, ok, warning

_SOON = 15 * 60.0  # seconds; a fetch of some size takes as long


def check(keys: CredentialsProvider, *, needed: bool) -> Sequence[Finding]:
    """Raises :class:`CredentialsMissing`, :class:`CredentialsExpired` and what their place says."""
    if not needed:
        return [ok("keys", "no keys needed: everything is local", "无需密钥：全部在本地")]
    found = keys()
    if found.expires is None:
        kind = ("temporary", "临时") if found.token else ("permanent", "永久")
        return [ok("keys", f"{kind[0]} keys from {found.source}", f"{kind[1]}密钥，来自 {found.source}")]
    left = found.expires.timestamp() - time.time()
    told = f"{left / 60:.0f}"
    if left < _SOON:
        return [
            warning(
                "keys",
                Words(
                    f"the keys from {found.source} end in {told} min",
                    f"来自 {found.source} 的密钥将在 {told} 分钟后失效",
                ),
                Words("give keys that live longer, or a source that is renewed", "换用有效期更长或会自动更新的密钥"),
            )
        ]
    return [ok("keys", f"keys from {found.source}, good for {told} min", f"密钥来自 {found.source}，{told} 分钟内有效")]
