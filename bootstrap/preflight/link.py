"""The interface between the nodes, and its link."""

from __future__ import annotations

from collections.abc import Sequence

from ..peers.interface import needed_interface
from ..reporting.language import Words
from ..settings import Resolved
from .findings import Finding, ok, warning

_SLOW = 1000  # Mb/s, at which gradients of any size are what a job waits for


def check(resolved: Resolved, *, several_nodes: bool) -> Sequence[Finding]:
    """The interface that a run would choose. Raises :class:`InterfaceMissing`."""
    found = needed_interface(resolved, several_nodes=several_nodes)
    if found is None:
        return []
    speed = f", {found.speed} Mb/s" if found.speed else ""
    told, chinese = f"{found.name} {found.address}{speed} ({found.reason})", f"{found.name} {found.address}{speed}"
    if several_nodes and found.loopback:
        hint = Words(
            "choose one that the others reach with --interface NAME", "用 --interface NAME 选择其他节点可达的网卡"
        )
        return [warning("interface", Words(f"{told}: no other node reaches it", f"{chinese}：其他节点无法到达"), hint)]
    if "passed over" in found.reason:
        hint = Words("say which one is meant with --interface NAME", "用 --interface NAME 指定网卡")
        return [warning("interface", Words(told, f"{chinese}：有网卡被跳过（{found.reason}）"), hint)]
    if several_nodes and 0 < found.speed <= _SLOW:
        hint = Words("--interface NAME chooses another", "可用 --interface NAME 选择其他网卡")
        return [warning("interface", Words(f"{told}: slow for training", f"{chinese}：训练用偏慢"), hint)]
    return [ok("interface", told, chinese)]
