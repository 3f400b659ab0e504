"""The command's process tree as /proc shows it now: what :mod:`.targets` decides over."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..processes import Process
from .targets import Member, ProcessTree

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"})
_INT_AND_QUIT = 0b110  # bits 2 and 3 of a signal set, counted from 1

_SIGTIMEDWAIT = frozenset({b"128"} if os.uname().machine == "x86_64" else {b"137"})  # numbers of rt_sigtimedwait(2)

# What launchers give each of their processes and not themselves: torchrun, accelerate and DeepSpeed; Open MPI; MPICH,
# Intel MPI and PMI; Slurm; Paddle; Horovod; MVAPICH; MindSpore's msrun and Ascend scripts.
RANK_VARIABLES = frozenset(
    {
        *("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_RANK", "PMIX_RANK", "SLURM_LOCALID"),
        *("PADDLE_LOCAL_RANK", "PADDLE_RANK_IN_NODE", "PADDLE_TRAINER_ID", "HOROVOD_LOCAL_RANK"),
        *("MV2_COMM_WORLD_LOCAL_RANK", "PALS_LOCAL_RANKID", "RANK_ID", "DEVICE_ID"),
    }
)


def snapshot(processes: Iterable[Process], command: int, number: int) -> ProcessTree:
    """``processes`` with all that matters for signal ``number``; who is gone meanwhile is left out."""
    family = {one.pid: one for one in processes}
    words = {pid: _read(f"/proc/{pid}/cmdline") for pid in family}
    members = (_member(one, family.get(one.parent), words, command, number) for one in family.values())
    return ProcessTree({member.pid: member for member in members if member is not None}, command)


def _member(
    process: Process, parent: Process | None, words: dict[int, bytes], command: int, number: int
) -> Member | None:
    sets = _signal_sets(process.pid)
    bit = 1 << (number - 1)
    shell = _program(process) in _SHELLS
    own = words[process.pid]
    copy = not shell and parent is not None and bool(own) and own == words[parent.pid]
    helper = b"multiprocessing" in own and any(
        name in own for name in (b"spawn_main", b"resource_tracker", b"forkserver")
    )
    blocks = bool(sets.get("SigBlk", 0) & bit)
    return Member(
        process.pid,
        process.parent,
        process.started,
        process.name,
        listens=blocks or bool(sets.get("SigCgt", 0) & bit) or _waits_for_signals(process.pid),
        deaf=blocks and bool((sets.get("ShdPnd", 0) | sets.get("SigPnd", 0)) & bit),
        shell=shell,
        background=_in_background(sets),
        copy=copy or helper,
        rank=_rank(process.pid),
        stopped=process.state == "T",
        group=process.group,
        ours=command in (process.session, process.group),
    )


def _in_background(sets: dict[str, int]) -> bool:
    """Whether a shell started it with ``&``: it ignores INT and QUIT, save for one that it has a handler for since."""
    ignored, caught = (sets.get(name, 0) & _INT_AND_QUIT for name in ("SigIgn", "SigCgt"))
    return bool(ignored) and ignored | caught == _INT_AND_QUIT


def _signal_sets(pid: int) -> dict[str, int]:
    """The masks of /proc/PID/status by name; none where it cannot be read."""
    sets = {}
    for line in _read(f"/proc/{pid}/status").splitlines():
        name, _, value = line.partition(b":")
        if name.startswith(b"Sig") or name == b"ShdPnd":
            try:
                sets[name.decode()] = int(value, 16)
            except ValueError:  # SigQ is two numbers
                continue
    return sets


def _waits_for_signals(pid: int) -> bool:
    """Whether it sleeps in sigwait(3) or its like (tini does): the kernel unblocks the signals for so long, and
    SigBlk does not show them.
    """
    return (
        b"sigtimedwait" in _read(f"/proc/{pid}/wchan") or _read(f"/proc/{pid}/syscall").split(b" ")[0] in _SIGTIMEDWAIT
    )


def _program(process: Process) -> str:
    """The file it runs; a script's process is named after the script."""
    try:
        return os.path.basename(os.readlink(f"/proc/{process.pid}/exe"))
    except OSError:
        return process.name


def _rank(pid: int) -> tuple[str, ...]:
    found = []
    for entry in _read(f"/proc/{pid}/environ").split(b"\0"):
        name = entry.partition(b"=")[0].decode(errors="replace")
        if name in RANK_VARIABLES:
            found.append(entry.decode(errors="replace"))
    return tuple(sorted(found))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
