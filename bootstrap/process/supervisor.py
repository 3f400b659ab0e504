"""One life of the user's command: started, signalled, stopped, reaped, and its ending told once.

The command runs in a session and process group of its own; on a terminal, in a group of its own in our session, so
that job control works. We are PID 1 or become the subreaper: orphans come to us and are reaped. The main thread sleeps
in :meth:`Signals.wait` until a signal, the end of the output or a deadline wakes it.

The job is over when its command is over. Descendants that outlive it get ``LINGER`` seconds for their last bytes
(after a stop: what is left of the grace), then TERM and KILL, whatever group they have moved to: in a container they
would die with PID 1 a moment later anyway, and nobody reads their output any more.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from ..errors import BootstrapError, CannotStart, CommandNotExecutable, CommandNotFound
from ..job import AskedBy, Ending, Log, SecretValues
from . import cgroup, notice, processes
from .budget import Budget
from .logfile import Compacted, LogFile
from .redact import Redactor
from .sacrifice import Score
from .signals import Signals
from .stall import Watch, describe
from .tee import Console, Pump, Sink, pipe
from .terminal import Terminal, can_be_resumed, output_terminal

LINGER = 1.0  # seconds for what outlives the command, when nobody asked for a stop
LINGER_TERM = 0.7  # of these: from here on TERM has been sent
SECOND_ASK = 2.0  # seconds that a second TERM or INT leaves of the grace; the third leaves none
DEATH = 5.0  # seconds that KILL may take: a process in the kernel's hands (a dead NFS server) does not die sooner

# Signals that the kernel sends to a process for its own deeds, limits included: nobody asked for them.
OWN_DEEDS: frozenset[int] = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
    | {signal.SIGPIPE, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU, signal.SIGXFSZ}
)
JOB_CONTROL: frozenset[int] = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})


@dataclass(frozen=True)
class Launch:
    """What to run, and within which bounds. Times in seconds.

    ``executable`` is the file to execute when it is not to be searched for by ``argv[0]``. ``environ`` is complete.
    The log is appended to. ``stderr_path`` keeps stderr apart as well (it still goes to console and log). ``pty``
    gives the command a terminal for its output, so that every program writes line by line. ``stop_signal`` is what it
    gets when TERM or a limit asks for its end: ``timeout`` limits its time, ``stall_timeout`` the time without output
    and work, and ``stall_path`` is where it is written down what it was doing then. ``log_limit`` bounds the bytes of
    a log file, ``compact`` thins out the progress bars in it. ``notice_path`` names a file that tells the command that
    it is being stopped, why, and how many seconds it has; its name is in the command's ``BOOTSTRAP_STOP_FILE``. The
    command is started inside ``starting()``: what it inherits there (limits, say) need not be what we have ourselves;
    ``score`` is who of us the kernel is to kill first when memory runs out.
    """

    argv: Sequence[str]
    environ: Mapping[str, str]
    cwd: str
    executable: str | None = None
    log_path: str | None = None
    stderr_path: str | None = None
    console: int = 1
    pty: bool = False
    stop_signal: int = signal.SIGTERM
    budget: Budget = field(default_factory=Budget)
    timeout: float | None = None
    stall_timeout: float | None = None
    stall_path: str | None = None
    log_limit: int | None = None
    compact: bool = False
    notice_path: str | None = None
    secrets: SecretValues | None = None
    starting: Callable[[], AbstractContextManager[None]] = nullcontext
    score: Score = field(default_factory=Score)


def supervise(launch: Launch, signals: Signals, log: Log) -> Ending:
    """Run the command to its end, whoever brings it about. Main thread only.

    Raises CommandNotFound, CommandNotExecutable or CannotStart when there is no process to speak of; whatever happens
    afterwards is told by the :class:`~bootstrap.job.Ending`. While this runs, children of ours that are not in our
    process group are reaped here.
    """
    return _Life(launch, signals, log).run()


class _Life:
    def __init__(self, launch: Launch, signals: Signals, log: Log) -> None:
        self.launch, self.signals, self.log = launch, signals, log
        self.memory = cgroup.find()
        self.kills_before = self.memory.kills() if self.memory else None
        self.terminal = Terminal.of(0)
        self.started = self.ended = 0.0
        self.pid = -1
        self.strangers: frozenset[int] = frozenset()
        self.pump: Pump
        self.console: Console
        self.status: int | None = None  # as wait(2) gives it, once the command has ended
        self.asked_by = AskedBy.NOBODY
        self.asks = 0
        self.suspended = False
        self.told_twice = False
        self.kill_at = math.inf  # when KILL is due
        self.term_at = math.inf  # when TERM is due to what outlives the command
        self.timeout_at = math.inf
        self.watch: Watch | None = None
        self.give_up_at = math.inf
        self.hurried = False
        self.killed: list[str] = []
        self.notes: list[str] = []

    # --- the story -------------------------------------------------------------------------------------------------

    def run(self) -> Ending:
        self.strangers = processes.strangers()
        processes.become_subreaper()
        if self.launch.notice_path:
            notice.remove(self.launch.notice_path)
        self.signals.supervising = True
        try:
            self._start()
            if self.signals.stop.is_set():  # asked for while there was no command yet; however often, it counts once
                self.signals.requests.clear()
                self._stop(self.signals.asked_by, self.signals.first, self.signals.why)
            while not self._over():
                for number in self.signals.wait(self._until_next()):
                    self._on_signal(number)
                while self.signals.requests:
                    self._stop(*self.signals.requests.popleft())
                self._reap()
                self._on_time()
        except BaseException:  # a defect of ours: it must not leave a process behind that nobody watches
            if self.pid > 0 and self.status is None:
                self._forward(signal.SIGKILL)
            raise
        finally:
            self.signals.supervising = False
            if self.terminal is not None and self.pid > 0:
                self.terminal.take_back(self.pid)
        self.pump.join(0.2)  # it has said that it is done, or it was given up
        return self._ending()

    def _start(self) -> None:
        launch = self.launch
        environ = dict(launch.environ)
        if launch.notice_path:
            environ[notice.STOP_FILE] = launch.notice_path
        read, write = output_terminal() if launch.pty else pipe()
        read_error, write_error = pipe() if launch.stderr_path else (-1, write)
        try:
            # first, for it may fail for want of threads; when there is no command, it ends as the pipes are closed
            self.pump = self._pump(read, read_error)
            self.signals.wait(0)  # signals that came before there was anybody to pass them to
            self.started = time.time()
            limit = self.memory.limit() if self.memory else None
            with launch.score.of_children(limit), launch.starting():
                child = subprocess.Popen(
                    list(launch.argv),
                    executable=launch.executable,
                    cwd=launch.cwd,
                    env=environ,
                    stdout=write,
                    stderr=write_error,
                    close_fds=False,  # what we were given beyond stderr is the command's; ours close themselves on exec
                    start_new_session=self.terminal is None,
                    preexec_fn=self.terminal.lend_in_child if self.terminal is not None else None,
                )
        except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
            raise _cannot_start(launch, error) from error
        finally:
            os.close(write)
            if write_error != write:
                os.close(write_error)
        self.pid = child.pid
        child.returncode = 0  # we reap it ourselves: Popen must neither wait nor warn
        self.timeout_at = time.monotonic() + launch.timeout if launch.timeout else math.inf
        if launch.stall_timeout:
            self.watch = Watch(launch.stall_timeout, self._left)
        self.log.debug("command started", pid=self.pid)

    def _pump(self, read: int, read_error: int) -> Pump:
        launch = self.launch
        both: list[Sink] = [self._log_file(launch.log_path)] if launch.log_path else []
        self.console = Console(launch.console)
        both.append(self.console)
        sources = [(read, both)]
        if launch.stderr_path:
            sources.append((read_error, [self._log_file(launch.stderr_path), *both]))
        secrets = launch.secrets
        pump = Pump(sources, (lambda: Redactor(secrets)) if secrets is not None else None, self.signals.wake)
        pump.start()
        return pump

    def _log_file(self, path: str) -> Sink:
        file = LogFile(path, self.launch.log_limit)
        return Compacted(file) if self.launch.compact else file

    def _over(self) -> bool:
        if time.monotonic() >= self.give_up_at:
            return True
        if self.status is None:
            return False
        if not self.pump.done:
            return False
        return not self._others_left()

    # --- what happens ------------------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            return  # we reap after every wake, and requests to stop have a queue of their own
        if number in JOB_CONTROL:
            # a group of its own session is an orphaned one, for which the kernel ignores all of these but STOP
            self._forward(signal.SIGSTOP if self.terminal is None else number)
            self.suspended = True
            self._suspend_ourselves()
        elif number == signal.SIGCONT:
            self._resume()
        else:
            self._forward(number)

    def _stop(self, by: AskedBy, number: int | None, why: str) -> None:
        """Ask the command to end, and plan what happens if it does not."""
        if self.asked_by is AskedBy.PEER and by is AskedBy.PLATFORM and not self.told_twice:
            # The platform has heard of the same failure: the command has been asked already, and keeps its grace.
            self.told_twice = True
            return
        now = time.monotonic()
        self.asks += 1
        self.watch = None
        if self.asks == 1:
            self.asked_by = by
            begin = self.signals.stopped_at if self.signals.stopped_at is not None else now
            self.kill_at = begin + self.launch.budget.for_child
            if self.launch.notice_path:
                trouble = notice.write(self.launch.notice_path, by, number, why, max(0.0, self.kill_at - now))
                self.notes += [trouble] if trouble else []
            self.log.warning(
                "stopping the command",
                asked_by=by.value,
                why=why,
                seconds_until_kill=round(max(0.0, self.kill_at - now), 1),
            )
        else:
            self.kill_at = min(self.kill_at, now + SECOND_ASK) if self.asks == 2 else now
        self.term_at = math.inf
        self._forward(number if number in (signal.SIGINT, signal.SIGQUIT) else self.launch.stop_signal)
        if self.suspended:
            self._forward(signal.SIGCONT)

    def _reap(self) -> None:
        """Take the status of the command and of every orphan that has ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                self._child_stopped()
            elif pid:
                self._child_ended(status)
        try:
            while True:
                # looked at first: a child in our own group is a helper that somebody else of us waits for
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if info is None or info.si_pid == self.pid:
                    return
                if _group(info.si_pid) == os.getpgrp():
                    break
                os.waitpid(info.si_pid, os.WNOHANG)
            # The kernel goes on showing us that one: a stranger stays for as long as we do. There may be others behind.
            for process in processes.ended():
                if process.group != os.getpgrp() and process.pid != self.pid:
                    os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            pass

    def _child_ended(self, status: int) -> None:
        self.status = status
        self.ended = time.time()
        self.timeout_at, self.watch = math.inf, None
        if self.asks == 0:
            now = time.monotonic()
            self.term_at, self.kill_at = now + LINGER_TERM, now + LINGER
        else:  # its group has been asked; whoever is in a group of its own learns now that nobody needs it any more
            processes.signal_all([each for each in self._left() if each.group != self.pid], signal.SIGTERM)

    def _child_stopped(self) -> None:
        """The terminal has stopped the command (Ctrl-Z): a shell that started us must see us stop too."""
        if self.terminal is None:
            return
        self.suspended = True
        self.terminal.take_back(self.pid)
        if not self._suspend_ourselves():
            self._resume()  # nobody could ever do it later

    def _suspend_ourselves(self) -> bool:
        # A CONT that came right behind the stop would find us running, and never come again.
        if not can_be_resumed() or self.signals.has_come(signal.SIGCONT):
            return False
        os.kill(os.getpid(), signal.SIGSTOP)
        return True

    def _resume(self) -> None:
        self.suspended = False
        if self.watch is not None:
            self.watch.begin_anew()
        if self.terminal is not None and self.status is None:
            self.terminal.lend(self.pid)
        self._forward(signal.SIGCONT)

    def _on_time(self) -> None:
        now = time.monotonic()
        if now >= self.timeout_at:
            self.timeout_at = math.inf
            self._stop(AskedBy.TIMEOUT, None, f"it ran longer than {self.launch.timeout:.1f} s")
        if self.watch is not None and not self.suspended and self.watch.stalled(self.pump.bytes):
            self._stalled()
        if now >= self.term_at:
            self.term_at = math.inf
            processes.signal_all(self._left(), signal.SIGTERM)
        if now >= self.kill_at:
            self._kill(now)

    def _stalled(self) -> None:
        """Write down what it was doing, for whoever must find out why, and then ask it to end."""
        launch = self.launch
        self.log.warning("the command neither writes nor computes", for_seconds=launch.stall_timeout)
        if launch.stall_path:
            text = describe(self._left(), launch.environ, hurry=self.signals.stop.is_set)
            if launch.secrets is not None:
                text = Redactor(launch.secrets).mask(text)
            try:
                with open(launch.stall_path, "w") as file:
                    file.write(text)
                self.notes.append(f"what its processes were doing is in {launch.stall_path}")
            except OSError as error:
                self.notes.append(f"what its processes were doing could not be written down: {error}")
        self._stop(AskedBy.STALL, None, f"no output and no work for {launch.stall_timeout:g} s")

    def _kill(self, now: float) -> None:
        """KILL to whatever is left, until nothing is; then the output needs no more waiting."""
        left = self._left()
        if self.status is None:
            self._forward(signal.SIGKILL)
        for process in left:
            if str(process) not in self.killed:
                self.killed.append(str(process))
        processes.signal_all(left, signal.SIGKILL)
        if self.give_up_at == math.inf:
            self.give_up_at = now + DEATH
        # children that were born between the look and the kill are found by the next look
        self.kill_at = now + 0.05 if left or self.status is None else math.inf
        if self.status is not None and not left and not self.hurried:
            self.hurried = True
            self.console.hurry()
            self.pump.finish()

    # --- small questions ---------------------------------------------------------------------------------------------

    def _until_next(self) -> float | None:
        look_at = self.watch.next_at if self.watch is not None and not self.suspended else math.inf
        next_at = min(self.timeout_at, self.term_at, self.kill_at, self.give_up_at, look_at)
        return None if next_at == math.inf else max(0.0, next_at - time.monotonic())

    def _left(self) -> list[processes.Process]:
        """What there is of the command and whatever it started."""
        return processes.descendants(self.pid, self.strangers)

    def _others_left(self) -> bool:
        """Whether descendants outlive the command and their time is not over."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False  # nobody at all: no need to search /proc
        return bool(self._left())

    def _forward(self, number: int) -> None:
        """To the command's group; when the command itself is gone, to what it left behind."""
        if self.status is not None:
            processes.signal_all(self._left(), number)
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # it ends just now, or has changed its user
            pass

    def _ending(self) -> Ending:
        struck = self.memory.struck_since(self.kills_before) if self.memory else None
        self.notes += self.pump.notes()
        if not self.pump.done and not self.console.is_last:
            self.notes.append("the end of the output could not be written in time: the disk of the log is too slow")
        if self.status is None:
            self.notes.append(f"the command did not die within {DEATH:g} s of KILL (a device or file server hangs?)")
            code = -signal.SIGKILL
        else:
            code = os.waitstatus_to_exitcode(self.status)
        if self.killed:
            shown = ", ".join(self.killed[:8]) + (", ..." if len(self.killed) > 8 else "")
            self.notes.append(f"{len(self.killed)} processes had to be killed: {shown}")
        asked_by = self.asked_by
        if asked_by is AskedBy.NOBODY and code != 0 and struck is not None:
            asked_by = AskedBy.KERNEL
        elif asked_by is AskedBy.NOBODY and code < 0 and -code not in OWN_DEEDS:
            typed = self.terminal is not None and -code in (signal.SIGINT, signal.SIGQUIT)
            asked_by = AskedBy.USER if typed else AskedBy.UNKNOWN
        return Ending(
            status=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            asked_by=asked_by,
            out_of_memory=struck,
            started=self.started,
            ended=self.ended or time.time(),
            notes=tuple(self.notes),
        )


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


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
