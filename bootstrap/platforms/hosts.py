"""From host lists and an index to one :class:`Cluster`: parsing, the global order of roles, and every check.

Platforms differ in where the lists come from; what makes a list believable is the same everywhere and lives here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ..errors import ClusterMismatch, PlatformIncomplete
from ..job import Cluster, Node
from ..values import dataclass

# Who comes first when a job has several roles. Rank 0 must be the node that the others expect to meet: a master or
# chief where there is one (Volcano's pytorch plugin and PAI-DLC count this way too). Roles not named here stand
# after workers, in the alphabet's order and that of their numbers, so that every node sorts alike.
ROLE_ORDER = ("chief", "master", "launcher", "head", "scheduler", "learner", "ps", "worker")


@dataclass(frozen=True, slots=True)
class HostGroup:
    """The hosts of one role in the platform's order, each with its port if one is given, and where they are listed."""

    role: str
    hosts: tuple[tuple[str, int | None], ...]
    source: str


@dataclass(frozen=True, slots=True)
class NodeClaim:
    """What the platform says of this node; any part may be missing.

    ``index`` counts within ``role``, or over all nodes when ``index_is_global``. ``host`` is this node's own entry as
    the platform itself states it (believed); ``names`` are what the container calls itself (a hint only).
    """

    count: int | None = None
    count_source: str = ""
    index: int | None = None
    index_source: str = ""
    index_is_global: bool = False
    role: str = ""
    host: str = ""
    host_source: str = ""
    names: tuple[str, ...] = ()


def split_host(text: str, source: str) -> tuple[str, int | None]:
    """``host``, ``host:port``, ``[v6]:port``, ``[v6]`` or a bare IPv6 address -> name and port.

    Names are taken as they are: the platforms' own documents show hosts that follow no pattern. Raises
    :class:`PlatformIncomplete` naming ``source`` when the port is not one.
    """
    text = text.strip()
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise PlatformIncomplete("a host cannot be read", where=source, why=f"brackets do not match in {text!r}")
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host:
        raise PlatformIncomplete("a host has no name", where=source, why=f"the entry is {text!r}")
    if not port:
        return host, None
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise PlatformIncomplete("a host's port is not a port number", where=source, why=f"the entry is {text!r}")
    return host, int(port)


def split_list(text: str, source: str) -> tuple[tuple[str, int | None], ...]:
    """A list separated by commas or line ends; empty entries (a trailing comma, blank lines) are none."""
    entries = text.replace("\n", ",").split(",")
    return tuple(split_host(entry, source) for entry in entries if entry.strip())


def same_host(one: str, other: str) -> bool:
    """Whether two names mean one host: equal, or one is the other with a domain behind it.

    Whole labels are compared: ``worker-1`` is not ``worker-10``.
    """
    short, long = sorted((one.lower(), other.lower()), key=len)
    return long == short or (long.startswith(f"{short}.") and not short.isdecimal())


def in_order(groups: Iterable[HostGroup]) -> list[HostGroup]:
    """The groups in the global order of their roles, the same on every node."""

    def place(group: HostGroup) -> tuple[int, list[tuple[int, str]]]:
        role = group.role.lower()
        known = ROLE_ORDER.index(role) if role in ROLE_ORDER else len(ROLE_ORDER)
        # numbers as numbers: task-2 stands before task-10
        return known, [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", role)]

    return sorted((group for group in groups if group.hosts), key=place)


def assemble(groups: Sequence[HostGroup], claim: NodeClaim, slots: int) -> tuple[Cluster, list[str]]:
    """The cluster that ``groups`` list and ``claim`` places us in, and warnings about what could not be proven.

    Raises :class:`ClusterMismatch` when counts, duplicates or our own place contradict each other, and
    :class:`PlatformIncomplete` when nothing says which node we are.
    """
    ordered = in_order(groups)
    source = ", ".join(group.source for group in ordered)
    entries = [(group.role, host, port) for group in ordered for host, port in group.hosts]
    _check_count(ordered, claim, source)
    warnings = _check_duplicates([(host, port) for _, host, port in entries], source)
    rank, doubts = _own_rank(ordered, entries, claim, source)
    nodes = tuple(Node(position, host, port, role) for position, (role, host, port) in enumerate(entries))
    return Cluster(nodes=nodes, node_rank=rank, slots=slots, source=source), warnings + doubts


def _check_count(ordered: Sequence[HostGroup], claim: NodeClaim, source: str) -> None:
    if claim.count is None:
        return
    # A job with roles may count all its nodes or those of one role; the documents leave it open, so both are right.
    total = sum(len(group.hosts) for group in ordered)
    if claim.count not in {total, *(len(group.hosts) for group in ordered)}:
        raise ClusterMismatch(
            f"{claim.count_source} says {_nodes(claim.count)}, but the host list has {_nodes(total)}",
            where=source,
            why="hosts: " + ", ".join(host for group in ordered for host, _ in group.hosts),
            remedy=f"make {claim.count_source} and the host list agree",
        )


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _check_duplicates(entries: Sequence[tuple[str, int | None]], source: str) -> list[str]:
    twice = [entry for entry, seen in Counter((host.lower(), port) for host, port in entries).items() if seen > 1]
    if twice:
        names = ", ".join(host if port is None else f"{host}:{port}" for host, port in twice)
        raise ClusterMismatch(
            "a host is listed more than once", where=source, why=names, remedy="every node needs a host of its own"
        )
    shared = [host for host, seen in Counter(host.lower() for host, _ in entries).items() if seen > 1]
    if shared:
        # Parameter server and worker often share a machine: legal, but they share its disk and its cards too.
        return [f"{', '.join(shared)} is listed with several ports: those nodes share one machine"]
    return []


def _own_rank(
    ordered: Sequence[HostGroup], entries: Sequence[tuple[str, str, int | None]], claim: NodeClaim, source: str
) -> tuple[int, list[str]]:
    stated = _stated_rank(entries, claim, source)
    # As with the count, the documents leave open whether the index of a job with roles is one of all its nodes.
    of_all = stated is not None and claim.index == stated
    counted = stated if of_all else _counted_rank(ordered, entries, claim, source)
    if stated is not None and counted is not None and stated != counted:
        raise ClusterMismatch(
            f"{claim.index_source} makes this node number {counted}, but {claim.host_source} is number {stated}",
            where=f"{claim.index_source}={claim.index}, {claim.host_source}={claim.host}",
            why=f"number {counted} of {source} is {entries[counted][1]}",
        )
    named = [rank for rank, (_, host, _) in enumerate(entries) if any(same_host(host, name) for name in claim.names)]
    for rank in (stated, counted):
        if rank is not None:
            return rank, _doubts(rank, named, entries, claim)
    if len(named) == 1:
        return named[0], []
    if len(entries) == 1:
        return 0, []
    raise PlatformIncomplete(
        f"nothing says which of {len(entries)} nodes this one is",
        where=claim.index_source or source,
        why=f"this container is called {' or '.join(claim.names) or '(no name)'}, "
        f"the hosts are {', '.join(host for _, host, _ in entries)}",
        remedy="have the platform set the task index, or run it alone with --platform local",
    )


def _stated_rank(entries: Sequence[tuple[str, str, int | None]], claim: NodeClaim, source: str) -> int | None:
    """Our rank from the entry that the platform itself calls ours."""
    if not claim.host:
        return None
    own_host, own_port = split_host(claim.host, claim.host_source)
    at = [
        rank
        for rank, (_, host, port) in enumerate(entries)
        if same_host(host, own_host) and (port is None or own_port is None or port == own_port)
    ]
    if not at:
        raise ClusterMismatch(
            "this node's own host is not in the host list",
            where=f"{claim.host_source}={claim.host}",
            why=f"{source} lists {', '.join(host for _, host, _ in entries)}",
        )
    return at[0] if len(at) == 1 else None


def _counted_rank(
    ordered: Sequence[HostGroup], entries: Sequence[tuple[str, str, int | None]], claim: NodeClaim, source: str
) -> int | None:
    """Our rank from the index, within our role where there are several."""
    if claim.index is None:
        return None
    first, size = 0, len(entries)
    if len(ordered) > 1 and not claim.index_is_global:
        if not claim.role:
            return None  # an index within a role we do not know: 0 for the master and 0 for the first worker
        for group in ordered:
            if group.role == claim.role:
                size = len(group.hosts)
                break
            first += len(group.hosts)
        else:
            raise ClusterMismatch(
                f"this node's role {claim.role!r} has no hosts",
                where=source,
                why="roles listed: " + ", ".join(group.role for group in ordered),
            )
    if claim.index >= size:
        raise ClusterMismatch(
            f"this node's index {claim.index} is outside the list of {size}",
            where=f"{claim.index_source}={claim.index}",
            why=f"{source} has indexes 0 to {size - 1}",
        )
    return first + claim.index


def _doubts(
    rank: int, named: Sequence[int], entries: Sequence[tuple[str, str, int | None]], claim: NodeClaim
) -> list[str]:
    if len(entries) == 1 or not claim.names or rank in named:
        return []
    name, host = claim.names[0], entries[rank][1]
    if named:
        return [f"this container is called {name}, which is host number {named[0]}, not number {rank} ({host})"]
    return [f"this container is called {name}, which is not in the host list; believed to be number {rank} ({host})"]
