"""What the steps give each other: what identify decided, unlock found, connect proved and launch saw. All frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .ground import log_names
from .reporting.language import Lang, language
from .values import dataclass

if TYPE_CHECKING:  # whoever makes one of these loads its room; a job that never does need not
    from .credentials.find import Keyring
    from .credentials.hardening import Hardening
    from .diagnosis import Diagnosis
    from .errors import BootstrapError
    from .job import Ending, Job
    from .network.interfaces import Interface
    from .outputs.session import Session
    from .peers.group import Group
    from .process.supervise.oom_score import OomScore
    from .settings import Resolved, Settings
    from .shipping.evidence import EvidenceFile
    from .shipping.logs import LogShipper
    from .storage.open import Stores
    from .variables import Variables

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the bootstrap was called with: its options by the settings' names, the command's argv, the environment as it
    is the command's, and ``variables``: the same as it was meant, for us to read.
    """

    options: Mapping[str, str | Sequence[str] | bool]
    command: Sequence[str]
    environ: Mapping[str, str]
    variables: Variables


@dataclass(frozen=True, slots=True)
class Decided:
    """By identify: the job, the settings and where each came from. ``troubles`` are what must end the run, if any."""

    asked: Asked
    resolved: Resolved
    job: Job
    troubles: tuple[BootstrapError, ...] = ()

    @property
    def settings(self) -> Settings:
        return self.resolved.settings

    @property
    def language(self) -> Lang:
        return language(self.settings.lang, self.asked.environ)

    @property
    def record_files(self) -> tuple[Path, Path]:
        """Our own files that are delivered beside the log, under names that say whose they are: the lines, run.json."""
        return Path(log_names.lines(self.job.log_file)), Path(log_names.record(self.job.log_file))


@dataclass(frozen=True, slots=True)
class Access:
    """By unlock: the keys and the stores. ``decrypted`` are plaintexts by the names of their variables; ``before`` and
    ``score`` are our limits and our OOM score from before we closed ourselves to others: the command inherits those.
    """

    decrypted: Mapping[str, str]
    keyring: Keyring
    stores: Stores
    before: Hardening
    score: OomScore


@dataclass(frozen=True, slots=True)
class Link:
    """By connect: the interface to the other nodes (None: a single node that asked for none), the log on its way to
    its URL (None: there is no URL), and the outputs (None: there are none).
    """

    interface: Interface | None
    shipper: LogShipper | None
    outputs: Session | None = None

    def named(self, name: str) -> str:
        """What a file of this run is called at the log URL, where a later attempt may have the plain names."""
        return self.shipper.succession.name_of(name) if self.shipper is not None else name

    def put(self, name: str, write: Callable[[str], T]) -> tuple[str, T]:
        """A :class:`bootstrap.shipping.evidence.PutAs` for the log URL."""
        return self.shipper.succession.put(name, write) if self.shipper is not None else (name, write(name))


@dataclass(frozen=True, slots=True)
class Seen:
    """By launch: how the command ended, and why (None: it succeeded, and there is nothing to say). ``follows``: node 0
    runs this node's processes, and its end is ours. ``evidence``: files that tell more of it, to be delivered.
    """

    ending: Ending
    diagnosis: Diagnosis | None
    launcher: str
    follows: bool = False
    evidence: tuple[EvidenceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """All of it, as far as the steps before the end have come: None is a step that did not."""

    decided: Decided | None
    access: Access | None
    link: Link | None
    group: Group | None
    seen: Seen | None
