"""Job control where our stdin is a terminal (``docker run -it``, a shell): the command gets the foreground."""

from __future__ import annotations

import errno
import os
import signal


class Terminal:
    """The terminal on ``fd``, lent to the command's process group and taken back."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ours = os.getpgrp()

    @staticmethod
    def of(fd: int = 0) -> Terminal | None:
        """The terminal if it is ours to lend: the controlling one, with us in the foreground or as a shell's job."""
        try:
            os.tcgetpgrp(fd)
        except OSError:  # not a terminal, or not the one that controls us
            return None
        return Terminal(fd)

    def lend_in_child(self) -> None:
        """Between fork and exec: a group of its own, in the foreground if we were there."""
        foreground = os.tcgetpgrp(self._fd) == self._ours
        os.setpgid(0, 0)
        if foreground:
            self._give(os.getpid())

    def lend(self, group: int) -> None:
        """Give the foreground to ``group`` if a shell has put us there (``fg``)."""
        self._move(self._ours, group)

    def take_back(self, group: int) -> None:
        """The foreground is ours again if ``group`` had it."""
        self._move(group, self._ours)

    def _move(self, holder: int, group: int) -> None:
        try:
            if os.tcgetpgrp(self._fd) == holder:
                self._give(group)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ENOTTY, errno.EPERM, errno.ESRCH, errno.EBADF):
                raise  # hung up, or the group is gone: nothing to lend; anything else is a defect

    def _give(self, group: int) -> None:
        # the kernel stops a background process that does this, unless it blocks TTOU
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
        try:
            os.tcsetpgrp(self._fd, group)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def can_be_resumed() -> bool:
    """Whether somebody could continue us, were we stopped: not PID 1, and not the leader of a session."""
    return os.getpid() != 1 and os.getsid(0) != os.getpid()
