"""What is known of one run so far. Each step reads what the earlier ones found, and adds its own."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import Console
from ..credentials.find import Keyring
from ..credentials.hardening import Hardening
from ..credentials.registry import Secrets
from ..errors import BootstrapError
from ..job import Ending, Job
from ..network.interfaces import Interface
from ..process.budget import Budget
from ..process.deadline import TimeIsUp
from ..process.redact import Redactor
from ..process.sacrifice import Score
from ..process.signals import Signals
from ..record import Record
from ..settings import Resolved
from ..shipping.logs import LogShipper
from ..shipping.outputs import Delivery
from ..storage.open import Stores

if TYPE_CHECKING:
    from ..network.peers import Peers
    from ..shipping.board import StoreBoard


@dataclass
class Run:
    """The state of one run: its inputs, its tools, then the results in the order in which the steps find them."""

    options: Mapping[str, str | Sequence[str] | bool]
    command: Sequence[str]
    environ: Mapping[str, str]
    signals: Signals

    secrets: Secrets = field(default_factory=Secrets)
    record: Record = field(default_factory=Record)
    console: Console = field(default_factory=lambda: Console(sys.stderr))
    score: Score = field(default_factory=Score)  # before we are hardened

    resolved: Resolved | None = None
    job: Job | None = None
    decrypted: Mapping[str, str] = field(default_factory=dict)
    keyring: Keyring | None = None
    hardening: Hardening | None = None
    stores: Stores | None = None
    interface: Interface | None = None
    peers: Peers | None = None
    board: StoreBoard | None = None
    shipper: LogShipper | None = None
    launcher: str = ""  # the one that was chosen
    follows: bool = False  # node 0 runs this node's processes, and its end is ours
    told: bool = False  # the other nodes know how this one ended
    ending: Ending | None = None
    deliveries: list[Delivery] = field(default_factory=list)

    without_code: bool = False  # what has failed is what brings the code
    failure: BootstrapError | None = None
    first_failure: dict[str, Any] | None = None  # of all nodes
    failed_step: str = ""
    stopped_by: int | None = None
    left_behind: bool = False  # a thread of ours hangs in a store

    def __post_init__(self) -> None:
        redactor = Redactor(self.secrets)
        self.console.mask = self.record.mask = redactor.mask

    @property
    def time_is_up(self) -> TimeIsUp:
        """The :class:`bootstrap.job.StopRequest` for everything that happens after the command."""
        grace = self.resolved.settings.grace if self.resolved else Budget().grace
        return TimeIsUp(self.signals, Budget(grace))

    @contextmanager
    def fetching_code(self) -> Iterator[None]:
        """Around what the code needs, from its URL on: run_train.sh has an exit code and words of its own for that."""
        self.without_code = True
        yield
        self.without_code = False

    def failed(self, step: str, error: BootstrapError) -> None:
        """A step failed: tell it on the console, in the record and in the log, which is where most people look."""
        if self.signals.stop.is_set() and self.ending is None:
            self.stopped(step)
            return
        if self.failure is not None:  # the first is the cause, this one only the company it keeps
            self.console.warning(f"{step} failed as well: {error}")
            return
        self.failure, self.failed_step = error, step
        self.console.error(f"{error} [{error.id}]")
        show = bool(self.resolved and self.resolved.settings.traceback)
        trace = "".join(traceback.format_exception(error)) if show or error.code == 100 else ""
        if show:
            self.console.error(trace)
        self.record.update(
            bootstrap={
                "id": error.id,
                "code": error.code,
                "retry": error.retry,
                "step": step,
                "what": error.what,
                "where": error.where,
                "why": error.why,
                "remedy": error.remedy,
                "facts": error.facts,
                **({"traceback": trace} if trace else {}),
            }
        )
        # The words of run_train.sh, which people's scripts search logs for.
        words = "App download error" if self.without_code else f"bootstrap: {step} failed"
        self._append_to_log(f"{words}: {error}\n")

    def stopped(self, step: str) -> None:
        """A stop was asked for before the command ran."""
        self.stopped_by, self.failed_step = self.signals.first or signal.SIGTERM, step
        text = f"stopped in step {step}, before the command was started: {self.signals.why}"
        self.console.warning(text)
        self._append_to_log(f"bootstrap: {text}\n")

    def _append_to_log(self, text: str) -> None:
        if self.job is not None:
            try:
                with Path(self.job.log_file).open("ab") as log:
                    log.write(self.record.mask(text).encode(errors="replace"))
            except OSError:  # it has been said on the console and in the record
                pass

    @property
    def record_files(self) -> list[Path]:
        """Our own files that are delivered beside the log, under names that say whose they are: run.json, the lines."""
        if self.job is None:
            return []
        stem = os.path.splitext(self.job.log_file)[0]
        return [Path(f"{stem}.jsonl"), Path(f"{stem}.run.json")]
