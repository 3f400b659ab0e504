"""``bootstrap simulate``: rehearse a job of several nodes on this machine, before paying for it.

    bootstrap simulate --nodes 4 --platform dls -- python train.py --epochs 1
    bootstrap simulate --nodes 2 --platform volcano --with "--launcher torchrun --barrier" -- train.py
    bootstrap simulate --platform volcano --job job.yaml --kill 1@20

Every node is a real `bootstrap run` with the environment that the platform would give it, its own directories and, for
root, its own network: eth0 and ib0, names that resolve. Its settings are options in --with, and BOOTSTRAP_ variables.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from ..errors import PathUnusable, UsageError
from ..platforms import pretend
from ..rehearsal import jobfile, machines, play

VERBATIM = ("--with",)
"""Options whose value looks like an option itself."""

_HELP = "see bootstrap simulate --help"
_MOST = 250  # the lab's networks have so many addresses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, metavar="N", help="how many (default: 2, or what the job file says)")
    parser.add_argument("--platform", choices=("dls", "modelarts", "volcano"), required=True)
    parser.add_argument("--job", metavar="job.yaml", type=Path, help="a GPU manager's job file: its tasks and commands")
    parser.add_argument("--slots", type=int, metavar="N", default=0, help="processes (accelerators) a node")
    parser.add_argument("--with", dest="options", metavar="OPTIONS", default="", help="options of each `bootstrap run`")
    parser.add_argument("--network", choices=("auto", "namespaces", "loopback"), default="auto")
    parser.add_argument("--directory", metavar="DIR", type=Path, help="the nodes' directories (default: a new one)")
    for fault, text in play.FAULTS.items():
        parser.add_argument(
            f"--{fault}", metavar="NODE@SECONDS", action="append", default=[], help=f"{text}; repeatable"
        )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND [ARG...]")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    job = _in_order(jobfile.read(arguments.job)) if arguments.job else None
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    name, roles = _roles(arguments, job)
    count = sum(number for _, number in roles)
    if not 0 < count <= _MOST:
        raise UsageError(f"{count} nodes cannot be rehearsed", where="--nodes", why=f"1 to {_MOST} can", remedy=_HELP)
    if arguments.slots < 0:
        raise UsageError(f"a node cannot have {arguments.slots} processes", where="--slots", remedy=_HELP)
    options = _options(arguments.options)
    commands = _commands(job, command, count)
    faults = [_fault(kind, text, count) for kind in play.FAULTS for text in getattr(arguments, kind)]
    directory = (arguments.directory or Path(tempfile.mkdtemp(prefix="rehearsal-"))).absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathUnusable("the nodes have no place", where=str(directory), why=str(error.strerror)) from error
    for warning in job.warnings if job else ():
        print(f"warning: {warning}", file=sys.stderr)

    apart = arguments.network == "namespaces" or (arguments.network == "auto" and machines.can_have_namespaces())
    if arguments.partition and not apart:
        raise UsageError(
            "--partition needs a network of its own for each node",
            why="here all nodes share the loopback",
            remedy="rehearse as root where network namespaces are allowed, or use --kill",
        )
    found = pretend.containers(arguments.platform, name, roles, slots=arguments.slots)
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: no node and no network is left behind
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, signal.default_int_handler)
    with machines.namespaces([one.host for one in found], directory) if apart else nullcontext() as built:
        if built is None:
            built = machines.loopback(count)
            addresses = [machine.address for machine in built]
            found = pretend.containers(arguments.platform, name, roles, slots=arguments.slots, addresses=addresses)
        print(f"{count} nodes in {directory}, {'network namespaces' if apart else 'on the loopback'}", flush=True)
        parts = [
            _part(machine, container, directory / f"node-{number}", environ, options, commands[number])
            for number, (machine, container) in enumerate(zip(built, found, strict=True))
        ]
        play.play(parts, faults, _say_in_turn())
    print()
    print("\n".join(play.table(parts)), flush=True)
    return play.verdict(parts)


def _in_order(job: jobfile.JobFile) -> jobfile.JobFile:
    order = pretend.in_global_order(task.name for task in job.tasks)
    return replace(job, tasks=tuple(sorted(job.tasks, key=lambda task: order.index(task.name))))


def _roles(arguments: argparse.Namespace, job: jobfile.JobFile | None) -> tuple[str, list[tuple[str, int]]]:
    if job is None:
        name = "jobab12cd34" if arguments.platform == "dls" else "rehearsal"
        return name, [("worker", 2 if arguments.nodes is None else arguments.nodes)]
    roles = [(task.name, task.amount) for task in job.tasks]
    if arguments.nodes is not None and arguments.nodes != sum(number for _, number in roles):
        raise UsageError(
            f"--nodes {arguments.nodes} contradicts the job file",
            where=str(arguments.job),
            why=", ".join(f"{number} of {role}" for role, number in roles),
            remedy="leave --nodes out",
        )
    return job.name, roles


def _commands(job: jobfile.JobFile | None, command: Sequence[str], count: int) -> list[Sequence[str]]:
    """The command of each node: what was given, else what the node's task says."""
    if command:
        return [command] * count
    if job is None:
        raise UsageError("there is no command", remedy="write it behind --, such as -- python train.py")
    for task in job.tasks:
        if not task.command:
            raise UsageError(
                f"task {task.name} has no command, and there is no image here", remedy="write one behind --"
            )
    return [task.command for task in job.tasks for _ in range(task.amount)]


def _options(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:  # a quotation without its end
        raise UsageError(f"--with cannot be {text!r}", why=str(error).lower(), remedy=_HELP) from error


def _fault(kind: str, text: str, count: int) -> play.Fault:
    found = re.fullmatch(r"(\d+)@(\d+(?:\.\d+)?)", text)
    if not found or int(found[1]) >= count:
        why = f"say NODE@SECONDS, with a node of 0 to {count - 1}"
        raise UsageError(f"--{kind} cannot be {text!r}", why=why, remedy=_HELP)
    return play.Fault(kind, int(found[1]), float(found[2]))


def _part(
    machine: machines.Machine,
    container: pretend.Container,
    home: Path,
    environ: Mapping[str, str],
    options: Sequence[str],
    command: Sequence[str],
) -> play.Part:
    for directory in (home, home / "tmp"):
        directory.mkdir(parents=True, exist_ok=True)
    own = {
        **pretend.without_platform(environ),
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "HOSTNAME": container.host.partition(".")[0] if machine.front else container.host,
        "BOOTSTRAP_LOG_FILE": str(home / "job.log"),
        "BOOTSTRAP_JOB_DIR": str(home / "job"),
        **machine.environ,
        **container.environ,
    }
    # With no code to fetch, the command is one of the directory that the person is in.
    if not any(word.split("=")[0] in ("--code", "--work-dir") for word in options) and "BOOTSTRAP_CODE" not in environ:
        own.setdefault("BOOTSTRAP_WORK_DIR", os.getcwd())
    # ModelArts v1 has a dot in a name, and shells, of which one may be in front, drop what they cannot call a variable.
    dotted = [f"{name}={value}" for name, value in container.environ.items() if not name.isidentifier()]
    again = ("env", *dotted) if dotted and machine.front else ()
    argv = [*machine.front, *again, sys.executable, "-m", "bootstrap", "run", *options, "--", *command]
    return play.Part(container.host, argv, own, home, machine.cut)


def _say_in_turn() -> play.Say:
    lock = threading.Lock()

    def say(line: str) -> None:
        try:
            with lock:
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
        except BrokenPipeError:  # `bootstrap simulate | head`: the rehearsal goes on, its record is in the directories
            pass

    return say
