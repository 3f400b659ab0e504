"""Pseudo-terminals for the command: one for its output alone, or one that it has as its own, relayed to ours.

``docker run -it IMAGE /bin/bash`` gives a shell because the command gets a terminal of its own as its *controlling*
terminal: with us between the two, as with ssh and sudo, a shell has job control, Python its prompt and a full-screen
program the screen, while the log still gets every byte. :class:`Relay` keeps our terminal raw meanwhile, so that each
key reaches the command's terminal, which makes signals of some of them; it passes on the size of the window, and lets
go of the terminal while we are suspended.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..stop.signals import Stop

if TYPE_CHECKING:
    from .pump import Sink

KEYS = 1024  # bytes of input read at once: what somebody types, or pastes
_FULL_SCREEN = (b"\x1b[?1049", b"\x1b[?1047", b"\x1b[?47")  # xterm's alternate screen; h enters it, l leaves it


def output_terminal() -> tuple[int, int]:
    """A pseudo-terminal for the command's output alone: it changes no byte, and is as wide as the terminal we have."""
    import termios  # only where a terminal is asked for

    read, write = os.openpty()
    attributes = termios.tcgetattr(write)
    attributes[1] &= ~termios.OPOST  # "\n" stays "\n"
    termios.tcsetattr(write, termios.TCSANOW, attributes)
    columns, lines = 80, 24
    for fd in (0, 1, 2):
        with suppress(OSError):
            columns, lines = os.get_terminal_size(fd)
            break
    _resize(write, lines, columns)
    return read, write


class Relay:
    """Our terminal, passed on to the command for the time of its life. Used by the main thread, but for the keys.

    First ``open``, ``adopt`` (in the child) and ``begin``; then ``resize``, ``let_go`` and ``take_again`` as signals
    come; ``end``, after which it can be opened again for the next life of a command that is restarted.
    """

    def __init__(self, terminal: int = 0) -> None:
        self._terminal = terminal
        self._master = -1
        self._group, self._resumable = -1, False
        self._cooked: list[Any] = []  # our terminal's attributes, as they were
        self._stop = Stop()
        self._reading = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._held: list[str] = []
        self._screen: Callable[[str], None] | None = None
        self.alternate = False  # whether a program is on the alternate screen: our lines wait

    @staticmethod
    def of(keys: int = 0, screen: int = 1) -> Relay | None:
        """The relay if input and output are our controlling terminal and we have it; a background job has not."""
        try:
            if os.isatty(screen) and os.tcgetpgrp(keys) == os.getpgrp():
                return Relay(keys)
        except OSError:  # no terminal, or not the one that controls us
            pass
        return None

    # --- one life of the command -----------------------------------------------------------------------------------

    def open(self) -> tuple[int, int]:
        """Our end and the command's end of a terminal set as ours is. Raises OSError when there is none left."""
        import termios

        master, slave = os.openpty()
        try:
            self._cooked = termios.tcgetattr(self._terminal)
            termios.tcsetattr(slave, termios.TCSANOW, self._cooked)
        except termios.error:  # it hung up just now: the command gets a terminal as the kernel makes them
            self._cooked = []
        self.alternate = False  # before the pump passes the command's first bytes
        self._master = os.dup(master)  # the pump owns the other, and closes it
        os.set_inheritable(self._master, False)
        self.resize()
        return master, slave

    @staticmethod
    def adopt() -> None:
        """In the child, which leads a session of its own: its standard input becomes its controlling terminal."""
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def begin(self, group: int, screen: Screen, *, resumable: bool) -> None:
        """Pass keys on; ``group`` is the command's process group, ``resumable`` whether a shell could resume *us*."""
        self._group, self._resumable = group, resumable
        self._stop = Stop()
        with self._lock:
            self._screen = screen.say
        self.take_again()
        self._thread = threading.Thread(target=self._pass_keys, name="keys", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Our terminal is as it was; what we had to say meanwhile is said."""
        self.leave()
        self._stop.set()
        self._reading.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.let_go()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def resize(self) -> None:
        """Our window has another size: so has the command's, whose kernel tells it by WINCH."""
        with suppress(OSError):
            columns, lines = os.get_terminal_size(self._terminal)
            _resize(self._master, lines, columns)

    def let_go(self) -> None:
        """We are about to be suspended, or at the end: the terminal is the shell's again, as it was."""
        self._reading.clear()
        if self._cooked:
            self._set(self._cooked)

    def take_again(self) -> None:
        """The terminal is raw, if it is ours: after `bg` it is not, until `fg`."""
        import termios

        with suppress(OSError):
            if not self._cooked or os.tcgetpgrp(self._terminal) != os.getpgrp():
                return
        raw = [*self._cooked]
        raw[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON | termios.INLCR)
        raw[0] &= ~(termios.IGNCR | termios.IXOFF)
        raw[1] &= ~termios.OPOST
        raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
        raw[6] = [*raw[6]]
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        self._set(raw)
        self.resize()
        self._reading.set()

    # --- the keys ----------------------------------------------------------------------------------------------------

    def _pass_keys(self) -> None:
        """Until the end, or until nobody types any more: our terminal has hung up, which a signal tells the command."""
        while not self._stop.is_set():
            self._reading.wait()
            if not self._ready(self._terminal, select.POLLIN) or not self._reading.is_set():
                continue
            try:
                keys = os.read(self._terminal, KEYS)
            except OSError:
                return
            if not keys:
                return
            before, suspend, behind = self._divided(keys)
            self._write(before)
            if suspend:
                self._reading.clear()
                os.kill(os.getpid(), signal.SIGTSTP)  # to ourselves, whose supervisor suspends the command first
                self._reading.wait()
                self._write(behind)

    def _divided(self, keys: bytes) -> tuple[bytes, bool, bytes]:
        """``keys`` at a Ctrl-Z that is for us: nobody in the command's session can resume what it would stop there."""
        import termios

        with suppress(termios.error, OSError):
            attributes = termios.tcgetattr(self._master)  # those of the other end
            key = attributes[6][termios.VSUSP]
            if key != b"\0" and key in keys and attributes[3] & termios.ISIG and self._resumable:
                ours = os.tcgetpgrp(self._master) == self._group  # not that of a shell's job, which the shell resumes
                before, _, behind = keys.partition(key)
                return (before, True, behind) if ours else (keys, False, b"")
        return keys, False, b""

    def _write(self, keys: bytes) -> None:
        while keys and self._ready(self._master, select.POLLOUT):
            try:
                keys = keys[os.write(self._master, keys) :]
            except BlockingIOError:
                continue
            except OSError:  # nobody has the other end open any more
                return

    def _ready(self, fd: int, what: int) -> bool:
        """Wait until it can be read or written; False when it is the end that came."""
        poller = select.poll()
        poller.register(fd, what)
        poller.register(self._stop, select.POLLIN)
        poller.poll()
        return not self._stop.is_set()

    def _set(self, attributes: list[Any]) -> None:
        import termios

        # The kernel stops a background process that does this, unless it blocks TTOU.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
        try:
            with suppress(termios.error):  # it has hung up
                termios.tcsetattr(self._terminal, termios.TCSANOW, attributes)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    # --- our own lines -----------------------------------------------------------------------------------------------

    def say(self, text: str, write: Callable[[str], None]) -> None:
        """Show lines of ours where they disturb nobody: among the command's bytes, in their order, or later while a
        program edits the screen. ``write`` is for when there is no command.
        """
        with self._lock:
            self._held.append(text)
            if self._screen is not None and not self._is_taken():
                self._release(self._screen)
            elif self._screen is None and not self.alternate:  # else its first bytes were quicker than ``begin``
                self._release(write)

    def show(self, write: Callable[[str], None]) -> None:
        """The command is gone: what was held back."""
        with self._lock:
            self._release(write)

    def pass_on(self, data: bytes, write: Callable[[bytes], None], screen: Callable[[str], None]) -> None:
        """Write the command's bytes. The last such word in them says whether it is on the alternate screen: from before
        it enters, and until after it has left, our lines are held back. Behind them they are shown on the ``screen``.
        """
        place, word = max((data.rfind(word), word) for word in _FULL_SCREEN)
        enters = data[place + len(word) : place + len(word) + 1] == b"h" if place >= 0 else None
        if enters:
            with self._lock:
                self.alternate = True
        write(data)
        with self._lock:
            if enters is not None:
                self.alternate = enters
            if self._held and not self._is_taken():
                self._release(screen)

    def hold(self) -> None:
        """The screen shows its last bytes, which our lines must not overtake: they wait until it is left."""
        with self._lock:
            self._screen, self.alternate = None, True

    def leave(self) -> None:
        """The screen takes no more of our lines."""
        with self._lock:
            self._screen, self.alternate = None, False

    def _release(self, write: Callable[[str], None]) -> None:
        held, self._held = "".join(self._held), []
        if held:
            write(held)

    def _is_taken(self) -> bool:
        import termios

        with suppress(termios.error, OSError):  # line editors and games switch the kernel's line editing off
            return self.alternate or not termios.tcgetattr(self._master)[3] & termios.ICANON
        return self.alternate


class Plain:
    """A sink for the log: line ends as the command wrote them, not as its terminal shows them."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._return = b""  # the last byte, if it is one that may belong to a line's end

    def write(self, data: bytes) -> None:
        data = self._return + data
        self._return = b"\r" if data.endswith(b"\r") else b""
        self._sink.write(data[: len(data) - len(self._return)].replace(b"\r\n", b"\n"))

    def close(self) -> None:
        if self._return:
            self._sink.write(self._return)
        self._sink.close()

    def notes(self) -> list[str]:
        return self._sink.notes()


class Screen:
    """A sink for the console that tells the relay what passes, and takes our lines among it."""

    def __init__(self, sink: Sink, relay: Relay) -> None:
        self._sink, self._relay = sink, relay

    def write(self, data: bytes) -> None:
        self._relay.pass_on(data, self._sink.write, self.say)

    def say(self, text: str) -> None:
        """Lines of ours: on a raw terminal a line's end does not return to the first column by itself."""
        self._sink.write(text.replace("\n", "\r\n").encode(errors="surrogateescape"))

    def close(self) -> None:
        self._relay.hold()
        self._sink.close()
        self._relay.leave()

    def notes(self) -> list[str]:
        return self._sink.notes()


def _resize(fd: int, lines: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
