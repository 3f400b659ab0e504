"""The vocabulary: frozen values that every part of the package speaks in. No I/O, and nothing of ours imported.

- what is asked: :class:`Job` with its :class:`Input`, :class:`Output`, :class:`Command`, :class:`Cluster`;
- what the platform says of it: :class:`PlatformFacts`;
- what the store needs: :class:`Credentials`, :class:`Endpoint`;
- how it went: :class:`Ending` (the user's command), :class:`Outcome` (both results, kept apart for ever).
"""

from __future__ import annotations

import signal as _signal
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Protocol

from .values import dataclass, field


class Log(Protocol):
    """Where a part of the package says something: an event in words, facts as keywords. structlog's loggers fit."""

    def debug(self, event: str, **facts: object) -> object: ...
    def info(self, event: str, **facts: object) -> object: ...
    def warning(self, event: str, **facts: object) -> object: ...
    def error(self, event: str, **facts: object) -> object: ...


class StopRequest(Protocol):
    """Whether somebody asked us to stop (TERM, INT, a limit). Long work looks at it and gives up in time."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class SecretValues(Protocol):
    """The secrets known so far, for whoever must mask them. ``version`` grows whenever a value is added."""

    @property
    def version(self) -> int: ...
    def values(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Sourced:
    """A value and where it came from, in words fit for printing: ``DLS_APP_URL``, ``--code``, ``default``."""

    value: str
    source: str


# --- the cluster -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """One container of the job. ``rank`` counts nodes (0-based), not processes; ``host`` is a name or an address,
    empty where the platform tells the master's only.
    """

    rank: int
    host: str
    port: int | None = None
    role: str = "worker"
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """All nodes in global order and which of them we are. ``slots`` is processes (devices) per node, 0 if unknown."""

    nodes: tuple[Node, ...]
    node_rank: int = 0
    slots: int = 0
    source: str = "a single node"

    @property
    def size(self) -> int:
        return len(self.nodes)

    @property
    def me(self) -> Node:
        return self.nodes[self.node_rank]

    @property
    def master(self) -> Node:
        return self.nodes[0]


SINGLE_NODE = Cluster(nodes=(Node(0, "localhost"),))


# --- what the platform says --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Input:
    """Data to fetch before the command starts: ``url`` into ``directory`` (absolute, or relative to the job dir)."""

    name: str
    url: str
    directory: str
    source: str


@dataclass(frozen=True, slots=True)
class Output:
    """A local directory whose content belongs at ``url``. ``by_platform``: the platform syncs it by itself."""

    directory: str
    url: str
    source: str
    name: str = ""
    by_platform: bool = False


@dataclass(frozen=True, slots=True)
class PlatformFacts:
    """What one platform tells of the job, read from the environment and mounted files alone.

    ``defaults`` are values for settings (by the setting's name) that an option or a ``BOOTSTRAP_`` variable
    overrides. ``remove`` names the variables of strangers' jobs that the command must not see; ``environ`` is what
    the platform's contract adds for the command where it is not set already. ``scratch`` is a large local disk, if it
    names one.

    ``apart`` is set where the job is taken for one of a single node and something hints at more: this container's own
    directory below places that it may share with others (``node-1/``). ``no_peers`` says why the other nodes cannot be
    known, for whatever needs them.
    """

    platform: str
    reason: str
    job_id: str = ""
    task_name: str = ""
    cluster: Cluster = SINGLE_NODE
    defaults: Mapping[str, Sourced] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    remove: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    scratch: str = ""
    apart: str = ""
    no_peers: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One training job as this container is to run it: everything decided, nothing done yet.

    Local paths are absolute. ``code``, ``log`` and the URLs of ``inputs`` and ``outputs`` have been parsed once, so
    that a wrong one is known before any work; ``""`` means that there is none. ``output_dir`` is what the command is
    told in ``BOOTSTRAP_OUTPUT_DIR``.
    """

    facts: PlatformFacts
    command: tuple[str, ...]
    job_dir: str
    work_dir: str
    run_dir: str
    log_file: str
    output_dir: str = ""
    code: str = ""
    code_source: str = ""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    log: str = ""
    log_source: str = ""

    @property
    def cluster(self) -> Cluster:
        return self.facts.cluster

    @property
    def delivered_outputs(self) -> tuple[Output, ...]:
        """The outputs that are ours to deliver."""
        return tuple(output for output in self.outputs if not output.by_platform)


# --- the store ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key pair, with a token and an end (UTC) when it is temporary. ``source`` names variables or files.

    The repr shows the source only: a value that reaches a log by accident must not carry the key with it.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: datetime | None = None
    source: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes them these and no others, whatever their place says of their end."""
        return self.access_key, self.secret_key, self.token

    def __repr__(self) -> str:
        return f"Credentials(from {self.source or 'nowhere'}, {'temporary' if self.token else 'permanent'})"


class CredentialsProvider(Protocol):
    """Reads the newest credentials from where they come from; called again when they are about to end."""

    def __call__(self) -> Credentials: ...


MOST_OBJECTS = 20_000_000
"""In one listing, unless a setting says otherwise: ImageNet-21k has 14 million, and they take gigabytes of memory."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the object store is and how it wants to be spoken to.

    ``url`` has its scheme and no bucket in front; ``addressing`` is ``auto``, ``virtual`` or ``path``; ``verify`` is
    whether TLS certificates are checked, ``ca_bundle`` a file of certificates to check against; ``retry_window`` the
    seconds for which a request that is not served is made again; ``max_objects`` how many a listing may have (0: any).
    ``processes``: so many of ours decrypt what comes over TLS; None: as many as are of use, when they are.
    """

    url: str
    region: str = ""
    addressing: str = "auto"
    verify: bool = True
    ca_bundle: str = ""
    source: str = ""
    retry_window: float = 300.0
    max_objects: int = MOST_OBJECTS
    processes: int | None = 0


# --- how it went -------------------------------------------------------------------------------------------------


class AskedBy(str, Enum):
    """Who wanted the command to end. ``NOBODY``: it ended by itself."""

    NOBODY = "nobody"
    USER = "user"  # INT or QUIT from a terminal
    PLATFORM = "platform"  # TERM from outside
    TIMEOUT = "timeout"  # --timeout
    STALL = "stall"  # --stall-timeout
    PEER = "peer"  # another node failed
    KERNEL = "kernel"  # the OOM killer, proven by the cgroup's counters
    UNKNOWN = "unknown"  # a signal that none of the above sent


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The kernel's own proof: how often it killed in our cgroup while the command ran; bytes of limit and peak."""

    kills: int
    limit: int | None
    peak: int | None
    source: str


@dataclass(frozen=True, slots=True)
class Signalled:
    """A process that was asked to end: by which signal (its name), why this one, and when (seconds, UTC epoch)."""

    pid: int
    name: str
    signal: str
    why: str
    at: float


@dataclass(frozen=True, slots=True)
class Ending:
    """How the user's command ended: exactly one of ``status`` (0-255) and ``signal`` is set. Seconds, UTC epoch.

    ``log_start`` is the byte of the log file with which this (last) life of the command begins, ``life_started`` when
    it did. ``signalled`` tells who
    was asked to end when a stop was asked for. ``cut_short`` names the processes that were still at work when the
    command had ended by itself, and were ended then.
    """

    status: int | None
    signal: int | None = None
    asked_by: AskedBy = AskedBy.NOBODY
    out_of_memory: OutOfMemory | None = None
    started: float = 0.0
    ended: float = 0.0
    attempts: int = 1
    notes: tuple[str, ...] = ()
    log_start: int = 0
    life_started: float = 0.0
    signalled: tuple[Signalled, ...] = ()
    cut_short: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """As a shell reports it: the status, or 128 + the signal's number."""
        return self.status if self.status is not None else 128 + (self.signal or 0)

    @property
    def succeeded(self) -> bool:
        return self.status == 0

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit status {self.status}"
        try:
            name = _signal.Signals(self.signal).name
        except ValueError:  # real-time signals have no name of their own
            name = f"signal {self.signal}"
        return f"killed by {name}"
