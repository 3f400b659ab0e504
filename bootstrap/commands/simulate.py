"""``bootstrap simulate``: rehearse a job of several nodes on this machine, before paying for it.

    bootstrap simulate --nodes 4 --platform dls -- python train.py --epochs 1
    bootstrap simulate --nodes 2 --platform volcano --with "--launcher torchrun --barrier" -- train.py
    bootstrap simulate --platform volcano --job job.yaml --kill 1@20
    bootstrap simulate --platform dls --store down@30+20 --kill 0@60 --with "--output out=obs://b/m/" -- python train.py
    bootstrap simulate --platform dls --nodes 1 --disk 0@200M --with "--output out=obs://b/m/" -- python train.py

Every node is a real `bootstrap run` with the environment that the platform would give it, its own directories and, for
root, its own network: eth0 and ib0, names that resolve. Its settings are options in --with, and BOOTSTRAP_ variables.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from ..errors import PathUnusable, UsageError
from ..ground import ourselves
from ..platforms import pretend, table
from ..rehearsal import disks, jobfile, machines, play, store_faults, views
from ..rehearsal.manifest import log_below
from ..reporting.prose import counted
from ..settings import byte_count
from ..values import replace
from . import outputs

VERBATIM = ("--with",)
"""Options whose value looks like an option itself."""

_HELP = "see bootstrap simulate --help"
_MOST = 250  # the lab's networks have so many addresses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, metavar="N", help="how many nodes (default: 2, or as the job file says)")
    parser.add_argument(
        "--platform", choices=pretend.PLATFORMS, required=True, help="whose environment the nodes are given"
    )
    parser.add_argument(
        "--job", metavar="job.yaml", type=Path, help="take tasks and commands from this job file of the GPU manager"
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: how each node ended, on stdout; everything else goes to stderr",
    )
    parser.add_argument(
        "--slots", type=int, metavar="N", default=0, help="accelerators, and so processes, on each node"
    )
    parser.add_argument("--with", dest="options", metavar="OPTIONS", default="", help="options of each `bootstrap run`")
    parser.add_argument(
        "--network",
        choices=("auto", "namespaces", "loopback"),
        default="auto",
        help="namespaces: a network of its own for each node (root); loopback: all share this machine's",
    )
    parser.add_argument(
        "--directory", metavar="DIR", type=Path, help="where the nodes' directories go (default: a new one)"
    )
    for fault, text in play.FAULTS.items():
        parser.add_argument(
            f"--{fault}", metavar="NODE@SECONDS", action="append", default=[], help=f"{text}; repeatable"
        )
    kinds = "; ".join(f"{kind}: {text}" for kind, text in store_faults.KINDS.items())
    parser.add_argument(
        "--store",
        metavar="KIND@SECONDS+SECONDS",
        action="append",
        default=[],
        help=f"make the store fail, from when on and for how long; repeatable. {kinds}",
    )
    parser.add_argument(
        "--disk",
        metavar="NODE@BYTES",
        action="append",
        default=[],
        help="a disk that is full at so many bytes under a node's directory, such as 0@200M (root only); repeatable",
    )
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="repeat the same random faults of the store")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND [ARG...]")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    job = _in_order(jobfile.read(arguments.job)) if arguments.job else None
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    name, roles = _roles(arguments, job)
    count = sum(number for _, number in roles)
    if not 0 < count <= _MOST:
        raise UsageError(
            f"{counted(count, 'node')} cannot be rehearsed", where="--nodes", why=f"1 to {_MOST} can", remedy=_HELP
        )
    if arguments.slots < 0:
        raise UsageError(
            f"a node cannot have {counted(arguments.slots, 'process', 'processes')}", where="--slots", remedy=_HELP
        )
    options = _options(arguments.options)
    commands = _commands(job, command, count)
    faults = [_fault(kind, text, count) for kind in play.FAULTS for text in getattr(arguments, kind)]
    store = [_store_fault(text) for text in arguments.store]
    sizes = dict(_disk(text, count) for text in arguments.disk)
    directory = (arguments.directory or Path(tempfile.mkdtemp(prefix="rehearsal-"))).absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathUnusable("the nodes have no place", where=str(directory), why=str(error.strerror)) from error
    logs = _logs(job, directory, count)
    for warning in job.warnings if job else ():
        print(f"warning: {warning}", file=sys.stderr)

    apart = _apart(arguments, store)
    found = pretend.containers(arguments.platform, name, roles, slots=arguments.slots)
    _end_as_by_ctrl_c()
    hosts, files = [one.host for one in found], found[0].files
    with ExitStack() as stack:
        for number, size in sizes.items():
            stack.enter_context(disks.of_a_size(directory / f"node-{number}", size))
        built = stack.enter_context(machines.namespaces(hosts, directory, files)) if apart else None
        if built is None:
            built = machines.loopback(count)
            addresses = [machine.address for machine in built]
            found = pretend.containers(arguments.platform, name, roles, slots=arguments.slots, addresses=addresses)
        out = sys.stderr if arguments.format == "json" else sys.stdout
        print(
            f"{counted(count, 'node')} in {directory}, {'network namespaces' if apart else 'on the loopback'}",
            file=out,
            flush=True,
        )
        seen = environ
        if store:
            seen = {**environ, "S3_ENDPOINT": stack.enter_context(_failing(environ, store, arguments.seed))}
        parts = [
            _part(machine, container, directory / f"node-{number}", seen, options, commands[number], logs[number])
            for number, (machine, container) in enumerate(zip(built, found, strict=True))
        ]
        play.play(parts, faults, _say_in_turn(out))
        for number in sizes:
            parts[number].hurt.append(disks.used(parts[number].home))
    if arguments.format == "json":
        print(json.dumps(play.told(parts), indent=2), flush=True)
    else:
        print("\n" + "\n".join(play.table(parts)), flush=True)
    facts, _ = table.known({**environ, **found[0].environ})
    for line in _left_behind(options, environ, facts.job_id):
        print(line, file=out, flush=True)
    return play.verdict(parts)


def _apart(arguments: argparse.Namespace, store: Sequence[store_faults.StoreFault]) -> bool:
    """Whether each node has a network of its own. Raises :class:`UsageError` for a fault that needs the other."""
    apart = arguments.network == "namespaces" or (
        arguments.network == "auto" and not store and machines.can_have_namespaces()
    )
    if store and apart:
        why = "machines of their own network do not see the store's rehearsal"
        raise UsageError("--store needs --network loopback", why=why, remedy=_HELP)
    if arguments.partition and not apart:
        raise UsageError(
            "--partition needs a network of its own for each node",
            why="here all nodes share the loopback",
            remedy="rehearse as root where network namespaces are allowed, or use --kill",
        )
    return apart


def _end_as_by_ctrl_c() -> None:
    """No node and no network is left behind."""
    for asked in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(asked) is not signal.SIG_IGN:  # nohup
            signal.signal(asked, signal.default_int_handler)


def _in_order(job: jobfile.JobFile) -> jobfile.JobFile:
    order = pretend.in_global_order(task.name for task in job.tasks)
    return replace(job, tasks=tuple(sorted(job.tasks, key=lambda task: order.index(task.name))))


def _roles(arguments: argparse.Namespace, job: jobfile.JobFile | None) -> tuple[str, list[tuple[str, int]]]:
    if job is None:
        return "", [("worker", 2 if arguments.nodes is None else arguments.nodes)]
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


def _logs(job: jobfile.JobFile | None, directory: Path, count: int) -> list[str]:
    """Where each node's log goes: with a job file below its working directory, as in its manifest; a directory of the
    rehearsal stands in for a NAS that is not mounted here.
    """
    if job is None:
        return [""] * count
    places = []
    for task in job.tasks:
        below = log_below(job, task)
        here = below if os.access(task.working_dir, os.W_OK) else f"{directory}/nas{below}" if below else ""
        places += [here] * task.amount
    return places


def _options(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:  # a quotation without its end
        raise UsageError(f"--with cannot be {text!r}", why=str(error).lower(), remedy=_HELP) from error


def _fault(kind: str, text: str, count: int) -> play.NodeFault:
    found = re.fullmatch(r"(\d+)@(\d+(?:\.\d+)?)", text)
    if not found or int(found[1]) >= count:
        why = f"say NODE@SECONDS, with a node of 0 to {count - 1}"
        raise UsageError(f"--{kind} cannot be {text!r}", why=why, remedy=_HELP)
    return play.NodeFault(kind, int(found[1]), float(found[2]))


def _store_fault(text: str) -> store_faults.StoreFault:
    found = re.fullmatch(r"(\w+)@(\d+(?:\.\d+)?)\+(\d+(?:\.\d+)?)", text)
    if not found or found[1] not in store_faults.KINDS:
        why = f"say KIND@SECONDS+SECONDS, with one of {', '.join(store_faults.KINDS)}"
        raise UsageError(f"--store cannot be {text!r}", why=why, remedy=_HELP)
    return store_faults.StoreFault(found[1], float(found[2]), float(found[3]))


def _disk(text: str, count: int) -> tuple[int, int]:
    node, _, size = text.partition("@")
    try:
        if int(node) < count and byte_count(size) > 0:
            return int(node), byte_count(size)
    except ValueError:
        pass
    why = f"say NODE@BYTES, with a node of 0 to {count - 1}, such as 0@200M"
    raise UsageError(f"--disk cannot be {text!r}", why=why, remedy=_HELP)


def _failing(
    environ: Mapping[str, str], faults: Sequence[store_faults.StoreFault], seed: int
) -> AbstractContextManager[str]:
    from ..storage.s3.endpoint import endpoint_from

    return store_faults.failing_store(endpoint_from(environ).url, faults, seed)


def _left_behind(options: Sequence[str], environ: Mapping[str, str], job: str) -> list[str]:
    """What the outputs' URLs hold now, and whether a next attempt would go on from it."""
    lines: list[str] = []
    for url in dict.fromkeys(url for _, url in _outputs(options, environ)):
        lines += ["", url, *outputs.told(url, environ, job)]
    return lines


def _outputs(options: Sequence[str], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Directory and URL of each."""
    given = [word for flag, word in pairwise(options) if flag == "--output"]
    given += [word.partition("=")[2] for word in options if word.startswith("--output=")]
    given += [word for word in re.split(r"[;\n]", environ.get("BOOTSTRAP_OUTPUT", "")) if word.strip()]
    return [(directory.strip(), url.strip()) for directory, _, url in (word.partition("=") for word in given)]


def _part(
    machine: machines.RehearsalMachine,
    container: pretend.Container,
    home: Path,
    environ: Mapping[str, str],
    options: Sequence[str],
    command: Sequence[str],
    log: str,
) -> play.NodePart:
    for directory in (home, home / "tmp", home / "modelarts/log"):
        directory.mkdir(parents=True, exist_ok=True)
    # With no code to fetch, the command is one of the directory that the person is in.
    brings_code = any(word.split("=")[0] in ("--code", "--work-dir") for word in options) or "BOOTSTRAP_CODE" in environ
    here = os.getcwd()
    apart = views.inside([directory for directory, _ in _outputs(options, environ)])
    if apart and not brings_code:
        here = str(home / "work")
        views.own_view(Path.cwd(), Path(here), apart)
    place = pretend.PretendPlace(str(home), str(home / "job") if brings_code else here, machine.address)
    own = {
        **pretend.without_platform(environ),
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "HOSTNAME": container.host.partition(".")[0] if machine.front else container.host,
        "BOOTSTRAP_LOG_FILE": str(home / "job.log"),
        "BOOTSTRAP_JOB_DIR": str(home / "job"),
        **machine.environ,
        **container.environ,
        **container.environ_at(place),
    }
    if not brings_code:
        own.setdefault("BOOTSTRAP_WORK_DIR", here)
    if log:
        own.setdefault("BOOTSTRAP_LOG", log)
    # ModelArts v1 has a dot in a name, and shells, of which one may be in front, drop what they cannot call a variable.
    dotted = [f"{name}={value}" for name, value in container.environ.items() if not name.isidentifier()]
    again = ("env", *dotted) if dotted and machine.front else ()
    argv = [*machine.front, *again, *ourselves.program(), "run", *options, "--", *command]
    return play.NodePart(container.host, argv, own, home, machine.cut)


def _say_in_turn(out: TextIO) -> play.Say:
    lock = threading.Lock()

    def say(line: str) -> None:
        try:
            with lock:
                out.write(f"{line}\n")
                out.flush()
        except BrokenPipeError:  # `bootstrap simulate | head`: the rehearsal goes on, its record is in the directories
            pass

    return say
