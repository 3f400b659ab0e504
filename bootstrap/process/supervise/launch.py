"""The command as it is to be started, and its start: a session and group of its own, its output into our pump."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from ...errors import BootstrapError, CannotStart, CommandNotExecutable, CommandNotFound
from ...job import SecretValues
from ...masking.stream import Redactor
from ...values import dataclass, field
from ..output.logfile import Compacted, LogFile
from ..output.pty import Plain, Relay, Screen, output_terminal
from ..output.pump import ConsoleWriter, Pump, Sink, pipe
from ..output.unwritten import Unwritten
from ..stop import stop_file
from ..stop.plan import StopPlan
from . import parent_death
from .oom_score import OomScore
from .terminal import Terminal, can_be_resumed

_KEYS = (signal.SIGINT, signal.SIGQUIT)  # what a terminal sends when somebody types Ctrl-C or Ctrl-\\


def noted(*_: object) -> None:
    """Where nobody else wants to know."""


@dataclass(frozen=True)
class Launch:
    """What to run, and within which bounds. Times in seconds.

    ``executable`` is the file to execute when it is not to be searched for by ``argv[0]``. ``environ`` is complete.
    The log is appended to; what its disk refuses to the end is
    in ``unwritten``. ``stderr_path`` keeps stderr apart as well (it still goes to console and log). ``pty``
    gives the command a terminal for its output, so that every program writes line by line; ``relay``, which is our own
    terminal, one for its input, too. ``stop_signal`` is what it gets when TERM or a limit asks for its end: ``timeout``
    limits its time, ``stall_timeout`` the time without output and work (without output alone, if ``stall_is_silence``),
    and ``stacks_path`` is where it is written down what it was doing when a limit or another node's failure ended it;
    ``look`` is called (with the reason) before that for a limit, so that others look as well, and ``looked`` after it:
    with true it may wait for them, some seconds, since a stop is next.
    ``log_limit`` bounds the bytes of a log file, ``compact`` thins out the progress bars in it. ``stop_file_path``
    names a file that tells the command that it is being stopped, why, and how many seconds it has; its name is in the
    command's ``BOOTSTRAP_STOP_FILE``. The command is started inside ``starting()``: what it inherits there (limits,
    say) need not be what we have ourselves; ``score`` is who of us the kernel is to kill first when memory runs out.
    ``stop_to`` is who gets the stop signal (:mod:`..stop.targets`). ``wait_for_output``: the life is not over before
    the last process has closed the command's output.
    """

    argv: Sequence[str]
    environ: Mapping[str, str]
    cwd: str
    executable: str | None = None
    log_path: str | None = None
    unwritten: Unwritten | None = None
    stderr_path: str | None = None
    console: int = 1
    pty: bool = False
    relay: Relay | None = None
    stop_signal: int = signal.SIGTERM
    stop_to: str = "auto"
    wait_for_output: bool = False
    plan: StopPlan = field(default_factory=StopPlan)
    timeout: float | None = None
    stall_timeout: float | None = None
    stall_is_silence: bool = False
    stacks_path: str | None = None
    look: Callable[[str], object] = noted
    looked: Callable[[bool], object] = noted
    log_limit: int | None = None
    compact: bool = False
    stop_file_path: str | None = None
    secrets: SecretValues | None = None
    starting: Callable[[], AbstractContextManager[None]] = nullcontext
    score: OomScore = field(default_factory=OomScore)


class CommandOutput:
    """Where the command's bytes go: the pump that carries them, and the console at its end."""

    def __init__(self, launch: Launch, on_end: Callable[[], None], say: Callable[[str], object]) -> None:
        """``on_end`` is called behind the last byte, ``say`` at the first that a log file's disk refuses."""
        self._launch, self._relay = launch, launch.relay
        self._say = say
        self.screen: Screen | None = None
        if self._relay is not None:
            read, self.write = self._relay.open()
        else:
            read, self.write = output_terminal() if launch.pty else pipe()
        read_error, self.write_error = pipe() if launch.stderr_path else (-1, self.write)
        try:
            self.console = ConsoleWriter(launch.console)
            last: Sink = self.console
            if self._relay is not None:
                last = self.screen = Screen(self.console, self._relay)
            both = [*([self._log_file(launch.log_path, launch.unwritten)] if launch.log_path else []), last]
            sources: list[tuple[int, Sequence[Sink]]] = [(read, both)]
            if launch.stderr_path:
                sources.append((read_error, [self._log_file(launch.stderr_path), *both]))
            secrets = launch.secrets
            self.pump = Pump(sources, (lambda: Redactor(secrets)) if secrets is not None else None, on_end)
            self.pump.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Our own copies of the writing ends; without them the pump ends when all others have closed theirs."""
        for fd in {self.write, self.write_error}:
            os.close(fd)

    def _log_file(self, path: str, unwritten: Unwritten | None = None) -> Sink:
        file = LogFile(path, self._launch.log_limit, self._say, unwritten)
        sink: Sink = Compacted(file) if self._launch.compact else file
        return Plain(sink) if self._relay is not None else sink


def start(launch: Launch, output: Callable[[], CommandOutput], terminal: Terminal | None, limit: int | None) -> int:
    """Start the command; returns its number. ``limit``: bytes of memory for all of us, or None.

    Raises :class:`CommandNotFound`, :class:`CommandNotExecutable` or :class:`CannotStart`.
    """
    environ = dict(launch.environ)
    if launch.stop_file_path:
        environ[stop_file.STOP_FILE] = launch.stop_file_path
    made: CommandOutput | None = None
    try:
        # first, for it may fail for want of threads; when there is no command, it ends as the pipes are closed
        made = output()
        with launch.score.of_children(limit), launch.starting():
            child = subprocess.Popen(
                list(launch.argv),
                executable=launch.executable,
                cwd=launch.cwd,
                env=environ,
                stdin=made.write if launch.relay is not None else None,
                stdout=made.write,
                stderr=made.write_error,
                close_fds=False,  # what we were given beyond stderr is the command's; ours close themselves on exec
                start_new_session=terminal is None,
                preexec_fn=_in_child(launch, terminal),
            )
    except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
        raise _cannot_start(launch, error) from error
    finally:
        if made is not None:
            made.close()
    if launch.relay is not None and made.screen is not None:
        launch.relay.begin(child.pid, made.screen, resumable=can_be_resumed())
    child.returncode = 0  # we reap it ourselves: Popen must neither wait nor warn
    return child.pid


def _in_child(launch: Launch, terminal: Terminal | None) -> Callable[[], None] | None:
    """What is done between fork and exec: the command gets its terminal, and is to hear of our death."""
    steps = [parent_death.tell_of_ours(launch.stop_signal)]
    if launch.relay is None and terminal is None and all(signal.getsignal(one) is signal.SIG_IGN for one in _KEYS):
        steps.append(_hear_keys)
    if outlives_its_terminal(launch):
        steps.append(_outlive_terminal)
    if launch.relay is not None:
        steps.append(launch.relay.adopt)
    elif terminal is not None:
        steps.append(terminal.lend_in_child)
    wanted = [step for step in steps if step is not None]
    if not wanted:
        return None

    def carry_out() -> None:
        for step in wanted:
            step()

    return carry_out


def outlives_its_terminal(launch: Launch) -> bool:
    """Whether what is started with ``&`` must not end with the command, which is the leader of its terminal's session:
    the kernel then sends HUP to the group. It is ignored, as ``nohup`` does; our own terminal's end is told by TERM.
    """
    return launch.relay is not None and launch.wait_for_output


def _outlive_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _hear_keys() -> None:
    """INT and QUIT end the command again where a shell had us started with ``&``, and so ignore both.

    That keeps the keys of its terminal from us; the command's own session does the same for it. Ignored by everybody
    below, they would no longer tell whom a script waits for from what it starts with ``&`` itself (:mod:`..stop.tree`),
    and no shell can trap what was ignored when it began.
    """
    for number in _KEYS:
        signal.signal(number, signal.SIG_DFL)


def _cannot_start(launch: Launch, error: Exception) -> BootstrapError:
    name = launch.argv[0] if launch.argv else ""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        if isinstance(error, OSError) and error.filename == launch.cwd:
            return CommandNotFound(
                "the working directory does not exist",
                where=launch.cwd,
                remedy="create it, or choose another with --work-dir",
            )
        return CommandNotFound(f"command not found: {name}", where=launch.executable or name)
    if number in (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ELOOP, errno.E2BIG, errno.ETXTBSY):
        return CommandNotExecutable(
            f"cannot execute {name}", where=launch.executable or name, why=os.strerror(number or 0)
        )
    why = os.strerror(number) if number else str(error)
    return CannotStart(f"the system could not start {name}", why=why)
