"""One life of the user's command: started, signalled, stopped, reaped, and its ending told once.

The command runs in a session and process group of its own; on a terminal, in a group of its own in our session, so
that job control works. We are PID 1 or become the subreaper: orphans come to us and are reaped. The main thread sleeps
in :meth:`Signals.wait` until a signal, the end of the output or a deadline wakes it.

The job is over when its command is over. Descendants that outlive it get ``LINGER`` seconds for their last bytes
(after a stop: what is left of the grace), then TERM and KILL, whatever group they have moved to: in a container they
would die with PID 1 a moment later anyway, and nobody reads their output any more. They are named
(:mod:`.leftovers`), or waited for, if that is wished.
"""

from __future__ import annotations

import math
import os
import signal
import time

from ...ground.safe_files import replace_own
from ...job import AskedBy, Ending, Log
from ...masking.stream import Redactor
from ...reporting.prose import counted
from .. import processes
from ..output.pump import ConsoleWriter, Pump
from ..stop import stop_file
from ..stop.course import Course
from ..stop.signals import RepeatedRequests, Signals
from . import cgroup
from .launch import CommandOutput, Launch, outlives_its_terminal, start
from .leftovers import Leftovers, named, worst
from .reaper import Orphan, reap_orphans
from .stall import Watch, describe
from .terminal import Terminal, can_be_resumed

LINGER = 1.0  # seconds for what outlives the command, when nobody asked for a stop
LINGER_TERM = 0.7  # of these: from here on TERM has been sent
STACKS = 2.0  # seconds for the stacks of a command that its time limit or another node's failure ends
LOOK_HOLDS = 30.0  # seconds beyond the grace in which stacks are not taken again

# Signals that the kernel sends to a process for its own deeds, limits included: nobody asked for them.
OWN_DEEDS: frozenset[int] = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
    | {signal.SIGPIPE, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU, signal.SIGXFSZ}
)
JOB_CONTROL: frozenset[int] = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})


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
        self.relay = launch.relay
        self.terminal = Terminal.of(0) if self.relay is None else None
        self.started = self.ended = 0.0
        self.pid = -1
        self.strangers: frozenset[int] = frozenset()
        self.pump: Pump
        self.console: ConsoleWriter
        self.log_start = 0  # the size of the log when this life begins
        self.status: int | None = None  # as wait(2) gives it, once the command has ended
        self.asked_by = AskedBy.NOBODY
        self.course: Course | None = None  # of the stop, once somebody has asked for one
        self.repeated = RepeatedRequests()
        self.awaiting = False  # the command has ended, and who holds its output is waited for
        self.leftovers = Leftovers()
        self.computed: dict[int, int] = {}  # clock ticks of who outlived the command, when it ended
        self.orphans: list[Orphan] = []  # who has ended behind the command
        self.cut_at: int | None = None  # how many of them had, when a stop ended the wait for the others
        self.suspended = False
        self.kill_at = math.inf  # when KILL is due
        self.term_at = math.inf  # when TERM is due to what outlives the command
        self.timeout_at = math.inf
        self.look_again_at = 0.0
        self.watch: Watch | None = None
        self.give_up_at = math.inf
        self.hurried = False
        self.killed: list[str] = []
        self.notes: list[str] = []

    # --- the story -------------------------------------------------------------------------------------------------

    def run(self) -> Ending:
        self.strangers = processes.strangers()
        processes.become_subreaper()
        if self.launch.stop_file_path:
            stop_file.remove(self.launch.stop_file_path)
        self.signals.supervising = True
        try:
            self._start()
            if self.signals.stop.is_set():  # asked for while there was no command yet; however often, it counts once
                self.signals.requests.clear()
                self._stop(self.signals.asked_by, self.signals.first, self.signals.why)
            while not self._over():
                for number in self.signals.wait(self._until_next()):
                    self._on_signal(number)
                while self.signals.looks:
                    self._look(self.signals.looks.popleft())
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
            if self.relay is not None:
                self.relay.end()
        self.pump.join(0.2)  # it has said that it is done, or it was given up
        return self._ending()

    def _start(self) -> None:
        launch = self.launch
        self.pid = start(launch, self._output, self.terminal, self.memory.limit() if self.memory else None)
        self.timeout_at = time.monotonic() + launch.timeout if launch.timeout else math.inf
        if launch.stall_timeout:
            self.watch = Watch(launch.stall_timeout, (list) if launch.stall_is_silence else self._left)
        self.log.debug("command started", pid=self.pid)

    def _output(self) -> CommandOutput:
        output = CommandOutput(self.launch, self.signals.wake, self.log.warning)
        self.pump, self.console = output.pump, output.console
        self.log_start = _size(self.launch.log_path)
        self.signals.wait(0)  # signals that came before there was anybody to pass them to
        self.started = time.time()
        return output

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
        elif number == signal.SIGWINCH and self.relay is not None:
            self.relay.resize()
        else:
            self._forward(number)

    def _stop(self, by: AskedBy, number: int | None, why: str) -> None:
        """Ask the command to end, and plan what happens if it does not. Asked again, nothing changes: a preStop hook
        and the kubelet's own TERM are two. Only a person who presses Ctrl-C once more is in a hurry.
        """
        if self.course is None and self.status is None and by in (AskedBy.STALL, AskedBy.TIMEOUT, AskedBy.PEER):
            self._look(why, by)
        now = time.monotonic()
        course = self.course or self._begin_stop(by, number, why, now)
        if by is AskedBy.USER and number in (signal.SIGINT, signal.SIGQUIT):
            self.kill_at = course.kill_at = min(course.kill_at, self.repeated.kill_at(now))

    def _begin_stop(self, by: AskedBy, number: int | None, why: str, now: float) -> Course:
        launch = self.launch
        if self.awaiting:
            self.cut_at = len(self.orphans)
        elif self.status is not None:
            self._name_leftovers()
        self.asked_by, self.watch, self.term_at, self.awaiting = by, None, math.inf, False
        begin = self.signals.stopped_at if self.signals.stopped_at is not None else now
        self.kill_at = begin + launch.plan.kill_after
        seconds = max(0.0, self.kill_at - now)
        if launch.stop_file_path:
            trouble = stop_file.write(launch.stop_file_path, by, number, why, seconds)
            self.notes += [trouble] if trouble else []
        chosen = number if number in (signal.SIGINT, signal.SIGQUIT) else launch.stop_signal
        course = self.course = Course(self.pid, chosen, launch.stop_to, self._family, self.kill_at)
        course.act(self.status is not None)
        if self.suspended:
            self._forward(signal.SIGCONT)
        # after the signal: a console that takes nothing must not cost the command its time
        self.log.warning("stopping the command", asked_by=by.value, why=why, seconds_until_kill=round(seconds, 1))
        return course

    def _reap(self) -> None:
        """Take the status of the command and of every orphan that has ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and self.course is not None:
                self.course.look_soon()
            if pid and os.WIFSTOPPED(status):
                self._child_stopped()
            elif pid:
                self._child_ended(status)
        self._reap_orphans()

    def _reap_orphans(self) -> None:
        orphans = reap_orphans(self.pid)
        if self.status is not None:
            self.orphans += orphans

    def _child_ended(self, status: int) -> None:
        self.status = status
        self.ended = time.time()
        if self.course is not None:
            return
        if self.launch.wait_for_output and not self.pump.done and (left := self._left()):
            self.awaiting = True
            self.log.info(f"the command has ended; waiting for processes that still hold its output: {named(left)}")
        else:
            self._linger()

    def _linger(self) -> None:
        """The command is over, and nobody asked for it: what is left of it has a moment for its last bytes."""
        now = time.monotonic()
        self.awaiting, self.timeout_at, self.watch = False, math.inf, None
        self.term_at, self.kill_at = now + LINGER_TERM, now + LINGER
        self.computed = {one.pid: one.cpu for one in self._left()} if self._others_left() else {}

    def _name_leftovers(self) -> None:
        launch = self.launch
        waited = launch.wait_for_output
        self.leftovers = Leftovers.of(self._left(), launch.environ, self.computed, LINGER_TERM, waited=waited)

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
        if self.relay is not None:
            self.relay.let_go()
        os.kill(os.getpid(), signal.SIGSTOP)
        return True

    def _resume(self) -> None:
        self.suspended = False
        if self.watch is not None:
            self.watch.begin_anew()
        if self.terminal is not None and self.status is None:
            self.terminal.lend(self.pid)
        if self.relay is not None:
            self.relay.take_again()
        self._forward(signal.SIGCONT)

    def _on_time(self) -> None:
        now = time.monotonic()
        if now >= self.timeout_at:
            self.timeout_at = math.inf
            self._stop(AskedBy.TIMEOUT, None, f"it ran longer than {self.launch.timeout:.1f} s")
        if self.watch is not None and not self.suspended and self.watch.stalled(self.pump.bytes):
            self._stalled()
        if self.awaiting and self.pump.done:
            self.ended = time.time()
            self._linger()
        if now >= self.term_at:
            self.term_at = math.inf
            self._name_leftovers()
            processes.signal_all(self.leftovers.everybody, signal.SIGTERM)
        if self.course is not None:
            self.course.act(self.status is not None)
        if now >= self.kill_at:
            self._kill(now)

    def _stalled(self) -> None:
        """Nothing has come for too long: ask it to end, once it is written down what it was doing."""
        launch = self.launch
        lacks = "has written nothing" if launch.stall_is_silence else "has neither written nor computed anything"
        self.log.warning(f"the command {lacks}", for_seconds=launch.stall_timeout)
        what = "no output" if launch.stall_is_silence else "no output and no work"
        self._stop(AskedBy.STALL, None, f"{what} for {launch.stall_timeout:g} s")

    def _look(self, why: str, by: AskedBy = AskedBy.NOBODY) -> None:
        """Write down what it is doing, for whoever must find out why, before it is asked to end; ``by`` nobody, because
        another node wants to stop. What was seen a moment ago, for the same reason, is not overwritten by what the
        others' end makes of it.
        """
        launch, now = self.launch, time.monotonic()
        if launch.stacks_path and self.course is None and self.status is None and now >= self.look_again_at:
            self.look_again_at = now + launch.plan.kill_after + LOOK_HOLDS
            if by in (AskedBy.STALL, AskedBy.TIMEOUT):
                launch.look(why)
            self._write_stacks(launch.stacks_path, by)
        launch.looked(by is not AskedBy.NOBODY)

    def _write_stacks(self, path: str, by: AskedBy) -> None:
        """A stall may take its time; where others wait for this node to end, few seconds must do."""
        launch = self.launch
        until = math.inf if by is AskedBy.STALL else time.monotonic() + STACKS
        asked = self.signals.stop.is_set
        hurry = asked if by is AskedBy.STALL else lambda: time.monotonic() >= until
        text = describe(self._left(), launch.environ, hurry=hurry)
        if launch.secrets is not None:
            text = Redactor(launch.secrets).mask(text)
        try:
            replace_own(path, text.encode("utf-8", "surrogateescape"))
            self.notes.append(f"what its processes were doing is in {path}")
        except OSError as error:
            self.notes.append(f"what its processes were doing could not be written down: {error}")

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
            self.give_up_at = now + self.launch.plan.dying_takes
        # children that were born between the look and the kill are found by the next look
        self.kill_at = now + 0.05 if left or self.status is None else math.inf
        if self.status is not None and not left and not self.hurried:
            self.hurried = True
            self.console.hurry()
            self.pump.finish()

    # --- small questions ---------------------------------------------------------------------------------------------

    def _until_next(self) -> float | None:
        look_at = self.watch.next_at if self.watch is not None and not self.suspended else math.inf
        stop_at = self.course.next_at if self.course is not None else math.inf
        next_at = min(self.timeout_at, self.term_at, self.kill_at, self.give_up_at, look_at, stop_at)
        return None if next_at == math.inf else max(0.0, next_at - time.monotonic())

    def _left(self) -> list[processes.Process]:
        """What there is of the command and whatever it started."""
        return processes.descendants(self.pid, self.strangers)

    def _family(self) -> list[processes.Process] | None:
        """The same for who decides over it: None where it cannot be known."""
        return self._left() if processes.readable() else None

    def _others_left(self) -> bool:
        """Whether descendants outlive the command and their time is not over."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False  # nobody at all: no need to search /proc
        return bool(self._left())

    def _forward(self, number: int) -> None:
        """To the command's group; when the command itself is gone, to what it left behind."""
        if number == signal.SIGHUP and outlives_its_terminal(self.launch):
            number = signal.SIGTERM
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
            seconds = self.launch.plan.dying_takes
            self.notes.append(
                f"the command did not die within {seconds:.1f} s of KILL (does a device or file server hang?)"
            )
            code = -signal.SIGKILL
        else:
            code = os.waitstatus_to_exitcode(self.status)
            self._reap_orphans()
            if code == 0 and self.cut_at is not None:  # the job went on in those that were waited for
                code = worst(self.orphans[self.cut_at :])
        if self.killed:
            self.notes.append(
                f"{counted(len(self.killed), 'process', 'processes')} had to be killed: {named(self.killed)}"
            )
        if self.relay is not None and self.course is None:
            self.leftovers = self.leftovers.with_hung_up(self.orphans)
        self.notes += self.leftovers.notes()
        asked_by = self.asked_by
        if asked_by is AskedBy.NOBODY and code != 0 and struck is not None:
            asked_by = AskedBy.KERNEL
        elif asked_by is AskedBy.NOBODY and code < 0 and -code not in OWN_DEEDS:
            typed = (self.terminal or self.relay) is not None and -code in (signal.SIGINT, signal.SIGQUIT)
            asked_by = AskedBy.USER if typed else AskedBy.UNKNOWN
        return Ending(
            status=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            asked_by=asked_by,
            out_of_memory=struck,
            started=self.started,
            ended=self.ended or time.time(),
            notes=tuple(self.notes),
            log_start=self.log_start,
            life_started=self.started,
            signalled=tuple(self.course.signalled) if self.course is not None else (),
            cut_short=self.leftovers.cut_short,
        )


def _size(path: str | None) -> int:
    try:
        return os.path.getsize(path) if path else 0
    except OSError:  # it cannot be written either, and the log file says so
        return 0
