"""What every step of one run needs, whatever the others have found: where things are told, and what failed first."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import BootstrapError, InternalError
from .ground.plain_text import plain
from .ground.safe_files import open_named
from .ground.writes import write_all
from .masking.registry import Secrets
from .masking.stream import Redactor
from .process.output.logfile import parts
from .process.output.unwritten import Unwritten
from .process.stop.plan import Moment, StopPlan
from .process.stop.signals import Signals
from .reporting.console import Console
from .reporting.record import Record
from .values import dataclass, field

if TYPE_CHECKING:  # which a job without a log URL need not load
    from .shipping.logs import LogShipper


@dataclass(frozen=True, slots=True)
class OwnFailure:
    """What failed first: the step and its error; ``of_code``: it is what brings the code."""

    step: str
    error: BootstrapError
    of_code: bool = False


class CodeUnavailable(Exception):
    """What brings the code has failed with ``error``. run_train.sh has an exit code and words of its own for that."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def bringing_code() -> Iterator[None]:
    """Around what the code needs, from its URL on."""
    try:
        yield
    except StopAsked:
        raise
    except Exception as error:
        raise CodeUnavailable(error) from error


class StopAsked(Exception):
    """A stop was asked for before the command was started."""


@dataclass
class Run:
    """The tools of one run, and the first failure of ours."""

    signals: Signals
    plan: StopPlan = field(default_factory=StopPlan)  # of a stop; with the grace that was chosen once that is known
    secrets: Secrets = field(default_factory=Secrets)
    record: Record = field(default_factory=Record)
    console: Console = field(default_factory=lambda: Console(sys.stderr))
    log_file: Path | None = None  # where what failed is told as well, once there is one
    unwritten: Unwritten = field(default_factory=Unwritten)  # the end of the log, where its disk does not take it
    show_tracebacks: bool = False
    failure: OwnFailure | None = None
    stopped_in: str = ""  # the step that a request to stop has ended, before the command ran
    shipper: LogShipper | None = None  # as soon as the log is on its way, whatever becomes of the step that began it
    left_behind: bool = False  # a thread of ours hangs in a store

    def __post_init__(self) -> None:
        redactor = Redactor(self.secrets)
        self.console.mask = self.record.mask = redactor.mask

    def until(self, after: float) -> Moment:
        """The :class:`bootstrap.job.StopRequest` for what may go on until one of the plan's moments."""
        return Moment(self.signals, after)

    @property
    def stop_signal(self) -> int:
        """The number of the signal that asked for a stop; TERM where none did."""
        return self.signals.first or signal.SIGTERM

    def failed(self, step: str, raised: Exception) -> None:
        """A step failed: tell it on the console, in the record and in the log, which is where most people look."""
        of_code = isinstance(raised, CodeUnavailable)
        cause = raised.error if isinstance(raised, CodeUnavailable) else raised
        error = cause if isinstance(cause, BootstrapError) else InternalError.of(cause)
        if self.failure is not None:  # the first is the cause, this one only the company it keeps
            self.console.warning(f"{step} failed as well: {error}")
            return
        self.failure = OwnFailure(step, error, of_code)
        what, *more = error.lines()
        self.console.error(f"{error} [{error.id}]", lines=[f"{what} [{error.id}]", *more])
        import traceback  # a run that goes well has none

        trace = "".join(traceback.format_exception(error)) if self.show_tracebacks or error.code == 100 else ""
        if self.show_tracebacks:
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
        words = "App download error" if of_code else f"bootstrap: {step} failed"
        self.append_to_log(f"{words}: {error}\n")

    def stopped(self, step: str) -> None:
        """A stop was asked for before the command ran."""
        self.stopped_in = step
        text = f"stopped in step {step}, before the command was started: {self.signals.why}"
        self.console.warning(text)
        self.append_to_log(f"bootstrap: {text}\n")

    def append_to_log(self, text: str) -> None:
        """``text`` at the end of the log, masked: in its file, or where that cannot be written in what is delivered."""
        if self.log_file is None:
            return
        data, cause = plain(self.record.mask(text)).encode(), self.unwritten.cause
        if not self.unwritten:
            try:
                _, last = parts(str(self.log_file))[-1]
                with open(open_named(last, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab", buffering=0) as log:
                    write_all(log.fileno(), data)
                return
            except OSError as error:
                cause = error.strerror or str(error)
        self.unwritten.add(data, cause)
