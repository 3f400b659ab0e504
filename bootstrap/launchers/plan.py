"""What a launcher is told (:class:`Situation`) and what it answers (:class:`Plan`), and what several of them need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..job import Cluster, Node
from ..values import dataclass, field

DEFAULT_PORT = 29500  # torchrun's own

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


class Variable(NamedTuple):
    """One variable for the command, and why it has this value."""

    name: str
    value: str
    why: str


class Removed(NamedTuple):
    """A variable that the engine must not see, and why."""

    name: str
    why: str


class EngineFile(NamedTuple):
    """A file that the engine reads; written before it starts."""

    path: str
    text: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What a launcher knows: the cluster, the command and environment as the user and the platform gave them.

    ``interface`` is the chosen interface's name and ``address`` ours on it, empty when none was looked for;
    ``interfaces`` are the names of all that this machine has.
    ``directory`` is where files for the engine may be written (absolute); empty: nowhere.
    """

    cluster: Cluster
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    interface: str = ""
    address: str = ""
    interfaces: tuple[str, ...] = ()
    directory: str = "/tmp"
    job_id: str = ""

    @property
    def slots(self) -> int:
        """Processes per node: one where no devices were found and nobody asked for more."""
        return self.cluster.slots or 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do on this node.

    ``beside`` is a command of the engine's that runs next to the user's, from before its start until after its end:
    it is started once ``beside_needs``, an address and port, answers, and is ready once ``beside_opens`` answers.
    ``follows_node_0``: this node's container only has to stay until node 0's command ends, whose exit code is this
    node's; there is no ``command``.
    """

    command: tuple[str, ...]
    variables: tuple[Variable, ...] = ()
    remove: tuple[Removed, ...] = ()
    files: tuple[EngineFile, ...] = ()
    beside: tuple[str, ...] = ()
    beside_needs: tuple[str, int] | None = None
    beside_opens: tuple[str, int] | None = None
    follows_node_0: bool = False
    notes: tuple[str, ...] = ()


# --- the nodes ----------------------------------------------------------------------------------------------------


def host_of(node: Node) -> str:
    """A node as the others should dial it: its address on the chosen interface where it is known, else its name."""
    return node.address or node.host


def joined(host: str, port: int | str) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def master_address(cluster: Cluster) -> str:
    """Node 0 as the others should dial it. A pod's own name may not resolve inside it, so a single node is itself."""
    return "127.0.0.1" if cluster.size == 1 else host_of(cluster.master)


def master_port(cluster: Cluster, environ: Mapping[str, str]) -> str:
    """The port to meet at: what is set, what the platform lists for node 0, torchrun's default."""
    return environ.get("MASTER_PORT", "").strip() or str(cluster.master.port or DEFAULT_PORT)


def free_port() -> int:
    """A port that nobody listens at now."""
    import socket  # most jobs are given one

    with socket.create_server(("", 0)) as found:
        return int(found.getsockname()[1])


def launch_port(cluster: Cluster, environ: Mapping[str, str]) -> str:
    """:func:`master_port` for a launcher that must be told one: a single node without any takes a free one, since two
    jobs of one machine would both take the default, and the second would die.
    """
    given = environ.get("MASTER_PORT", "").strip() or cluster.size > 1 or cluster.master.port
    return master_port(cluster, environ) if given else str(free_port())


# --- variables ----------------------------------------------------------------------------------------------------


def unless_set(variables: Iterable[Variable], environ: Mapping[str, str]) -> tuple[Variable, ...]:
    """Those that the user and the platform have left to us. Set but empty counts as left."""
    return tuple(variable for variable in variables if not environ.get(variable.name))


def common(situation: Situation) -> tuple[Variable, ...]:
    """What every launcher gives: the interface for each library, unless set, and the job in plain words (ours)."""
    libraries: Iterable[Variable] = ()
    if situation.cluster.size > 1 and situation.interface:
        libraries = interface_variables(situation.interface, situation.interfaces)
    given = (*libraries, *evidence_variables(situation))
    return unless_set(given, situation.environ) + tuple(job_variables(situation.cluster, situation.address))


RECORDINGS = ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")
"""In front of a rank's number: where PyTorch's flight recorder writes; the first counts."""


def evidence_variables(situation: Situation) -> Iterator[Variable]:
    """What engines write down of a failure is kept in our own directory, where it is read and delivered from: the files
    of torchrun's processes, and PyTorch's flight recorder: the last collectives of each rank when one times out.

    Of the recorder each thing has a name of today's and one of PyTorch 2.2 to 2.7; who has set either is left with it.
    The buffer's 2,000 entries are PyTorch's own default since it has one; before that it was off.
    """
    if not situation.directory:
        return
    yield Variable("PET_LOG_DIR", f"{situation.directory}/torchrun", "what torchrun's processes leave is kept")
    if situation.cluster.size * (situation.cluster.slots or 1) < 2:
        return
    why = "the last collectives are kept, for who has to explain a hang"
    for names, value in (
        (("TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE"), "2000"),
        (("TORCH_NCCL_DUMP_ON_TIMEOUT",), "1"),
        (RECORDINGS, f"{situation.directory}/nccl_trace_rank_"),
    ):
        if not any(situation.environ.get(name) for name in names):
            for name in names:
                yield Variable(name, value, why)


def interface_variables(interface: str, interfaces: Iterable[str]) -> Iterator[Variable]:
    """The interface for each communication library. NCCL and HCCL take prefixes unless a ``=`` stands in front, so
    that ``ib0`` means ``ib01`` too where there is one. Elsewhere the name alone says the same, and scripts copy
    NCCL's value to Gloo and TensorPipe, which take names and would not find ``=ib0``.
    """
    longer = [name for name in interfaces if name != interface and name.startswith(interface)]
    exact = f"={interface}" if longer else interface
    why = f"exactly this interface, and not {longer[0]} as well" if longer else "the interface's name"
    yield Variable("NCCL_SOCKET_IFNAME", exact, why)
    yield Variable("GLOO_SOCKET_IFNAME", interface, "the interface's name")
    yield Variable("TP_SOCKET_IFNAME", interface, "the interface's name")
    yield Variable("HCCL_SOCKET_IFNAME", exact, why)


def job_variables(cluster: Cluster, address: str) -> Iterator[Variable]:
    """The cluster in plain words, under names of ours that no engine reads."""
    why = cluster.source
    yield Variable("BOOTSTRAP_NODE_RANK", str(cluster.node_rank), why)
    yield Variable("BOOTSTRAP_NNODES", str(cluster.size), why)
    yield Variable("BOOTSTRAP_ROLE", cluster.me.role, why)
    yield Variable("BOOTSTRAP_HOSTS", ",".join(node.host for node in cluster.nodes), why)
    addresses = [node.address or (address if node.rank == cluster.node_rank else "") for node in cluster.nodes]
    if all(addresses):
        yield Variable("BOOTSTRAP_ADDRESSES", ",".join(addresses), "the addresses of all nodes, in their order")


def past_proxies(situation: Situation) -> tuple[Variable, ...]:
    """gRPC takes any proxy it finds, even to the next rack: have it dial the nodes themselves. Merged, not replaced."""
    environ = situation.environ
    if situation.cluster.size == 1 or not any(environ.get(n) or environ.get(n.upper()) for n in _PROXIES):
        return ()
    known = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    names = [*known.split(","), *(n.host for n in situation.cluster.nodes), *map(host_of, situation.cluster.nodes)]
    merged = ",".join(dict.fromkeys(name.strip() for name in names if name.strip()))
    return tuple(Variable(name, merged, "the nodes are dialled without a proxy") for name in ("no_proxy", "NO_PROXY"))
