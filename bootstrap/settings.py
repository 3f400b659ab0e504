"""Every knob, once: its name, type, default, environment variable and help, and where its value came from.

A setting is a field of :class:`Settings`. Its option is the name with dashes (``--job-dir``), its variable the name
in capitals behind ``BOOTSTRAP_`` (``BOOTSTRAP_JOB_DIR``; never ``MA_``, which ModelArts keeps for itself). The first
of these that is there wins: option, variable, what the platform says, the default. An empty variable counts as not
set, since consoles cannot unset one.
"""

from __future__ import annotations

import dataclasses
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import BootstrapError, UsageError
from .job import Sourced

PREFIX = "BOOTSTRAP_"


# --- parsers: text -> value; a ValueError's text becomes the message -----------------------------------------------


def _text(value: str) -> str:
    return value


def flag(value: str) -> bool:
    """``1 true yes on`` and ``0 false no off``, in any case."""
    lowered = value.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError("say 1 or 0 (or true/false, yes/no, on/off)")


def _seconds(value: str) -> float:
    """Seconds, or with a unit: ``30``, ``1.5``, ``10m``, ``2h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?", value.strip().lower())
    if not found:
        raise ValueError("say a number of seconds, or one with s, m, h or d behind it, such as 90 or 10m")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}[found[2]]


def _bytes(value: str) -> int:
    """Bytes, or with a binary unit: ``65536``, ``512M``, ``1GiB``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", value.strip().lower())
    if not found:
        raise ValueError("say a number of bytes, or one with K, M, G or T behind it, such as 512M")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " "))


def _count(value: str) -> int:
    if not re.fullmatch(r"\d+", value.strip()):
        raise ValueError("say a whole number, 0 or more")
    return int(value)


def _exit_code(value: str) -> int:
    number = _count(value)
    if number > 255:
        raise ValueError("an exit code is between 0 and 255")
    return number


def _signal(value: str) -> str:
    """A signal that can be sent and caught, by its name: ``TERM``, ``SIGUSR1``."""
    name = value.strip().upper().removeprefix("SIG")
    if name in ("KILL", "STOP") or f"SIG{name}" not in signal.Signals.__members__:
        raise ValueError("say a signal's name, such as TERM, INT or USR1")
    return name


def _port(value: str) -> int:
    number = _count(value)
    if not 0 < number < 65536:
        raise ValueError("a port is between 1 and 65535")
    return number


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"say one of {', '.join(choices)}")
        return value

    return parse


def _pair(value: str) -> tuple[str, str]:
    """``LEFT=URL``; the first ``=`` divides, so that a URL may hold others."""
    left, divider, url = value.partition("=")
    if not (left and divider and url):
        raise ValueError("say it as NAME=URL (an output: DIR=URL), such as data=obs://bucket/data/")
    return left, url


LAUNCHERS = (
    "auto", "direct", "torchrun", "paddle", "mpi", "deepspeed", "tensorflow", "ray", "msrun", "jax", "ascend",
)  # fmt: skip


# --- the table --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Knob:
    """What :class:`Settings` keeps of a field beside its value."""

    group: str
    help: str
    parse: Callable[[str], Any]
    metavar: str
    many: bool = False
    secret: bool = False
    """Its value is never shown anywhere, only where it came from."""


def _knob(
    group: str,
    default: Any,
    parse: Callable[[str], Any],
    metavar: str,
    help: str,
    many: bool = False,
    secret: bool = False,
) -> Any:
    return field(default=default, metadata={"knob": Knob(group, help, parse, metavar, many, secret)})


_JOB, _FETCH, _NODES, _RUN = "The job", "What is fetched", "Several nodes", "How the command runs"
_DELIVER, _STORE, _SAY = "What is delivered", "The object store", "What is said"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one run, resolved. Durations in seconds, sizes in bytes; ``None`` and ``""`` mean not given."""

    platform: str = _knob(
        _JOB,
        "",
        _text,
        "NAME",
        "dls (ModelArts v1), modelarts (v2), volcano, rank-env or local; found out if not given",
    )
    job_dir: str = _knob(
        _JOB, "", _text, "DIR", "where code lands and the command starts (default: the platform's, else here)"
    )
    interface: str = _knob(
        _JOB,
        "",
        _text,
        "NAME",
        "interface of the nodes' addresses, or an address of it (default: ib0, bond0, the default route's)",
    )
    run_dir: str = _knob(
        _JOB, "", _text, "DIR", "our own files: run.json and others (default: beside the log file, NAME.run)"
    )

    code: str = _knob(
        _FETCH, "", _text, "URL", "code: a directory (URL ends with /), one file, or a .tar, .tar.gz, .tgz, .zip"
    )
    code_direct: bool = _knob(
        _FETCH, False, flag, "", "put the code's content into the job dir itself, not into JOB_DIR/<last directory>/"
    )
    unpack: bool = _knob(_FETCH, True, flag, "", "unpack a code URL that is one archive")
    input: tuple[tuple[str, str], ...] = _knob(
        _FETCH, (), _pair, "NAME=URL", "data to fetch into JOB_DIR/NAME (or NAME if absolute); repeatable", many=True
    )
    code_failure_exit: int = _knob(
        _FETCH,
        0,
        _exit_code,
        "CODE",
        "exit code when the code cannot be fetched (run_train.sh: 127; 0: the cause's own)",
    )

    launcher: str = _knob(
        _NODES,
        "direct",
        _one_of(*LAUNCHERS),
        "NAME",
        "direct (the command as it is), torchrun, paddle, mpi, deepspeed, tensorflow, ray, msrun, jax, ascend or auto",
    )
    barrier: bool = _knob(
        _NODES, False, flag, "", "start the command only when all nodes have fetched their code and data"
    )
    on_peer_failure: str = _knob(
        _NODES,
        "stop",
        _one_of("stop", "ignore"),
        "WHAT",
        "stop or ignore, when the command of another node fails (in a job whose nodes meet)",
    )
    meet: str = _knob(
        _NODES,
        "auto",
        _one_of("auto", "port", "store", "no"),
        "HOW",
        "the nodes exchange addresses over a port, through the log URL (store), or no; auto: a port, if needed",
    )
    meet_port: int = _knob(_NODES, 29499, _port, "PORT", "where node 0 is found until all nodes have met")
    peer_timeout: float = _knob(_NODES, 1800.0, _seconds, "SECONDS", "to wait for the other nodes, and at the barrier")
    peer_silence: float = _knob(
        _NODES, 60.0, _seconds, "SECONDS", "a node that is cut off counts as gone after so long (0: never)"
    )
    peer_secret: str = _knob(
        _NODES,
        "",
        _text,
        "TEXT",
        "what the nodes know each other by, the same on all (default: the job's id)",
        secret=True,
    )

    conda_env: str = _knob(
        _RUN, "", _text, "NAME", "conda environment for the command, by name or directory, activated without a shell"
    )
    venv: str = _knob(_RUN, "", _text, "DIR", "virtual environment for the command, activated without a shell")
    requirements: bool = _knob(
        _RUN, False, flag, "", "install pip-requirements.txt or requirements.txt of the code before the command starts"
    )
    work_dir: str = _knob(_RUN, "", _text, "DIR", "where the command starts (default: the job dir)")
    grace: float = _knob(
        _RUN,
        30.0,
        _seconds,
        "SECONDS",
        "from a stop request to our own end, deliveries included; the platform's, if known",
    )
    stop_signal: str = _knob(
        _RUN, "TERM", _signal, "NAME", "what the command gets when it is to stop, such as TERM, INT or USR1"
    )
    timeout: float = _knob(_RUN, 0.0, _seconds, "SECONDS", "stop the command after so long (0: never)")
    stall_timeout: float = _knob(
        _RUN,
        0.0,
        _seconds,
        "SECONDS",
        "stop it after so long without output and work, its stacks saved first (0: never)",
    )
    max_restarts: int = _knob(
        _RUN, 0, _count, "N", "start a command that resumes again, with back-off, when its end is worth a retry"
    )
    pty: bool = _knob(_RUN, False, flag, "", "give the command a terminal of its own (line-buffers any program)")
    line_buffered: bool = _knob(
        _RUN, True, flag, "", "programs that are not Python write line by line (stdbuf, where the image has it)"
    )

    pass_credentials: str = _knob(
        _RUN, "yes", _text, "WHICH", "keys the command receives: yes (all), no, or names divided by commas"
    )

    output: tuple[tuple[str, str], ...] = _knob(
        _DELIVER,
        (),
        _pair,
        "DIR=URL",
        "a directory to deliver at the end, relative to the work dir; repeatable",
        many=True,
    )
    log: str = _knob(_DELIVER, "", _text, "URL", "directory to which the log and the run record are delivered")
    log_file: str = _knob(
        _DELIVER, "", _text, "PATH", "the log on this machine (default: the platform's, else in /tmp)"
    )
    log_interval: float = _knob(
        _DELIVER, 10.0, _seconds, "SECONDS", "new bytes of the log are at the log URL so soon; 0: at the end only"
    )
    log_limit: int = _knob(
        _DELIVER,
        1 << 30,
        _bytes,
        "BYTES",
        "of the log file: its head and tail are kept, the gap is stated (0: no limit)",
    )
    compact_log: bool = _knob(
        _DELIVER,
        False,
        flag,
        "",
        "progress bars that rewrite their line are thinned out in the log, not on the console",
    )
    stderr_file: str = _knob(_DELIVER, "", _text, "PATH", "keep stderr apart as well; it still goes to console and log")
    links: Literal["follow", "record", "skip"] = _knob(
        _DELIVER,
        "follow",
        _one_of("follow", "record", "skip"),
        "WHAT",
        "symbolic links in outputs: follow, record as NAME.rclonelink (fetches make links of those again), or skip",
    )
    shared_outputs: bool = _knob(
        _DELIVER, False, flag, "", "all nodes deliver into the same URL (default: node N > 0 into URL/node-N/)"
    )
    platform_outputs: bool = _knob(
        _DELIVER, False, flag, "", "deliver the outputs that the platform syncs by itself (MA_OUTPUTS), too"
    )
    allow_undelivered: bool = _knob(
        _DELIVER, False, flag, "", "outputs that could not be delivered are a warning, not a failure"
    )

    endpoint: str = _knob(_STORE, "", _text, "URL", "of the object store (default: S3_ENDPOINT and its kin)")
    region: str = _knob(_STORE, "", _text, "NAME", "of the object store (default: from the endpoint)")
    addressing: str = _knob(
        _STORE, "auto", _one_of("auto", "virtual", "path"), "STYLE", "auto, virtual (bucket in the host) or path"
    )
    store_timeout: float = _knob(
        _STORE, 300.0, _seconds, "SECONDS", "an outage is waited for so long: requests are made again, ever more slowly"
    )
    credentials_file: str = _knob(
        _STORE, "", _text, "PATH", "take the keys from this profile file, which may be renewed while we run"
    )
    credentials_profile: str = _knob(
        _STORE, "", _text, "NAME", "the profile to take from a profile file (default: AWS_PROFILE, else default)"
    )
    secrets_dir: str = _knob(
        _STORE, "/run/secrets", _text, "DIR", "a mounted directory of secret files, named like the keys' variables"
    )
    metadata_url: str = _knob(
        _STORE, "", _text, "URL", "ask this metadata service for keys, such as http://169.254.169.254 (default: none)"
    )

    quiet: bool = _knob(_SAY, False, flag, "", "say only warnings and errors")
    banner: bool = _knob(_SAY, False, flag, "", "print the lines that run_train.sh printed before the command")
    traceback: bool = _knob(_SAY, False, flag, "", "show tracebacks of our own failures")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings and, for each by name, the words that say where its value came from."""

    settings: Settings
    sources: Mapping[str, str]


def knobs() -> list[tuple[str, Knob, Any]]:
    """``(name, knob, default)`` of every setting, in the table's order."""
    return [(f.name, f.metadata["knob"], f.default) for f in dataclasses.fields(Settings)]


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    return PREFIX + name.upper()


def resolve(
    options: Mapping[str, str | Sequence[str] | bool],
    environ: Mapping[str, str],
    defaults: Mapping[str, Sourced],
    problems: list[BootstrapError] | None = None,
) -> Resolved:
    """Settings from options (texts by name, lists where repeatable), the environment and the platform's defaults.

    In a variable, the items of a repeatable setting are divided by ``;`` or new lines. Raises :class:`UsageError`
    that names the option or variable and what it may hold; with ``problems`` it is put there instead, and the default
    stands in, so that somebody can still be told where the log goes.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, knob, _ in knobs():
        if name in options:
            given, source = options[name], option(name)
        elif environ.get(variable(name)):
            given, source = environ[variable(name)], variable(name)
            if knob.many:
                given = [item.strip() for item in re.split(r"[;\n]", given) if item.strip()]
        elif name in defaults:
            given, source = defaults[name].value, defaults[name].source
        else:
            sources[name] = "default"
            continue
        try:
            values[name] = _parse(knob, given, source)
        except UsageError as error:
            if problems is None:
                raise
            problems.append(error)
        sources[name] = source
    return Resolved(Settings(**values), sources)


def _parse(knob: Knob, given: str | Sequence[str] | bool, source: str) -> Any:
    if isinstance(given, bool):
        return given
    parsed = []
    for item in [given] if isinstance(given, str) else given:
        try:
            parsed.append(knob.parse(item))
        except ValueError as wrong:
            raise UsageError(f"{source} cannot be {item!r}", why=str(wrong)) from None
    return tuple(parsed) if knob.many else parsed[0]
