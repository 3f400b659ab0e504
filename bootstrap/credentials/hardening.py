"""What others on the node can learn from us: secret files open to everybody, core dumps, our own /proc entries."""

from __future__ import annotations

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..values import dataclass

_PR_SET_DUMPABLE = 4


def loose_permissions(path: str) -> str:
    """What is wrong with the mode of a file that holds a secret, and the cure, in one sentence; "" when nothing is.

    Docker's and Kubernetes' own mounts are 0444 and 0644 unless told otherwise, so the cure names their knobs too.
    """
    try:
        status = Path(path).stat()
    except OSError:  # whoever reads it will say so, better than we can
        return ""
    if not stat.S_ISREG(status.st_mode):
        return ""
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        verb = "changed"
    elif mode & (stat.S_IRGRP | stat.S_IROTH):
        verb = "read"
    else:
        return ""
    whom = "every user" if mode & stat.S_IRWXO else "its group"
    return (
        f"{path} holds a secret and can be {verb} by {whom} of this container (mode {mode:04o}): chmod 600 it, "
        "or set defaultMode: 0400 (Kubernetes) or mode: 0400 (Docker) where it is mounted"
    )


@dataclass(frozen=True, slots=True)
class Hardening:
    """What :func:`harden` did. ``core``: the limit as it was (soft, hard; bytes); ``notes``: what could not be done."""

    core: tuple[int, int]
    dumpable_off: bool
    notes: tuple[str, ...] = ()

    @classmethod
    def none(cls) -> Hardening:
        """Nothing has been done yet: the limits as they are now."""
        return cls(resource.getrlimit(resource.RLIMIT_CORE), False)

    @contextmanager
    def as_before_for_children(self) -> Iterator[None]:
        """Start the user's command inside: a child inherits limits, and its core dumps are its owner's business.

        Only the core limit is given back for that moment. Not being dumpable needs no such care: the kernel resets
        it when the child executes its program, and it keeps us from dumping core meanwhile.
        """
        now = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, self.core)
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, now)


def harden() -> Hardening:
    """Keep the keys in our memory and environment from other processes; to be called once keys are held.

    No core dumps (the soft limit, so that the command can have the old one back), and not dumpable where the kernel
    allows it: then neither a debugger nor ``/proc/<our pid>/environ`` and ``mem`` are open to other processes of the
    same user, the command included. The price: as a user other than root, files of ``/proc/self`` that only their
    owner may open (``environ``, ``io``, writing ``oom_score_adj``) are closed to us too; ``fd``, ``status``, ``stat``,
    ``cgroup`` and ``mountinfo`` stay open, and so do all entries of our children, if only some milliseconds after
    ``Popen`` has returned. What must be written to our own entries is opened before.
    """
    core = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, core[1]))
    why = _set_dumpable(False)
    notes = (f"our process stays readable to others of its user: {why}",) if why else ()
    return Hardening(core, not why, notes)


def _set_dumpable(on: bool) -> str:
    """Returns "" when done, else why not."""
    try:
        result = _prctl(_PR_SET_DUMPABLE, int(on))
    except (OSError, AttributeError) as error:  # a C library without prctl
        return str(error)
    return "" if result == 0 else "prctl refused"


def _prctl(option: int, value: int) -> int:
    import ctypes  # a few milliseconds that a job without keys need not pay

    return int(ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))))
